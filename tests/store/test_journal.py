from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.lowlevel
import msgspec
import pytest

from aetherflow.errors import ErrorInfo, StateError
from aetherflow.events import run_events as e
from aetherflow.store import database as database_module
from aetherflow.store import journal as journal_module
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, LeaseLost, RunJournal, read_events
from aetherflow.store.lease import Lease
from aetherflow.store.process_identity import ProcessIdentity, this_process
from tests.store.real_parts import ELSEWHERE, T0, job_started, opened, query, started, write_locked


async def take(
    database: Database, run_id: str, owner: ProcessIdentity | None = None, *, after: float = 0
) -> Lease:
    """Take the lease of a run for ten seconds."""
    found = await database.transact(
        lambda raw: leases.acquire(
            raw,
            f"run:{run_id}",
            owner or this_process(),
            run_id,
            now=T0 + timedelta(seconds=after),
            ttl_seconds=10,
        )
    )
    assert isinstance(found, Lease)
    return found


@asynccontextmanager
async def begun(path: Path, *run_ids: str) -> AsyncIterator[tuple[Database, list[RunJournal]]]:
    """Open a database with some runs that have begun."""
    async with opened(path) as database:
        journal = Journal(database)
        runs = [journal.of_run(await take(database, run_id), 1) for run_id in run_ids]
        for run, run_id in zip(runs, run_ids, strict=True):
            await run.commit([started(run_id)])
        yield database, runs


async def count_commits(database: Database) -> list[str]:
    """Return a list that grows by the statements that the connection executes."""
    statements: list[str] = []
    await database.read(lambda raw: raw.set_trace_callback(statements.append))
    return statements


def stored(path: Path, run_id: str) -> list[tuple[int, str | None]]:
    """Return number and job of the events of a run, as another connection sees them."""
    return query(path, "SELECT seq, job_id FROM events WHERE run_id = ? ORDER BY seq", run_id)


async def history(path: Path, run_id: str) -> list[e.Event]:
    """Read a history from the file, opened again."""
    async with opened(path) as database:
        return await database.read(lambda raw: read_events(raw, run_id))


@pytest.mark.asyncio
async def test_what_is_appended_is_there_after_reopening(path: Path) -> None:
    events: list[e.Event] = [
        e.JobStarted(at=T0, flow_id="flow", run_id="r", job_id="a", items=[1, "zwei", None]),
        e.StepFinished(
            at=T0 + timedelta(microseconds=1),
            flow_id="flow",
            run_id="r",
            job_id="a",
            step_id="s",
            step_type="t",
            status="FAILED",
            outputs={"rows": 2**70, "text": 'nul \0 and "quotes" \n ü', "list": [{"x": [1.5, None]}]},
            error=ErrorInfo(code="AF700", message="no", detail={"k": [1]}),
        ),
    ]
    async with begun(path, "r") as (_, (run,)):
        await run.commit(events)
    assert await history(path, "r") == [started("r"), *events]
    assert await history(path, "unknown") == []
    columns = query(path, "SELECT seq, event, at, job_id, step_id, typeof(payload) FROM events ORDER BY seq")
    assert columns == [
        (1, "run_started", "2026-01-01T00:00:00Z", None, None, "text"),
        (2, "job_started", "2026-01-01T00:00:00Z", "a", None, "text"),
        (3, "step_finished", "2026-01-01T00:00:00.000001Z", "a", "s", "text"),
    ]


@pytest.mark.asyncio
async def test_every_run_has_its_own_gapless_numbers_in_the_order_of_its_appends(path: Path) -> None:
    async def append_many(run: RunJournal, run_id: str) -> None:
        for number in range(20):
            await run.commit([job_started(run_id, f"{number}a"), job_started(run_id, f"{number}b")])

    async with begun(path, "one", "two", "three") as (_, runs), anyio.create_task_group() as tasks:
        for run, run_id in zip(runs, ("one", "two", "three"), strict=True):
            tasks.start_soon(append_many, run, run_id)
    jobs = [None, *(f"{number}{letter}" for number in range(20) for letter in "ab")]
    for run_id in ("one", "two", "three"):
        assert stored(path, run_id) == list(enumerate(jobs, start=1))


@pytest.mark.asyncio
async def test_appends_of_one_run_from_many_tasks_keep_the_order_of_their_calls(path: Path) -> None:
    async with begun(path, "r") as (_, (run,)), anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(run.commit, [job_started("r", str(number))])
    assert [seq for seq, _ in stored(path, "r")] == list(range(1, 32))
    assert [job for _, job in stored(path, "r")] == [None, *map(str, range(30))]


@pytest.mark.asyncio
async def test_what_waits_for_the_writer_goes_into_one_transaction(path: Path) -> None:
    names = [f"run{number}" for number in range(20)]
    async with begun(path, *names) as (database, runs):
        statements = await count_commits(database)
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                for run, name in zip(runs, names, strict=True):
                    tasks.start_soon(run.commit, [job_started(name, "a")])
                await anyio.wait_all_tasks_blocked()
                lock.release()
        assert statements.count("COMMIT") == 2  # the first to come, then all that waited meanwhile
    assert all(stored(path, name) == [(1, None), (2, "a")] for name in names)


@pytest.mark.asyncio
async def test_a_run_does_not_write_for_ever_for_the_others(path: Path) -> None:
    """The others append without a pause; the one that writes returns after its own commit."""
    rounds, made_meanwhile, made = 100, -1, 0
    second_commit, queued = anyio.Event(), threading.Event()
    loop = anyio.lowlevel.current_token()
    begun_so_far: list[str] = []

    def watch(statement: str) -> None:
        """Hold the second transaction until one more append waits: from then on one always does."""
        if statement == "BEGIN IMMEDIATE":
            begun_so_far.append(statement)
            if len(begun_so_far) == 2:
                anyio.from_thread.run_sync(second_commit.set, token=loop)
                assert queued.wait(30)

    async def append_once(run: RunJournal) -> None:
        nonlocal made_meanwhile
        await run.commit([job_started("writes", "a")])
        made_meanwhile = made

    async def append_on_and_on(run: RunJournal, run_id: str) -> None:
        nonlocal made
        for number in range(rounds):
            if made_meanwhile >= 0:
                return
            await run.commit([job_started(run_id, str(number))])
            made += 1

    async with begun(path, "writes", "second", "third") as (database, runs):
        await database.read(lambda raw: raw.set_trace_callback(watch))
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(append_once, runs[0])
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(append_on_and_on, runs[1], "second")
                await anyio.wait_all_tasks_blocked()
                lock.release()
                await second_commit.wait()
                tasks.start_soon(append_on_and_on, runs[2], "third")
                await anyio.lowlevel.checkpoint()
                queued.set()
    assert 0 <= made_meanwhile < 10


@pytest.mark.asyncio
async def test_a_run_whose_events_are_stored_does_not_wait_for_those_of_others(path: Path) -> None:
    """Its events went along in the transaction of another run; the next transaction is not its business."""
    loop = anyio.lowlevel.current_token()
    begins = [anyio.Event() for _ in range(3)]
    go_on = [threading.Event() for _ in range(3)]
    in_time: list[bool] = []

    def hold(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE" and len(in_time) < 3:
            anyio.from_thread.run_sync(begins[len(in_time)].set, token=loop)
            in_time.append(go_on[len(in_time)].wait(30))

    async def append_to_the_batch_of_another(run: RunJournal) -> None:
        await run.commit([job_started("third", "a")])
        go_on[2].set()

    async with begun(path, "first", "second", "third", "fourth") as (database, runs):
        await database.read(lambda raw: raw.set_trace_callback(hold))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runs[0].commit, [job_started("first", "a")])
            await begins[0].wait()
            tasks.start_soon(runs[1].commit, [job_started("second", "a")])
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(append_to_the_batch_of_another, runs[2])
            await anyio.wait_all_tasks_blocked()
            go_on[0].set()
            await begins[1].wait()
            tasks.start_soon(runs[3].commit, [job_started("fourth", "a")])
            await anyio.wait_all_tasks_blocked()
            go_on[1].set()
    assert in_time == [True, True, True]


@pytest.mark.asyncio
async def test_a_failure_reaches_every_run_that_waited_for_it(path: Path) -> None:
    names = [f"run{number}" for number in range(8)]
    errors: list[StateError] = []

    async def append(run: RunJournal, run_id: str) -> None:
        with pytest.raises(StateError, match=re.escape(str(path))) as caught:
            await run.commit([job_started(run_id, "x" * 20_000)])
        errors.append(caught.value)

    async with begun(path, *names) as (database, runs):
        pages = await database.read(lambda raw: raw.execute("PRAGMA page_count").fetchone()[0])
        await database.read(lambda raw: raw.execute(f"PRAGMA max_page_count = {pages}").fetchall())
        async with anyio.create_task_group() as tasks:
            for run, run_id in zip(runs, names, strict=True):
                tasks.start_soon(append, run, run_id)
        await database.read(lambda raw: raw.execute("PRAGMA max_page_count = 100000").fetchall())
        assert len(errors) == 8
        assert all("the disk is full" in error.message for error in errors)
        await Journal(database).of_run(runs[0].lease, 2).commit([job_started(names[0], "again")])
    assert stored(path, names[0]) == [(1, None), (2, "again")]
    assert all(stored(path, name) == [(1, None)] for name in names[1:])


@pytest.mark.asyncio
async def test_after_a_failed_append_nothing_later_of_that_run_is_stored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history with a hole would be worse than a short one."""
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    failures: list[str] = []

    async def append(run: RunJournal, job_id: str, release_after: anyio.Event) -> None:
        try:
            await run.commit([job_started("r", job_id)])
        except StateError:
            failures.append(job_id)
        release_after.set()

    async with begun(path, "r", "other") as (_, (run, other)):
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                ended = [anyio.Event(), anyio.Event()]
                tasks.start_soon(append, run, "first", ended[0])
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(append, run, "queued", ended[1])
                await ended[0].wait()
                lock.release()
        with pytest.raises(StateError):
            await run.commit([job_started("r", "later")])
        await other.commit([job_started("other", "a")])
    assert failures == ["first", "queued"]
    assert stored(path, "r") == [(1, None)]
    assert stored(path, "other") == [(1, None), (2, "a")]


@pytest.mark.asyncio
async def test_a_database_that_is_never_free_holds_no_cancelled_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience for other processes ends first; should it not, the shield does."""
    async with begun(path, "r") as (_, (run,)):
        monkeypatch.setattr(journal_module, "SHIELD_SECONDS", 0.1)
        with write_locked(path) as lock:
            with pytest.raises(StateError, match=r"the events could not be stored within 0\.1 s"):
                await run.commit([job_started("r", "a")])
            lock.release()
        with pytest.raises(StateError, match="could not be stored"):
            await run.commit([job_started("r", "later")])
    assert stored(path, "r") == [(1, None)]


@pytest.mark.asyncio
async def test_a_bug_in_the_transaction_leaves_no_run_waiting(path: Path) -> None:
    """A closed database raises what is no StateError; all that wait must hear of it."""
    failures: list[Exception] = []

    async def append(run: RunJournal, run_id: str) -> None:
        try:
            await run.commit([job_started(run_id, "a")])
        except Exception as error:  # noqa: BLE001 - whatever comes is looked at below
            failures.append(error)

    async with begun(path, "one", "two", "three") as (database, runs):
        await database.aclose()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for run, run_id in zip(runs, ("one", "two", "three"), strict=True):
                    tasks.start_soon(append, run, run_id)
    assert len(failures) == 3


@pytest.mark.asyncio
async def test_a_bug_while_storing_reaches_its_writer_and_ends_every_run_of_the_batch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that only waited for the writer get a StateError, and no run stores anything later."""
    failures: dict[str, Exception] = {}

    def broken(*_: object) -> None:
        raise TypeError("a bug")

    async def append(run: RunJournal, run_id: str) -> None:
        try:
            await run.commit([job_started(run_id, "a")])
        except Exception as error:  # noqa: BLE001 - whatever comes is looked at below
            failures[run_id] = error

    names = ("one", "two", "three")
    async with begun(path, *names) as (_, runs):
        with monkeypatch.context() as bug:
            bug.setattr(journal_module, "_store", broken)
            async with anyio.create_task_group() as tasks:
                for run, run_id in zip(runs, names, strict=True):
                    tasks.start_soon(append, run, run_id)
        assert [type(failures[name]) for name in names] == [TypeError, TypeError, StateError]
        assert "could not be stored: TypeError('a bug')" in str(failures["three"])
        for run, name in zip(runs, names, strict=True):
            with pytest.raises(StateError, match="could not be stored: TypeError"):
                await run.commit([job_started(name, "later")])
    assert all(stored(path, name) == [(1, None)] for name in names)


@pytest.mark.asyncio
async def test_a_lease_that_was_taken_over_stores_nothing_while_others_of_the_batch_do(path: Path) -> None:
    lost: list[LeaseLost] = []

    async def append_in_vain(run: RunJournal) -> None:
        with pytest.raises(LeaseLost, match="run:old was taken over") as caught:
            await run.commit([job_started("old", "a"), job_started("old", "b")])
        lost.append(caught.value)

    async with begun(path, "first", "old", "good") as (database, (first, old, good)):
        taken = await take(database, "old", ELSEWHERE, after=11)
        assert taken.generation == 2
        statements = await count_commits(database)
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first.commit, [job_started("first", "a")])
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(append_in_vain, old)
                tasks.start_soon(good.commit, [job_started("good", "a")])
                await anyio.wait_all_tasks_blocked()
                lock.release()
        assert statements.count("COMMIT") == 2
        assert [(error.code, error.exit_code) for error in lost] == [("AF611", 75)]
        with pytest.raises(LeaseLost):
            await old.commit([job_started("old", "later")])
        await Journal(database).of_run(taken, 2).commit([job_started("old", "of the new owner")])
    assert stored(path, "good") == [(1, None), (2, "a")]
    assert stored(path, "old") == [(1, None), (2, "of the new owner")]
    assert query(path, "SELECT job_id FROM job_state WHERE run_id = 'old'") == [("of the new owner",)]


@pytest.mark.asyncio
async def test_a_released_lease_writes_no_more(path: Path) -> None:
    async with begun(path, "r") as (database, (run,)):
        await database.transact(lambda raw: leases.release(raw, run.lease, T0))
        with pytest.raises(LeaseLost):
            await run.commit([job_started("r", "a")])
    assert stored(path, "r") == [(1, None)]


@pytest.mark.asyncio
async def test_a_cancelled_append_still_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the database is locked for much longer than SQLite itself waits."""
    monkeypatch.setattr(database_module, "SLICE_SECONDS", 0.01)
    ended: list[str] = []

    async def append(run: RunJournal, run_id: str, scope: anyio.CancelScope) -> None:
        with scope:
            await run.commit([job_started(run_id, "a")])
            ended.append(run_id)

    async with begun(path, "writes", "waits") as (_, runs):
        scopes = [anyio.CancelScope(), anyio.CancelScope()]
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                for run, run_id, scope in zip(runs, ("writes", "waits"), scopes, strict=True):
                    tasks.start_soon(append, run, run_id, scope)
                await anyio.wait_all_tasks_blocked()
                for scope in scopes:
                    scope.cancel()
                await anyio.sleep(0.2)
                assert ended == []
                lock.release()
    assert ended == ["writes", "waits"]
    assert stored(path, "writes") == stored(path, "waits") == [(1, None), (2, "a")]


@pytest.mark.asyncio
async def test_text_that_utf_8_cannot_say_is_stored_escaped(path: Path) -> None:
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    async with begun(path, "r") as (_, (run,)):
        await run.commit([job_started("r", "a")])
        await run.commit(
            [
                e.JobFinished(
                    at=T0,
                    flow_id="flow",
                    run_id="r",
                    job_id="a",
                    status="FAILED",
                    reason=name,
                    error=ErrorInfo(code="AF700", message=f"no {name}", detail={"paths": [name]}),
                )
            ]
        )
    ended = (await history(path, "r"))[-1]
    assert isinstance(ended, e.JobFinished)
    assert ended.error == ErrorInfo(
        code="AF700", message="no caf\\udce9.csv", detail={"paths": ["caf\\udce9.csv"]}
    )
    assert query(path, "SELECT reason, status FROM job_state") == [("caf\\udce9.csv", "FAILED")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "payload", ["{}", '{"event":"moon_landed"}', '{"event":"job_started","job_id":7}', "[]"]
)
async def test_an_entry_that_cannot_be_read_is_reported_with_file_run_and_number(
    path: Path, payload: str
) -> None:
    async with begun(path, "r") as (database, _):
        await database.transact(
            lambda raw: raw.execute(
                "INSERT INTO events (run_id, seq, event, payload) VALUES ('r', 2, 'x', ?)", (payload,)
            )
        )
        with pytest.raises(StateError, match=r"event 2 of run r cannot be read") as caught:
            await database.read(lambda raw: read_events(raw, "r"))
    assert str(path) in caught.value.message
    assert caught.value.code == "AF604"
    assert caught.value.hint


@pytest.mark.asyncio
async def test_a_field_of_a_later_version_does_not_hinder_reading(path: Path) -> None:
    payload = msgspec.json.decode(msgspec.json.encode(job_started("r", "a"))) | {"from_the_future": [1]}
    async with begun(path, "r") as (database, _):
        await database.transact(
            lambda raw: raw.execute(
                "INSERT INTO events (run_id, seq, event, payload) VALUES ('r', 2, 'job_started', ?)",
                (msgspec.json.encode(payload).decode(),),
            )
        )
    assert (await history(path, "r"))[1] == job_started("r", "a")


@pytest.mark.asyncio
@pytest.mark.parametrize(("lost", "reported"), [(1, "after 0 follows 2"), (2, "after 1 follows 3")])
async def test_an_event_that_is_missing_is_reported_and_nothing_runs_again(
    path: Path, lost: int, reported: str
) -> None:
    async with begun(path, "r") as (database, _):
        for seq in (2, 3):
            payload = msgspec.json.encode(job_started("r", f"j{seq}")).decode()
            await database.transact(
                lambda raw, seq=seq, payload=payload: raw.execute(  # type: ignore[misc]
                    "INSERT INTO events (run_id, seq, event, payload) VALUES ('r', ?, 'job_started', ?)",
                    (seq, payload),
                )
            )
        await database.transact(lambda raw: raw.execute("DELETE FROM events WHERE seq = ?", (lost,)))
        with pytest.raises(StateError, match=f"event {lost} of run r is missing: {reported}") as caught:
            await database.read(lambda raw: read_events(raw, "r"))
    assert str(path) in caught.value.message
    assert caught.value.code == "AF604"
