from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.config.profiles import configured_profiles
from aetherflow.config.settings import load_settings
from aetherflow.errors import ConfigError, InvalidInput
from aetherflow.spec.flow import ProfileSpec
from aetherflow.spec.placed import placed_profile

CANARY = "canary-7f3a9c"


def profiles_of(env: dict[str, str]) -> dict[str, ProfileSpec] | None:
    return configured_profiles(load_settings({"HOME": "/h", **env}))


def test_no_setting_means_no_profiles() -> None:
    assert profiles_of({}) is None


def test_profiles_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text(
        'db:\n  config: {url: "{{env.DB_URL}}"}\n  decode: {config: {url: true}}\n', encoding="utf-8"
    )
    assert profiles_of({"AETHERFLOW_PROFILES_FILE": str(path)}) == {
        "db": placed_profile(
            ProfileSpec(config={"url": "{{env.DB_URL}}"}, decode={"config": {"url": True}}), tmp_path
        )
    }


def test_profiles_come_from_json_in_a_variable() -> None:
    text = '{\n\t"db": {"options": {"pool": 5, "ssl": true, "name": null}}}'
    assert profiles_of({"AETHERFLOW_PROFILES_JSON": text}) == {
        "db": ProfileSpec(options={"pool": 5, "ssl": True, "name": None})
    }


def test_both_at_once_are_an_error() -> None:
    with pytest.raises(ConfigError) as raised:
        profiles_of({"AETHERFLOW_PROFILES_FILE": "/p.yaml", "AETHERFLOW_PROFILES_JSON": "{}"})
    assert raised.value.code == "AF502"
    assert "AETHERFLOW_PROFILES_FILE and AETHERFLOW_PROFILES_JSON are both set" in raised.value.message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{"db": {"config": {}, "conf": {}}}', "AETHERFLOW_PROFILES_JSON:1:23", "'conf'"),
        (f'{{"db": {{"config": "{CANARY}"}}}}', "AETHERFLOW_PROFILES_JSON:1:9", "expected a mapping"),
        (f'{{"db":\n  "{CANARY}"}}', "AETHERFLOW_PROFILES_JSON:1:2", "expected a mapping"),
        (f'["{CANARY}"]', "AETHERFLOW_PROFILES_JSON:1:1", "expected a mapping"),
        (f'{{"db": {{"password": "{CANARY}"}}}}', "AETHERFLOW_PROFILES_JSON:1:9", "'password'"),
        (f'{{"db": {{"config": {{"password": "{CANARY}"}}}}', "AETHERFLOW_PROFILES_JSON:", "AF103"),
    ],
)
def test_what_is_wrong_has_its_place_in_the_variable_and_no_value(text: str, place: str, words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        profiles_of({"AETHERFLOW_PROFILES_JSON": text})
    assert place in raised.value.message
    assert words in raised.value.message
    assert CANARY not in raised.value.message


def test_a_profiles_file_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"/no/such/profiles\.yaml"):
        profiles_of({"AETHERFLOW_PROFILES_FILE": "/no/such/profiles.yaml"})
