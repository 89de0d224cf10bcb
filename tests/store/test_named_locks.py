from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import StateError, StepError
from aetherflow.store import database as database_room
from aetherflow.store import lease as leases
from aetherflow.store import named_locks
from aetherflow.store.lease import Lease
from aetherflow.store.named_locks import LockTable
from aetherflow.store.process_identity import this_process
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE, opened, query, write_locked

TTL = 30.0


@asynccontextmanager
async def lock_table(path: Path, clock: FakeClock) -> AsyncIterator[LockTable]:
    """Open a database with its locks."""
    async with opened(path) as database:
        yield LockTable(database, clock, this_process(), "nightly", "run1")


def hold(locks: LockTable, *, wait: float = 0, step: str = "s") -> AbstractAsyncContextManager[None]:
    """Hold the lock `key`."""
    return locks.hold("key", ttl_seconds=TTL, wait_seconds=wait, job_id="j", step_id=step)


async def take_over(locks: LockTable) -> Lease:
    """Take the lock as another host would whose clock says that the lease ran out."""
    now = locks.clock.now() + timedelta(seconds=TTL + 1)
    found = await locks.database.transact(
        lambda raw: leases.acquire(raw, "lock:key", ELSEWHERE, "another", now=now, ttl_seconds=1000)
    )
    assert isinstance(found, Lease)
    return found


def held(path: Path) -> list[tuple[str, int]]:
    """Return the locks that are not given back, with their generation."""
    return query(path, "SELECT name, generation FROM leases WHERE released_at IS NULL")


@pytest.mark.asyncio
async def test_of_twenty_tasks_never_two_are_inside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_locks, "POLL_SECONDS", 0.005)
    inside = entered = 0

    async def work(locks: LockTable) -> None:
        nonlocal inside, entered
        async with hold(locks, wait=60):
            inside += 1
            assert inside == 1
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert inside == 1
            inside -= 1
            entered += 1

    async with opened(path) as database:
        locks = LockTable(database, SystemClock(), this_process(), "nightly", "run1")
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(work, locks)
    assert entered == 20
    assert held(path) == []
    assert query(path, "SELECT generation FROM leases") == [(20,)]


@pytest.mark.asyncio
async def test_two_keys_are_two_locks(path: Path, clock: FakeClock) -> None:
    async with (
        lock_table(path, clock) as locks,
        hold(locks),
        locks.hold("other", ttl_seconds=TTL, wait_seconds=0, job_id="j", step_id="s"),
    ):
        assert held(path) == [("lock:key", 1), ("lock:other", 1)]


@pytest.mark.asyncio
async def test_a_held_lock_fails_at_once_and_names_its_holder_and_since_when(
    path: Path, clock: FakeClock
) -> None:
    async with lock_table(path, clock) as locks, hold(locks, step="first"):
        with pytest.raises(StepError) as caught:
            async with hold(locks, step="second"):
                pytest.fail("two are inside")
    assert caught.value.message == (
        f"the lock 'key' is held by nightly, run run1, j.first ({this_process()})"
        " since 2026-01-01T00:00:00.000000Z"
    )
    assert caught.value.code == "AF620"
    assert caught.value.hint
    assert caught.value.detail == {
        "lock_key": "key",
        "holder": "nightly, run run1, j.first",
        "since": "2026-01-01T00:00:00.000000Z",
        "until": "2026-01-01T00:00:30.000000Z",
    }


@pytest.mark.asyncio
async def test_wait_seconds_passes_before_a_held_lock_fails(path: Path, clock: FakeClock) -> None:
    errors: list[StepError] = []

    async def wait(locks: LockTable) -> None:
        with pytest.raises(StepError) as caught:
            async with hold(locks, wait=1.2):
                pytest.fail("two are inside")
        errors.append(caught.value)

    async with lock_table(path, clock) as locks, hold(locks), anyio.create_task_group() as tasks:
        tasks.start_soon(wait, locks)
        for seconds in (0.5, 0.5):
            await clock.sleeping(2)  # the holder's renewal and the one that waits
            clock.advance(seconds)
        await clock.sleeping(2)
        assert errors == []
        clock.advance(0.2)
    assert "(waited 1.2 s)" in errors[0].message


@pytest.mark.asyncio
async def test_a_lock_that_is_given_back_in_time_is_got_by_the_one_that_waits(
    path: Path, clock: FakeClock
) -> None:
    got = anyio.Event()

    async def wait(locks: LockTable) -> None:
        async with hold(locks, wait=10):
            got.set()

    async with lock_table(path, clock) as locks, anyio.create_task_group() as tasks:
        async with hold(locks):
            tasks.start_soon(wait, locks)
            await clock.sleeping(2)
        assert not got.is_set()
        clock.advance(0.5)
        await got.wait()


@pytest.mark.asyncio
async def test_a_lock_is_renewed_far_beyond_its_ttl(path: Path, clock: FakeClock) -> None:
    async with lock_table(path, clock) as locks, hold(locks):
        for _ in range(12):
            await clock.sleeping(1)
            clock.advance(TTL / 3)
        await clock.sleeping(1)
        other = LockTable(locks.database, clock, ELSEWHERE, "nightly", "run2")
        with pytest.raises(StepError, match="is held by nightly, run run1"):
            async with hold(other):
                pytest.fail("two are inside")
    assert held(path) == []


@pytest.mark.asyncio
async def test_a_lock_that_was_lost_cancels_the_block_and_says_so(path: Path, clock: FakeClock) -> None:
    reported: list[str] = []

    async def work(locks: LockTable) -> None:
        async with hold(locks):
            await clock.sleeping(1)
            await take_over(locks)
            clock.advance(TTL / 3)
            try:
                await anyio.sleep_forever()
            finally:
                reported.append("cancelled")

    async with lock_table(path, clock) as locks:
        with pytest.raises(StepError, match="the lock 'key' was lost to another process") as caught:
            await work(locks)
    assert reported == ["cancelled"]
    assert caught.value.code == "AF621"
    assert held(path) == [("lock:key", 2)]  # the new holder keeps it


@pytest.mark.asyncio
async def test_a_lock_that_was_lost_is_reported_also_when_the_block_ended_before_the_next_renewal(
    path: Path, clock: FakeClock
) -> None:
    async with lock_table(path, clock) as locks:
        with pytest.raises(StepError) as caught:
            async with hold(locks):
                await take_over(locks)
    assert caught.value.code == "AF621"


@pytest.mark.asyncio
async def test_a_lost_lock_is_reported_before_what_the_block_made_of_it(path: Path, clock: FakeClock) -> None:
    async def work(locks: LockTable) -> None:
        async with hold(locks):
            await take_over(locks)
            raise ValueError("the block's own")

    async with lock_table(path, clock) as locks:
        with pytest.raises(StepError) as caught:
            await work(locks)
    assert caught.value.code == "AF621"
    assert repr(caught.value.__cause__) == repr(ValueError("the block's own"))


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ValueError("a bug"), StepError("reported", code="AF700"), TimeoutError()])
async def test_an_exception_of_the_block_passes_as_it_is_and_gives_the_lock_back(
    path: Path, clock: FakeClock, error: Exception
) -> None:
    async def work(locks: LockTable) -> None:
        async with hold(locks):
            await anyio.lowlevel.checkpoint()
            raise error

    async with lock_table(path, clock) as locks:
        with pytest.raises(type(error)) as caught:
            await work(locks)
        assert caught.value is error
        assert held(path) == []
        async with hold(locks):
            assert held(path) == [("lock:key", 2)]


@pytest.mark.asyncio
async def test_a_cancelled_block_gives_the_lock_back(path: Path, clock: FakeClock) -> None:
    async with lock_table(path, clock) as locks:
        with anyio.CancelScope() as scope:
            async with hold(locks):
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert held(path) == []


@pytest.mark.asyncio
async def test_one_that_is_cancelled_as_it_gets_the_lock_gives_it_back(path: Path, clock: FakeClock) -> None:
    async with lock_table(path, clock) as locks:
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with hold(locks):
                await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert held(path) == []
        assert query(path, "SELECT count(*) FROM leases") == [(1,)]


@pytest.mark.asyncio
@pytest.mark.parametrize("unlock", [True, False])
async def test_a_renewal_that_fails_cancels_the_block_with_a_plain_state_error(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, unlock: bool
) -> None:
    monkeypatch.setattr(database_room, "BUSY_SECONDS", 0.05)

    async def work(locks: LockTable, stack: AsyncExitStack) -> None:
        async with hold(locks):
            await clock.sleeping(1)
            lock = stack.enter_context(write_locked(path))
            clock.advance(TTL / 3)
            try:
                await anyio.sleep_forever()
            finally:
                if unlock:
                    lock.release()

    async with lock_table(path, clock) as locks, AsyncExitStack() as stack:
        with pytest.raises(StateError, match="kept it locked") as caught:
            await work(locks, stack)
    assert type(caught.value) is StateError
    assert held(path) == ([] if unlock else [("lock:key", 1)])
