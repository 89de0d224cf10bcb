from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.config.settings import Settings, load_settings
from aetherflow.errors import ConfigError


def settings_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    """Write an importable module; each test takes a name of its own, because imports are kept."""
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load_settings({"HOME": "/home/ops"})
    assert settings == Settings(
        state_root=Path("/home/ops/.local/state/aetherflow"),
        work_root=Path("/home/ops/.local/state/aetherflow/work"),
        sources=dict.fromkeys(settings.sources, "default"),
    )
    assert settings.log_level == "INFO"
    assert settings.plugin_strict
    assert not settings.validate_env_strict
    assert settings.connector_cache_default == "run"
    assert settings.strict_sandbox


def test_every_setting_has_a_source_and_every_source_a_setting() -> None:
    settings = load_settings({"HOME": "/home/ops"})
    assert {*settings.sources, "sources"} == set(Settings.__struct_fields__)


@pytest.mark.parametrize(
    ("env", "state_root", "work_root"),
    [
        ({"XDG_STATE_HOME": "/xdg"}, "/xdg/aetherflow", "/xdg/aetherflow/work"),
        ({"XDG_STATE_HOME": "relative"}, "/h/.local/state/aetherflow", "/h/.local/state/aetherflow/work"),
        ({"XDG_STATE_HOME": ""}, "/h/.local/state/aetherflow", "/h/.local/state/aetherflow/work"),
        ({"AETHERFLOW_STATE_ROOT": "/s", "XDG_STATE_HOME": "/xdg"}, "/s", "/s/work"),
        ({"AETHERFLOW_STATE_ROOT": "~/s"}, "/h/s", "/h/s/work"),
        ({"AETHERFLOW_STATE_ROOT": "$HOME/s"}, "/h/s", "/h/s/work"),
        ({"AETHERFLOW_STATE_ROOT": "${HOME}/s", "AETHERFLOW_WORK_ROOT": "$HOME"}, "/h/s", "/h"),
        ({"AETHERFLOW_WORK_ROOT": "/w"}, "/h/.local/state/aetherflow", "/w"),
    ],
)
def test_the_roots_follow_the_settings_then_xdg_then_home(
    env: dict[str, str], state_root: str, work_root: str
) -> None:
    settings = load_settings({"HOME": "/h", **env})
    assert (settings.state_root, settings.work_root) == (Path(state_root), Path(work_root))


@pytest.mark.parametrize("text", ["$DATA/s", "${XDG_STATE_HOME}/s", "~no-such-user/s", "/srv/$USER"])
def test_a_path_that_would_be_a_folder_of_that_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"AETHERFLOW_STATE_ROOT is .*no other .NAME") as caught:
        load_settings({"HOME": "/h", "AETHERFLOW_STATE_ROOT": text})
    assert caught.value.code == "AF501"


def test_a_relative_root_is_fixed_to_the_directory_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({"AETHERFLOW_STATE_ROOT": "state"}).state_root == tmp_path / "state"


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", " Yes "])
def test_the_words_for_true(text: str) -> None:
    assert load_settings({"HOME": "/h", "AETHERFLOW_VALIDATE_ENV_STRICT": text}).validate_env_strict


@pytest.mark.parametrize("text", ["false", "False", "0", "no"])
def test_the_words_for_false(text: str) -> None:
    assert not load_settings({"HOME": "/h", "AETHERFLOW_PLUGIN_STRICT": text}).plugin_strict


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = load_settings({"HOME": "/h", "AETHERFLOW_LOG_LEVEL": "", "AETHERFLOW_PLUGIN_STRICT": " "})
    assert settings.log_level == "INFO"
    assert settings.sources["log_level"] == "default"


def test_texts_paths_and_choices_are_read() -> None:
    settings = load_settings(
        {
            "HOME": "/h",
            "AETHERFLOW_LOG_LEVEL": "debug",
            "AETHERFLOW_LOG_FORMAT": "JSON",
            "AETHERFLOW_PLUGIN_PATHS": "/a, ~/b,,",
            "AETHERFLOW_PROFILES_FILE": "/p.yaml",
            "AETHERFLOW_SECRETS_MODULE": "ops.secrets",
            "AETHERFLOW_METRICS_MODULE": "ops.metrics",
            "AETHERFLOW_CONNECTOR_CACHE_DEFAULT": "none",
            "AETHERFLOW_CONNECTOR_CACHE_DISABLED": "1",
            "AETHERFLOW_MODE": "enterprise",
            "AETHERFLOW_STRICT_SANDBOX": "no",
        }
    )
    assert settings.log_level == "DEBUG"
    assert settings.log_format == "json"
    assert settings.plugin_paths == (Path("/a"), Path("/h/b"))
    assert settings.profiles_file == Path("/p.yaml")
    assert settings.secrets_module == "ops.secrets"
    assert settings.metrics_module == "ops.metrics"
    assert settings.connector_cache_default == "none"
    assert settings.connector_cache_disabled
    assert settings.mode == "enterprise"
    assert not settings.strict_sandbox


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("AETHERFLOW_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("AETHERFLOW_LOG_FORMAT", "xml", "text, json, cloudevents"),
        ("AETHERFLOW_PLUGIN_STRICT", "maybe", "true, 1, yes, false, 0, no"),
        ("AETHERFLOW_CONNECTOR_CACHE_DEFAULT", "forever", "run, process, none"),
        ("AETHERFLOW_MODE", "internal", "internal_fast, enterprise"),
    ],
)
def test_a_bad_value_is_reported_with_what_is_allowed(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_settings({"HOME": "/h", variable: value})
    assert raised.value.message == f"{variable} is {value!r}; allowed: {allowed}"
    assert raised.value.code == "AF501"
    assert raised.value.exit_code == 2


def test_all_bad_values_are_reported_at_once_with_their_source() -> None:
    env = {"HOME": "/h", "AETHERFLOW_LOG_LEVEL": "LOUD", "AETHERFLOW_MODE": "fast"}
    with pytest.raises(ConfigError) as raised:
        load_settings(env, {"AETHERFLOW_MODE": "env file ops.env"})
    assert "AETHERFLOW_LOG_LEVEL is 'LOUD'; allowed" in raised.value.message
    assert "AETHERFLOW_MODE is 'fast' (env file ops.env); allowed" in raised.value.message


def test_the_environment_wins_over_the_settings_module_which_wins_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "SETTINGS = {'log_level': 'ERROR', 'AETHERFLOW_LOG_FORMAT': 'json', 'plugin_strict': False,"
        " 'plugin_paths': ['/a', '/b'], 'work_root': '/w', 'metrics_module': None}"
    )
    module = settings_module(tmp_path, monkeypatch, "af_precedence_settings", text)
    env = {"HOME": "/h", "AETHERFLOW_SETTINGS_MODULE": module, "AETHERFLOW_LOG_LEVEL": "DEBUG"}
    settings = load_settings(env, {"AETHERFLOW_LOG_LEVEL": "env file a.env"})
    assert (settings.log_level, settings.sources["log_level"]) == ("DEBUG", "env file a.env")
    assert (settings.log_format, settings.sources["log_format"]) == ("json", f"settings module {module}")
    assert not settings.plugin_strict
    assert settings.plugin_paths == (Path("/a"), Path("/b"))
    assert settings.work_root == Path("/w")
    assert settings.sources["metrics_module"] == "default"
    assert settings.sources["settings_module"] == "environment"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("af_no_settings", "OTHER = 1", "af_no_settings.py: there is no `SETTINGS` dictionary"),
        ("af_list_settings", "SETTINGS = []", "there is no `SETTINGS` dictionary"),
        ("af_unknown_settings", "SETTINGS = {'log_levl': 'INFO'}", "unknown key 'log_levl'"),
        ("af_nested_settings", "SETTINGS = {'settings_module': 'x'}", "unknown key 'settings_module'"),
        (
            "af_bad_settings",
            "SETTINGS = {'log_level': 3}",
            "is '3' (settings module af_bad_settings); allowed",
        ),
        (
            "af_raising_settings",
            "\n1 / 0",
            "af_raising_settings.py:2: loading this module failed: ZeroDivision",
        ),
        ("af_broken_settings", "\n\ndef (", "af_broken_settings.py:3: this is not Python: invalid syntax"),
    ],
)
def test_an_unusable_settings_module_is_reported_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: str
) -> None:
    settings_module(tmp_path, monkeypatch, name, text)
    with pytest.raises(ConfigError) as raised:
        load_settings({"HOME": "/h", "AETHERFLOW_SETTINGS_MODULE": name})
    assert expected in raised.value.message
    assert raised.value.code == "AF501"


def test_an_unknown_key_of_the_settings_module_suggests_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = settings_module(tmp_path, monkeypatch, "af_typo_settings", "SETTINGS = {'work_rot': '/w'}")
    with pytest.raises(ConfigError) as raised:
        load_settings({"HOME": "/h", "AETHERFLOW_SETTINGS_MODULE": module})
    assert raised.value.hint == "did you mean 'work_root'?"


@pytest.mark.parametrize("name", ["no_such_package_of_ours", "no_such_package_of_ours.settings"])
def test_a_settings_module_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"AETHERFLOW_SETTINGS_MODULE: there is no module '{name}'"):
        load_settings({"HOME": "/h", "AETHERFLOW_SETTINGS_MODULE": name})
