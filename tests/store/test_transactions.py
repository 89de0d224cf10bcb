from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from aetherflow.errors import StateError, StateUnusable
from aetherflow.store import database as database_module
from aetherflow.store.database import Database
from tests.store.real_parts import children, opened, query

HOLDER = """
import sqlite3, sys
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.readline()
raw.execute("ROLLBACK")
print("released", flush=True)
sys.stdin.readline()  # its connection stays: closing one takes the lock for a moment
"""

FILLER = """
import asyncio, resource, sys
from pathlib import Path
from aetherflow.errors import StateError
from aetherflow.store.database import Database

async def main():
    database = await Database.open(Path(sys.argv[1]))
    insert = lambda n: lambda raw: raw.execute("INSERT INTO schema_version VALUES (?, ?)", (n, "x" * 1000))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    stored = 100
    try:
        while stored < 10_000:
            await database.transact(insert(stored))
            stored += 1
    except StateError as error:
        print("ready", flush=True)
        print(type(error).__name__, error, flush=True)
    print(stored, flush=True)
    count = lambda raw: raw.execute("SELECT count(*) FROM schema_version WHERE version >= 100").fetchone()[0]
    print(await database.read(count), flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await database.transact(insert(stored))
    print(await database.read(lambda raw: raw.execute("PRAGMA integrity_check").fetchone()[0]), flush=True)
    await database.aclose()

asyncio.run(main())
"""


def insert(number: int, text: str = "x") -> Callable[[sqlite3.Connection], None]:
    """Return work that stores one row."""

    def work(raw: sqlite3.Connection) -> None:
        raw.execute("INSERT INTO schema_version VALUES (?, ?)", (number, text))

    return work


def numbers(path: Path) -> list[int]:
    """Return what `insert` has stored, as another connection sees it."""
    return [
        row[0] for row in query(path, "SELECT version FROM schema_version WHERE version >= 100 ORDER BY 1")
    ]


@pytest.mark.asyncio
async def test_a_transaction_returns_its_result_and_is_seen_by_others(path: Path) -> None:
    async with opened(path) as database:

        def work(raw: sqlite3.Connection) -> str:
            insert(100)(raw)
            assert numbers(path) == []
            return "done"

        assert await database.transact(work) == "done"
        assert numbers(path) == [100]


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ValueError("a bug"), KeyError("another"), StateError("reported")])
async def test_work_that_raises_leaves_nothing(path: Path, error: Exception) -> None:
    async with opened(path) as database:

        def work(raw: sqlite3.Connection) -> None:
            insert(100)(raw)
            raise error

        with pytest.raises(type(error)):
            await database.transact(work)
        await database.transact(insert(101))
        assert numbers(path) == [101]


@pytest.mark.asyncio
async def test_a_statement_that_fails_is_reported_with_the_file_and_undoes_those_before(path: Path) -> None:
    async with opened(path) as database:

        def work(raw: sqlite3.Connection) -> None:
            insert(100)(raw)
            insert(100)(raw)

        with pytest.raises(StateError, match=re.escape(str(path))) as caught:
            await database.transact(work)
        assert not isinstance(caught.value, StateUnusable)
        assert caught.value.exit_code == 1
        assert numbers(path) == []


@pytest.mark.asyncio
async def test_a_state_error_of_the_work_is_reported_with_the_file(path: Path) -> None:
    async with opened(path) as database:

        def work(_: sqlite3.Connection) -> None:
            raise StateError("an entry cannot be read", code="AF604", hint="do this")

        with pytest.raises(StateError, match=re.escape(f"{path}: an entry cannot be read")) as caught:
            await database.read(work)
        assert (caught.value.code, caught.value.hint) == ("AF604", "do this")


@pytest.mark.asyncio
async def test_the_outcome_of_a_transaction_in_flight_is_awaited_when_its_task_is_cancelled(
    path: Path,
) -> None:
    began, go = anyio.Event(), threading.Event()
    loop = anyio.lowlevel.current_token()
    results: list[str] = []

    def work(raw: sqlite3.Connection) -> str:
        anyio.from_thread.run_sync(began.set, token=loop)
        assert go.wait(30)
        insert(100)(raw)
        return "stored"

    async def write(database: Database) -> None:
        results.append(await database.transact(work))
        await anyio.lowlevel.checkpoint()
        results.append("not cancelled")

    async with opened(path) as database:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, database)
            await began.wait()
            tasks.cancel_scope.cancel()
            go.set()
        assert results == ["stored"]
        assert numbers(path) == [100]


@pytest.mark.asyncio
async def test_a_failure_in_flight_is_seen_although_its_task_was_cancelled(path: Path) -> None:
    async with opened(path) as database:
        with anyio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(StateError):
                await database.transact(lambda raw: raw.execute("INSERT INTO nowhere VALUES (1)"))
        await database.transact(insert(100))
        assert numbers(path) == [100]


@pytest.mark.asyncio
async def test_a_lock_of_another_process_is_reported_after_the_busy_timeout(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    async with opened(path) as database:
        with children(1, HOLDER, str(path)) as (holder,):
            with pytest.raises(StateError, match=re.escape(str(path))) as caught:
                await database.transact(insert(100))
            assert "another process has kept it locked" in caught.value.message
            assert "lsof" in caught.value.hint
            assert await database.read(lambda raw: raw.execute("SELECT 1").fetchone()) == (1,)
            holder.tell("release")
            assert holder.hear() == "released"
            await database.transact(insert(101))
        assert numbers(path) == [101]


@pytest.mark.asyncio
async def test_a_lock_that_is_released_in_time_is_waited_for(path: Path) -> None:
    async with opened(path) as database:
        with children(1, HOLDER, str(path)) as (holder,):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(database.transact, insert(100))
                await anyio.wait_all_tasks_blocked()
                assert numbers(path) == []
                holder.tell("release")
        assert numbers(path) == [100]


@pytest.mark.asyncio
async def test_a_full_disk_is_reported_by_name_and_loses_nothing_that_was_committed(path: Path) -> None:
    async with opened(path) as database:
        await database.transact(insert(100))

        def limit(raw: sqlite3.Connection, pages: int) -> None:
            raw.execute(f"PRAGMA max_page_count = {pages}")

        pages = await database.read(lambda raw: raw.execute("PRAGMA page_count").fetchone()[0])
        await database.read(lambda raw: limit(raw, pages))
        with pytest.raises(StateError, match=re.escape(str(path))) as caught:
            await database.transact(insert(101, "x" * 100_000))
        assert "the disk is full" in caught.value.message
        assert "what was stored is kept" in caught.value.hint
        assert numbers(path) == [100]
        await database.read(lambda raw: limit(raw, 1_000_000))
        await database.transact(insert(102, "x" * 100_000))
        assert numbers(path) == [100, 102]
        assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_may_not_grow_is_reported_by_name_and_loses_nothing_that_was_committed(
    path: Path,
) -> None:
    with children(1, FILLER, str(path)) as (filler,):
        assert filler.hear().startswith(f"StateError the state database {path} cannot be used: the disk")
        stored = int(filler.hear())
        assert stored > 110
        assert int(filler.hear()) == stored - 100
        assert filler.hear() == "ok"
        assert filler.process.wait(30) == 0
    assert numbers(path) == list(range(100, stored + 1))
