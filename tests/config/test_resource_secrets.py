"""A resource whose fields say where its secrets are: fetched when it is resolved, always masked."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from aetherflow.config.resources import ResolvedResource, resolve_resource
from aetherflow.errors import ConfigError
from aetherflow.redaction import Redactor
from aetherflow.spec.flow import ProfileSpec, ResourceSpec

CANARY = "canary-7f3a9c"


def resolved(
    config: dict[str, Any],
    env: dict[str, str] | None = None,
    *,
    profile: dict[str, Any] | None = None,
    redactor: Redactor | None = None,
    **keywords: Any,
) -> ResolvedResource:
    spec = ResourceSpec(
        kind="db",
        driver="x",
        profile=None if profile is None else "p",
        config=config,
        decode=keywords.pop("decode", {}),
    )
    profiles = None if profile is None else {"p": ProfileSpec(config=profile)}
    whole = {"PATH": os.environ["PATH"], **(env or {})}
    return resolve_resource(
        "main",
        spec,
        profiles,
        whole,
        decoder=keywords.pop("decoder", None),
        redactor=redactor or Redactor(),
        **keywords,
    )


def test_a_secret_takes_the_place_of_its_reference_and_is_masked_in_every_spelling() -> None:
    redactor = Redactor()
    found = resolved(
        {"plain": {"secret": "env:X"}, "list": [{"secret": "command:printf other-canary"}]},
        {"X": CANARY},
        redactor=redactor,
    )
    assert found.config == {"plain": CANARY, "list": ["other-canary"]}
    reported = redactor.text(f"{CANARY} {base64.b64encode(CANARY.encode()).decode()} other-canary")
    assert reported == "*** *** ***"


def test_where_it_is_may_be_said_by_the_profile_and_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "db").write_text(CANARY)
    profile = {"password": {"secret": "file:{{env.DIR}}/db"}, "token": {"secret": "env:NEVER"}}
    env = {"DIR": str(tmp_path), "WHERE": f"file:{tmp_path}/db"}
    found = resolved({"token": {"secret": "{{env.WHERE}}"}}, env, profile=profile)
    assert found.config == {"password": CANARY, "token": CANARY}


def test_the_own_text_of_a_resource_replaces_the_reference_of_its_profile() -> None:
    found = resolved({"password": CANARY}, profile={"password": {"secret": "env:NEVER"}})
    assert found.config == {"password": CANARY}


def test_a_value_of_the_environment_stays_one_word_of_a_command() -> None:
    for entry in (f"{CANARY}; echo 'more' words", "o'brien", '"', "{{env.PATH}}", "$(id) `id`"):
        found = resolved({"password": {"secret": "command:printf %s {{env.ENTRY}}"}}, {"ENTRY": entry})
        assert found.config["password"] == entry
    quoted = {"password": {"secret": "command:printf '%s, %s' 'a {{env.NONE:b c}}' d"}}
    assert resolved(quoted).config == {"password": "a b c, d"}


def test_a_fetched_secret_may_be_decoded() -> None:
    redactor = Redactor()
    found = resolved(
        {"password": {"secret": "env:X"}},
        {"X": CANARY[::-1]},
        redactor=redactor,
        decode={"config": {"password": True}},
        decoder=lambda value: value[::-1],
    )
    assert found.config == {"password": CANARY}
    assert redactor.text(f"{CANARY} {CANARY[::-1]}") == "*** ***"


def test_a_key_called_secret_beside_others_or_at_the_top_is_a_key_like_any_other() -> None:
    config = {"secret": "env:X", "client": {"id": "five", "secret": CANARY}}
    assert resolved(config).config == config


def test_what_goes_wrong_names_the_field_and_keeps_its_code(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved({"password": {"secret": f"file:{tmp_path}/none"}})
    assert raised.value.code == "AF571"
    assert raised.value.message.startswith("resource 'main': config.password: cannot read the secret in ")
    with pytest.raises(ConfigError) as raised:
        resolved({"password": {"secret": "{{env.WHERE}}"}}, {"WHERE": CANARY})
    assert raised.value.code == "AF570"
    assert CANARY not in raised.value.message


def test_nothing_is_fetched_when_the_resource_is_wrong_anyway(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(ConfigError, match="MISSING"):
        resolved({"a": {"secret": f"command:touch {trace}"}, "b": "{{env.MISSING}}"})
    assert not trace.exists()


def test_a_doubt_names_the_resource(tmp_path: Path) -> None:
    file = tmp_path / "db"
    file.write_text(CANARY)
    file.chmod(0o644)
    doubts: list[str] = []
    resolved({"password": {"secret": f"file:{file}"}}, warn=doubts.append)
    assert len(doubts) == 1
    assert doubts[0].startswith(f"resource 'main': the secret in {file} can be read by every user")


def test_with_lenient_templates_a_missing_variable_is_an_empty_text_and_a_doubt() -> None:
    doubts: list[str] = []
    config = {"url": "x-{{env.MISSING}}", "other": "{{env.MISSING:default}}"}
    found = resolved(config, strict=False, warn=doubts.append)
    assert found.config == {"url": "x-", "other": "default"}
    assert len(doubts) == 1
    assert doubts[0].startswith("resource 'main': {{env.MISSING}} has no value")
    with pytest.raises(ConfigError, match="NEVER is not set"):
        resolved({"password": {"secret": "env:NEVER"}}, strict=False)
    with pytest.raises(ConfigError, match=r"config\.password: .*env\.DIR") as raised:
        resolved({"password": {"secret": "file:{{env.DIR}}/db"}}, strict=False)
    assert raised.value.code == "AF536"
