from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from aetherflow.config.env_files import parse_env_files, read_env_file
from aetherflow.errors import ConfigError, InvalidInput
from aetherflow.spec.env_file import EnvFile


def test_entries_are_read_with_their_defaults() -> None:
    text = '[{"type": "json", "path": "a.json", "optional": true, "prefix": "P_"}, {"path": ".env"}]'
    assert parse_env_files(text) == [
        EnvFile(type="json", path="a.json", optional=True, prefix="P_"),
        EnvFile(path=".env"),
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('[{"path": "a", "typ": "json"}]', "AETHERFLOW_ENV_FILES_JSON:1:16", "'type'"),
        ('[{"path": "a", "type": "yaml"}]', "AETHERFLOW_ENV_FILES_JSON:1:16", "dotenv"),
        ('[{"type": "json"}]', "AETHERFLOW_ENV_FILES_JSON:1:2", "path"),
        ('{"path": "a"}', "AETHERFLOW_ENV_FILES_JSON:1:1", "list"),
        ('[{"path": "a"]', "AETHERFLOW_ENV_FILES_JSON:1:14", "AF103"),
    ],
)
def test_a_wrong_entry_is_reported_with_its_place_in_the_variable(text: str, place: str, words: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_env_files(text)
    assert place in raised.value.message
    assert words in raised.value.message


def test_all_wrong_entries_are_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_env_files('[{"path": [1]}, {"path": ""}, {"path": "a", "optional": "yes"}]')
    assert len(raised.value.diagnostics) == 3


def test_a_dotenv_file_may_have_a_mark_and_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b'\xef\xbb\xbfA=1\r\nB="x\r\ny"\r\n')
    assert read_env_file(EnvFile(path=".env"), tmp_path) == {"A": "1", "B": "x\ny"}


def test_json_values_become_text_and_null_is_left_out(tmp_path: Path) -> None:
    values = {
        "TEXT": "a",
        "INT": 3,
        "FLOAT": 1.5,
        "YES": True,
        "NULL": None,
        "LIST": [1, "ü"],
        "MAP": {"a": None},
    }
    (tmp_path / "env.json").write_text(json.dumps(values), encoding="utf-8")
    assert read_env_file(EnvFile(path="env.json", type="json"), tmp_path) == {
        "TEXT": "a",
        "INT": "3",
        "FLOAT": "1.5",
        "YES": "true",
        "LIST": '[1, "ü"]',
        "MAP": '{"a": null}',
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"PW": "hunter2",\n?}', "env.json:2:1: this is not JSON"),
        ('["hunter2"]', "env.json: the JSON of an env file must be an object"),
        ('"hunter2"', "env.json: the JSON of an env file must be an object"),
        ('{"PIN": ' + "7" * 5000 + "}", "env.json: a number of this JSON is too long"),
        ("[" * 100_000, "env.json: this JSON is nested too deeply"),
    ],
)
def test_a_malformed_json_file_is_reported_without_its_values(
    tmp_path: Path, content: str, expected: str
) -> None:
    (tmp_path / "env.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read_env_file(EnvFile(path="env.json", type="json"), tmp_path)
    assert expected in raised.value.message
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("spelling", ["dir", "directory", "dir-of-files"])
def test_a_directory_gives_one_variable_per_visible_file(tmp_path: Path, spelling: str) -> None:
    """As Kubernetes mounts a secret: links into `..data`, which is a link to a directory itself."""
    data = tmp_path / "..2026_01_01"
    data.mkdir()
    (data / "password").write_bytes(b"hunter2\n\n")
    (data / "user").write_bytes(b"etl")
    (tmp_path / "..data").symlink_to(data)
    (tmp_path / "password").symlink_to(tmp_path / "..data" / "password")
    (tmp_path / "user").symlink_to(tmp_path / "..data" / "user")
    (tmp_path / "crlf").write_bytes(b"a\r\nb\r\n")
    (tmp_path / ".hidden").write_text("x", encoding="utf-8")
    (tmp_path / "subdirectory").mkdir()
    entry = prefixed_entry(tmp_path, spelling)
    assert read_env_file(entry, Path("/nowhere")) == {
        "DB_password": "hunter2\n",
        "DB_user": "etl",
        "DB_crlf": "a\r\nb",
    }


def prefixed_entry(path: Path, spelling: str) -> EnvFile:
    entries = parse_env_files(json.dumps([{"path": str(path), "type": spelling, "prefix": "DB_"}]))
    return entries[0]


@pytest.mark.parametrize("kind", ["dotenv", "json", "dir"])
def test_an_optional_file_may_be_absent_and_another_may_not(tmp_path: Path, kind: str) -> None:
    text = json.dumps([{"path": "absent", "type": kind, "optional": optional} for optional in (True, False)])
    optional, required = parse_env_files(text)
    assert read_env_file(optional, tmp_path) == {}
    with pytest.raises(ConfigError, match="absent: cannot read this env file: no such file") as raised:
        read_env_file(required, tmp_path)
    assert "optional: true" in raised.value.hint


def test_a_home_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'~no_such_user/x': there is no user"):
        read_env_file(EnvFile(path="~no_such_user/x"), tmp_path)


def test_an_optional_file_that_is_there_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        read_env_file(EnvFile(path=".", optional=True), tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match=r"\.env: this env file is not UTF-8 text \(byte 2\)"):
        read_env_file(EnvFile(path=".env"), tmp_path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: cannot read this env file: it is a named pipe"):
        read_env_file(EnvFile(path="pipe", optional=True), tmp_path)


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/zero: this env file is larger than 1 MiB"):
        read_env_file(EnvFile(path="/dev/zero"), tmp_path)
    assert read_env_file(EnvFile(path="/dev/null"), tmp_path) == {}


def test_format_is_an_older_spelling_of_type(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"A": 1}')
    (old,) = parse_env_files('[{"path": "a.json", "format": "json"}]')
    assert read_env_file(old, tmp_path) == {"A": "1"}
    assert EnvFile(path="a", type="dir", format="json").kind == "dir"
    with pytest.raises(InvalidInput, match="'format': the text 'jsn' is not allowed"):
        parse_env_files('[{"path": "a.json", "format": "jsn"}]')


def test_a_number_of_a_json_file_is_the_characters_that_are_written(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text('{"V": 3.10, "E": 1e3, "Z": -0, "T": true, "L": [3.10, 1], "S": "007"}')
    found = read_env_file(EnvFile("e.json", "json"), tmp_path)
    assert found == {"V": "3.10", "E": "1e3", "Z": "-0", "T": "true", "L": "[3.1, 1]", "S": "007"}
