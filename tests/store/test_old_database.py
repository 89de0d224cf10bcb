"""A state database of AetherFlow 0.0 is known by its tables, and is only ever read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aetherflow.store.old_database import beside_old, ended_steps, old_beside
from tests.store.old_layout import write_old_database


def test_a_database_of_0_0_has_ours_beside_it(tmp_path: Path) -> None:
    old = write_old_database(tmp_path / "state.sqlite")

    assert beside_old(old) == tmp_path / "state.v1.sqlite"
    assert old_beside(tmp_path / "state.v1.sqlite") == old
    assert beside_old(tmp_path / "state.v1.sqlite") == tmp_path / "state.v1.sqlite"


def test_reading_it_leaves_nothing_beside_it_and_nothing_in_it(tmp_path: Path) -> None:
    old = write_old_database(tmp_path / "state.sqlite")
    before = old.read_bytes(), old.stat().st_mtime_ns

    beside_old(old)
    ended_steps(old, "r")

    assert (old.read_bytes(), old.stat().st_mtime_ns) == before
    assert [path.name for path in tmp_path.iterdir()] == ["state.sqlite"]


def test_ours_stays_in_use_when_the_old_one_is_gone(tmp_path: Path) -> None:
    (tmp_path / "state.v1.sqlite").touch()

    assert beside_old(tmp_path / "state.sqlite") == tmp_path / "state.v1.sqlite"


def test_the_steps_that_0_0_would_not_repeat(tmp_path: Path) -> None:
    old = write_old_database(tmp_path / "state.sqlite")

    assert ended_steps(old, "r") == ["load.read", "load.send"]
    assert ended_steps(old, "another") == []


OURS = """
CREATE TABLE job_runs (x); CREATE TABLE step_runs (x); CREATE TABLE locks (x); PRAGMA application_id = 9;
"""


@pytest.mark.parametrize("script", ["CREATE TABLE theirs (x)", "CREATE TABLE job_runs (x)", OURS])
def test_other_databases_are_none_of_0_0(tmp_path: Path, script: str) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(script)

    assert beside_old(path) == path


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0 and then nothing"])
def test_what_cannot_be_read_is_left_to_those_who_open_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)

    assert beside_old(path) == path
    assert beside_old(tmp_path) == tmp_path
    assert old_beside(path) is None
