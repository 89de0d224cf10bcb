from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aetherflow.config.environment import load_environment
from aetherflow.errors import ConfigError
from aetherflow.redaction import Redactor
from aetherflow.spec.env_file import EnvFile


def entries(*values: dict[str, Any]) -> str:
    return json.dumps(values)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_to_add_the_snapshot_is_the_process_environment() -> None:
    process = {"HOME": "/h", "A": "1"}
    assert load_environment(process).variables == process


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "one.env", "A=one\nB=one\nC=one\nD=one\n")
    write(tmp_path / "two.json", '{"B": "two", "C": "two", "D": "two"}')
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write(bundle / "three.env", "C=three\nD=three\n")
    secrets = write(tmp_path / "secrets.py", "def expand_env(env): return {'D': env['C'] + '+', 'E': 'four'}")
    process = {
        **dict.fromkeys("ABCDE", "process"),
        "HOME": "/h",
        "AETHERFLOW_SECRETS_PATH": str(secrets),
        "AETHERFLOW_ENV_FILES_JSON": entries(
            {"path": "one.env", "type": "dotenv"}, {"path": "two.json", "type": "json"}
        ),
    }
    environment = load_environment(
        process,
        directory=tmp_path,
        bundle_env_files=[EnvFile(path="three.env")],
        bundle_directory=bundle,
    )
    assert {key: environment.variables[key] for key in "ABCDE"} == {
        "A": "one",
        "B": "two",
        "C": "three",
        "D": "three+",
        "E": "four",
    }
    assert {key: environment.origins[key] for key in ("HOME", *"ABCDE")} == {
        "HOME": "environment",
        "A": "env file one.env",
        "B": "env file two.json",
        "C": "bundle env file three.env",
        "D": f"expand_env of {secrets}",
        "E": f"expand_env of {secrets}",
    }


def test_the_snapshot_cannot_be_changed_and_the_process_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("AETHERFLOW_ENV_FILES_JSON", entries({"path": str(write(tmp_path / "e", "AF_NEW=1"))}))
    secrets = write(
        tmp_path / "s.py", "def expand_env(env): env['AF_NEW'] = '2'; env.pop('HOME'); return env"
    )
    monkeypatch.setenv("AETHERFLOW_SECRETS_PATH", str(secrets))
    before = dict(os.environ)
    snapshot: Any = load_environment(os.environ).variables
    assert snapshot["AF_NEW"] == "2"
    assert snapshot["HOME"] == "/h"
    assert dict(os.environ) == before
    with pytest.raises(TypeError):
        snapshot["A"] = "1"
    monkeypatch.setenv("AF_LATER", "1")
    assert "AF_LATER" not in snapshot


def test_relative_env_files_start_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".env", "A=1")
    monkeypatch.chdir(tmp_path)
    assert (
        load_environment({"HOME": "/h", "AETHERFLOW_ENV_FILES_JSON": entries({"path": ".env"})}).variables[
            "A"
        ]
        == "1"
    )


def test_env_files_and_expand_env_may_bring_settings(tmp_path: Path) -> None:
    secrets = write(tmp_path / "s.py", "def expand_env(): return {'AETHERFLOW_LOG_LEVEL': 'DEBUG'}")
    env_file = write(tmp_path / "e.env", f"AETHERFLOW_SECRETS_PATH={secrets}\nAETHERFLOW_LOG_FORMAT=json\n")
    process = {"HOME": "/h", "AETHERFLOW_ENV_FILES_JSON": entries({"path": str(env_file)})}
    settings = load_environment(process).settings
    assert (settings.log_level, settings.sources["log_level"]) == ("DEBUG", f"expand_env of {secrets}")
    assert (settings.log_format, settings.sources["log_format"]) == ("json", f"env file {env_file}")


def test_the_provider_is_loaded_once(tmp_path: Path) -> None:
    loads = tmp_path / "loads"
    text = f"with open({str(loads)!r}, 'a') as file: file.write('x')\ndef decode(value): return value.upper()"
    environment = load_environment(
        {"HOME": "/h", "AETHERFLOW_SECRETS_PATH": str(write(tmp_path / "s.py", text))}
    )
    assert environment.secrets is not None
    assert environment.secrets.decode("a") == "A"
    assert loads.read_text(encoding="utf-8") == "x"


def test_variables_named_like_a_secret_are_masked_from_the_start(tmp_path: Path) -> None:
    secrets = write(tmp_path / "s.py", "def expand_env(): return {'API_TOKEN': 'from-the-vault'}")
    redactor = Redactor()
    process = {"HOME": "/h", "DB_PASSWORD": "hunter2", "AETHERFLOW_SECRETS_PATH": str(secrets)}
    load_environment(process, redactor=redactor)
    assert redactor.text("x hunter2 from-the-vault /h") == "x *** *** /h"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"A=B": "hunter2"}', "env file e.json: 'A=B' cannot be the name of a variable"),
        ('{"": "hunter2"}', "env file e.json: '' cannot be the name of a variable"),
        ('{"A": "hunter2\\u0000"}', "env file e.json: the value of A has a NUL character"),
    ],
)
def test_what_no_process_could_be_started_with_is_refused(
    tmp_path: Path, content: str, expected: str
) -> None:
    write(tmp_path / "e.json", content)
    process = {"HOME": "/h", "AETHERFLOW_ENV_FILES_JSON": entries({"path": "e.json", "type": "json"})}
    with pytest.raises(ConfigError) as raised:
        load_environment(process, directory=tmp_path)
    assert raised.value.message == expected
