"""Waiting for another process's transaction: bounded, cancellable, and the message says who it is."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import anyio
import pytest

from aetherflow.errors import StateError
from aetherflow.store.sqlite_lock_owner import who_locks
from tests.store.real_parts import Child, children, opened, query

HOLDER = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute(f"BEGIN {sys.argv[2]}")
print("ready", flush=True)
sys.stdin.readline()
raw.execute("ROLLBACK")
print("released", flush=True)
sys.stdin.readline()  # its connection stays: closing one takes the lock for a moment
"""


def insert(raw: sqlite3.Connection) -> None:
    raw.execute("INSERT INTO schema_version VALUES (100, 'x')")


def release(holder: Child) -> None:
    holder.tell("release")
    assert holder.hear() == "released"


@pytest.mark.asyncio
async def test_a_transaction_that_waits_for_a_lock_can_be_cancelled(path: Path) -> None:
    async with opened(path) as database:
        with children(1, HOLDER, str(path), "IMMEDIATE") as (holder,):
            with anyio.fail_after(20), anyio.move_on_after(0.05) as given_up:
                await database.transact(insert)
            assert given_up.cancelled_caught
            release(holder)
        assert query(path, "SELECT 1 FROM schema_version WHERE version = 100") == []
        await database.transact(insert)
    assert query(path, "SELECT 1 FROM schema_version WHERE version = 100") == [(1,)]


@pytest.mark.asyncio
async def test_hurry_shortens_a_wait_that_has_begun_and_the_error_names_the_file_and_the_holder(
    path: Path,
) -> None:
    async with opened(path) as database:
        errors: list[StateError] = []

        async def transact() -> None:
            try:
                await database.transact(insert)
            except StateError as error:
                errors.append(error)

        with children(1, HOLDER, str(path), "IMMEDIATE") as (holder,), anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transact)
                await anyio.wait_all_tasks_blocked()
                database.hurry(0.5)
            (error,) = errors
            assert re.search(
                rf"{re.escape(str(path))} .*for more than 0\.5 s: process {holder.process.pid} \(\S+\)$",
                error.message,
            )
            assert "try again" in error.hint
            release(holder)
        await database.transact(insert)


@pytest.mark.asyncio
async def test_others_are_not_held_up_by_a_transaction_that_waits(path: Path) -> None:
    async with opened(path) as database:
        with children(1, HOLDER, str(path), "IMMEDIATE") as (holder,), anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(database.transact, insert)
                await anyio.wait_all_tasks_blocked()
                assert await database.read(lambda raw: raw.execute("SELECT 1").fetchone()) == (1,)
                release(holder)
    assert query(path, "SELECT 1 FROM schema_version WHERE version = 100") == [(1,)]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_holder_of_a_lock_is_found(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.db"
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA journal_mode = {mode}")
    raw.execute("CREATE TABLE t (x)")
    raw.close()
    with children(1, HOLDER, str(path), "EXCLUSIVE") as (holder,):
        assert who_locks(path).startswith(f"process {holder.process.pid} (")
        release(holder)
        assert who_locks(path) == ""
    assert who_locks(tmp_path / "none.db") == ""
