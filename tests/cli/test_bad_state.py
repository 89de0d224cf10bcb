"""A state database that cannot be used: the error names its file and what to do, before anything runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, no_trace
from tests.polling import wait_until


def _below_a_file(path: Path) -> Path:
    path.write_text("a file")
    return path / "state.db"


def _a_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _no_database(path: Path) -> Path:
    path.write_bytes(b"no database at all" * 100)
    return path


def _of_another_program(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE theirs (x)")
    return path


def _of_a_newer_version(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 0x41457466")
        database.execute("PRAGMA user_version = 99")
    return path


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "its folder is a file": (_below_a_file, "AF601", "cannot make the folder"),
    "a folder": (_a_folder, "AF601", "it is a folder"),
    "no database": (_no_database, "AF601", "no SQLite database"),
    "of another program": (_of_another_program, "AF602", "not one of AetherFlow's"),
    "of a newer version": (_of_a_newer_version, "AF603", "version 99, newer than"),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_an_unusable_state_is_refused_and_left_as_it_is(cli: CommandLine, how: str) -> None:
    make, code, words = UNUSABLE[how]
    path = make(cli.folder / "mine.db")
    before = path.read_bytes() if path.is_file() else b""
    cli.write("flow.yaml", OK.replace("{id: f}", f"{{id: f, state: {{path: {path}}}}}"))

    result = cli.run("run", "flow.yaml")

    assert result.code == 2, result
    assert f"error[{code}]" in result.err
    assert words in result.err
    assert str(path) in result.err
    assert "hint: " in result.err
    assert no_trace(result)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_state_path_that_needs_a_variable_names_the_key_and_the_variable(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK.replace("{id: f}", '{id: f, state: {path: "{{env.NOWHERE}}/s.db"}}'))

    result = cli.run("run", "flow.yaml")

    assert result.code == 2
    assert "flow.state.path" in result.err
    assert "NOWHERE" in result.err


@pytest.mark.parametrize("how", ["its folder is a file", "a folder"])
def test_doctor_finds_a_state_path_that_cannot_be_used(cli: CommandLine, how: str) -> None:
    path = UNUSABLE[how][0](cli.folder / "mine.db")
    cli.write("flow.yaml", OK.replace("{id: f}", f"{{id: f, state: {{path: {path}}}}}"))

    result = cli.run("doctor", "flow.yaml", "--json")

    assert result.code == 2
    state = next(one for one in result.json()["results"] if one["subject"] == "state")
    assert state["state"] == "error"
    assert str(cli.folder / "mine.db") in state["message"]


def test_a_database_that_is_locked_for_a_while_is_waited_for(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run("run", "flow.yaml", "--run-id", "first").code == 0
    with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with cli.start("run", "flow.yaml", "--run-id", "second") as run:
            wait_until(lambda: _has_open(run.process, cli.state))
            assert cli.query("select run_id from runs") == [("first",)]
            assert run.process.poll() is None
            other.execute("ROLLBACK")
            result = run.end()
    assert result.code == 0, result
    assert cli.query("select status from runs where run_id = 'second'") == [("SUCCESS",)]


def _has_open(process: subprocess.Popen[str], path: Path) -> bool:
    assert process.poll() is None
    folder = Path(f"/proc/{process.pid}/fd")
    found = set()
    for link in folder.iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.add(os.path.realpath(link))
    return str(path) in found
