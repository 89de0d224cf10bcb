from __future__ import annotations

import pytest

from aetherflow.config.cache_option import split_cache
from aetherflow.config.settings import load_settings
from aetherflow.errors import ConfigError

DEFAULT = "AETHERFLOW_CONNECTOR_CACHE_DEFAULT"
DISABLED = "AETHERFLOW_CONNECTOR_CACHE_DISABLED"


@pytest.mark.parametrize(
    ("env", "option", "expected"),
    [
        ({}, None, "run"),
        ({DEFAULT: "process"}, None, "process"),
        ({DEFAULT: "none"}, None, "none"),
        ({DEFAULT: "process"}, "run", "run"),
        ({}, "process", "process"),
        ({DISABLED: "true", DEFAULT: "process"}, None, "none"),
        ({DISABLED: "true"}, "process", "none"),
    ],
)
def test_the_resource_wins_over_the_default_and_disabled_over_both(
    env: dict[str, str], option: str | None, expected: str
) -> None:
    settings = load_settings({"HOME": "/h", **env})
    options = {"timeout": 5} | ({} if option is None else {"cache": option})
    assert split_cache("db", options, settings) == (expected, {"timeout": 5})
    assert ("cache" in options) is (option is not None)


@pytest.mark.parametrize("value", ["forever", "", True, 5, ["run"]])
def test_another_word_is_refused(value: object) -> None:
    with pytest.raises(ConfigError) as raised:
        split_cache("db", {"cache": value}, load_settings({"HOME": "/h"}))
    assert raised.value.code == "AF513"
    assert raised.value.message == f"resource 'db': options.cache cannot be {value!r}"
    assert raised.value.hint == "options.cache is one of run, process, none"
