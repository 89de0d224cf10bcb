"""Slots of pools as tasks and processes take them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import StateError, StepError
from aetherflow.sdk.pools import PoolWait
from aetherflow.store import pool_table, pools
from aetherflow.store.database import Database
from aetherflow.store.database_pool import SharedDatabase
from aetherflow.store.pools import SlotRequest
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.run_pools import RunPools
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE, opened, query

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def run_pools(path: Path, clock: FakeClock | SystemClock, size: int = 2) -> AsyncIterator[RunPools]:
    """Open a database that has the pool `p`."""
    async with opened(path) as database:
        await database.transact(lambda raw: pools.set_pool(raw, "p", size, clock.now()))
        yield RunPools(SharedDatabase(database), clock, this_process(), "nightly", "run1")


def hold(
    taken: RunPools, slots: int = 1, waits: list[PoolWait] | None = None, step: str = "s"
) -> AbstractAsyncContextManager[None]:
    """Hold slots of `p`."""
    reported = waits if waits is not None else []
    return taken.hold("p", slots, job_id="j", step_id=step, on_wait=reported.append)


async def others(database: Database, slots: int, clock: FakeClock, owner: ProcessIdentity = ELSEWHERE) -> int:
    """Let another process hold slots; return its claim."""

    def work(raw: sqlite3.Connection) -> int:
        claim = pools.ask(
            raw, SlotRequest("p", slots, "run2", "another", owner, pool_table.TTL_SECONDS), clock.now()
        )
        assert pools.settle(raw, clock.now()) == [claim]
        return claim

    return await database.transact(work)


def claims(path: Path) -> list[tuple[int, bool]]:
    """Return the claims and whether each is granted."""
    return query(path, "SELECT claim_id, granted_at IS NOT NULL FROM pool_claims ORDER BY 1")


async def test_of_twenty_tasks_never_more_than_the_size_are_inside_and_all_come_in_turn(path: Path) -> None:
    inside = 0
    order: list[int] = []

    async def work(taken: RunPools, number: int) -> None:
        nonlocal inside
        slots = 1 + number % 2
        async with hold(taken, slots):
            order.append(number)
            inside += slots
            assert inside <= 2
            await anyio.lowlevel.checkpoint()
            inside -= slots

    async with run_pools(path, SystemClock()) as taken, anyio.create_task_group() as tasks:
        with anyio.fail_after(20):
            for number in range(20):
                tasks.start_soon(work, taken, number)
                await anyio.lowlevel.checkpoint()
    assert sorted(order) == list(range(20))
    assert claims(path) == []


async def test_a_waiter_of_this_process_wakes_without_a_look(path: Path, clock: FakeClock) -> None:
    order: list[str] = []
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        waits: list[PoolWait] = []

        async def second() -> None:
            async with hold(taken, 2, waits, "second"):
                order.append("second")

        async with hold(taken, 1, step="first"):
            tasks.start_soon(second)
            await clock.sleeping(2)  # one renews, one waits
            order.append("first")
        with anyio.fail_after(30):  # the clock stands still: nobody polls
            while len(order) < 2:
                await anyio.lowlevel.checkpoint()
    assert order == ["first", "second"]
    assert waits == [PoolWait("p", 2, 2, ("nightly, run run1, j.first",), 0)]


async def test_what_another_process_frees_is_noticed_at_the_next_look(path: Path, clock: FakeClock) -> None:
    entered = anyio.Event()
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        far = await others(taken.opened.database, 2, clock)

        async def work() -> None:
            async with hold(taken):
                entered.set()

        tasks.start_soon(work)
        await clock.sleeping(1)
        await taken.opened.database.transact(lambda raw: pools.release(raw, far))
        assert not entered.is_set()
        clock.advance(pool_table.POLL_SECONDS)
        with anyio.fail_after(30):
            await entered.wait()


async def test_a_claim_that_waits_is_kept_alive_for_as_long_as_it_takes(path: Path, clock: FakeClock) -> None:
    entered = anyio.Event()
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        far = await others(taken.opened.database, 2, clock)

        async def work() -> None:
            async with hold(taken):
                entered.set()

        tasks.start_soon(work)
        for _ in range(12):
            await clock.sleeping(1)
            clock.advance(pool_table.TTL_SECONDS / 6)
            await taken.opened.database.transact(
                lambda raw: pools.renew(raw, [far], clock.now(), pool_table.TTL_SECONDS)
            )
        await clock.sleeping(1)
        waiting = [claim_id for claim_id, is_granted in claims(path) if not is_granted]
        assert waiting == [far + 1]  # the first one it asked for, after two lifetimes of a claim
        tasks.cancel_scope.cancel()
    assert claims(path) == [(far, True)]


async def test_slots_are_kept_for_as_long_as_the_step_works(path: Path, clock: FakeClock) -> None:
    worked = False
    async with run_pools(path, clock) as taken:
        async with hold(taken, 2):
            for _ in range(7):  # two lifetimes of a claim, and more
                await clock.sleeping(1)
                clock.advance(pool_table.TTL_SECONDS / 3)
            await clock.sleeping(1)
            assert claims(path) == [(1, True)]
            with pytest.raises(AssertionError):  # another process gets none
                await others(taken.opened.database, 1, clock)
            worked = True
        assert worked
    assert claims(path) == []


async def test_a_cancelled_waiter_leaves_the_queue_and_a_cancelled_holder_its_slots(
    path: Path, clock: FakeClock
) -> None:
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        scopes = [anyio.CancelScope(), anyio.CancelScope()]

        async def work(slots: int, scope: anyio.CancelScope) -> None:
            with scope:
                async with hold(taken, slots):
                    await anyio.sleep_forever()

        for scope in scopes:
            tasks.start_soon(work, 2, scope)
        await clock.sleeping(2)
        assert [is_granted for _, is_granted in claims(path)] == [1, 0]
        scopes[1].cancel()
        while len(claims(path)) > 1:
            await anyio.lowlevel.checkpoint()
        scopes[0].cancel()
    assert claims(path) == []


async def test_an_exception_gives_the_slots_back_and_passes(path: Path, clock: FakeClock) -> None:
    async with run_pools(path, clock) as taken:
        with pytest.raises(RuntimeError, match="broken"):
            async with hold(taken):
                raise RuntimeError("broken")
    assert claims(path) == []


async def test_who_loses_the_slots_is_cancelled_and_reported(path: Path, clock: FakeClock) -> None:
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        failures: list[StepError] = []

        async def work() -> None:
            with pytest.raises(StepError, match="slots of the pool 'p' were lost") as lost:
                async with hold(taken):
                    await anyio.sleep_forever()
            failures.append(lost.value)

        tasks.start_soon(work)
        await clock.sleeping(1)
        later = clock.now() + timedelta(seconds=pool_table.TTL_SECONDS + 1)
        await taken.opened.database.transact(lambda raw: pools.settle(raw, later))
        clock.advance(pool_table.TTL_SECONDS / 3)
    assert [failure.code for failure in failures] == ["AF642"]


async def test_a_pool_made_too_small_or_removed_is_reported_to_who_waits_for_it(
    path: Path, clock: FakeClock
) -> None:
    codes: list[str] = []
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        database = taken.opened.database
        await others(database, 1, clock)

        async def work(slots: int) -> None:
            with pytest.raises(StepError) as failed:
                async with hold(taken, slots):
                    pass
            codes.append(failed.value.code)

        tasks.start_soon(work, 2)
        await clock.sleeping(1)
        await database.transact(lambda raw: pools.set_pool(raw, "p", 1, clock.now()))
        clock.advance(pool_table.POLL_SECONDS)
        with anyio.fail_after(30):
            while not codes:
                await anyio.lowlevel.checkpoint()
        tasks.start_soon(work, 1)
        await clock.sleeping(1)
        await database.transact(lambda raw: pools.remove_pool(raw, "p"))
        clock.advance(pool_table.POLL_SECONDS)
    assert codes == ["AF641", "AF640"]


async def test_a_waiter_whose_claim_ran_out_asks_again(path: Path, clock: FakeClock) -> None:
    entered = anyio.Event()
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        database = taken.opened.database
        far = await others(database, 2, clock)

        async def work() -> None:
            async with hold(taken):
                entered.set()

        tasks.start_soon(work)
        await clock.sleeping(1)
        await database.transact(
            lambda raw: pools.release(raw, far + 1)
        )  # as another process that found it stale
        clock.advance(pool_table.POLL_SECONDS)
        await clock.sleeping(1)
        await database.transact(lambda raw: pools.release(raw, far))
        clock.advance(pool_table.POLL_SECONDS)
        with anyio.fail_after(30):
            await entered.wait()


async def test_a_waiter_that_asked_again_leaves_the_queue_when_it_is_cancelled(
    path: Path, clock: FakeClock
) -> None:
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:
        database = taken.opened.database
        far = await others(database, 2, clock)

        async def work() -> None:
            async with hold(taken):
                await anyio.sleep_forever()

        tasks.start_soon(work)
        await clock.sleeping(1)
        await database.transact(lambda raw: pools.release(raw, far + 1))
        clock.advance(pool_table.POLL_SECONDS)
        await clock.sleeping(1)
        assert len(claims(path)) == 2  # it has asked again
        tasks.cancel_scope.cancel()
    assert claims(path) == [(far, True)]


async def test_a_database_that_fails_cancels_what_works_and_is_reported_as_itself(
    path: Path, clock: FakeClock
) -> None:
    async with run_pools(path, clock) as taken, anyio.create_task_group() as tasks:

        async def work() -> None:
            with pytest.raises(StateError):
                async with hold(taken):
                    await anyio.sleep_forever()

        tasks.start_soon(work)
        await clock.sleeping(1)
        await taken.opened.database.transact(lambda raw: raw.execute("DROP TABLE pool_claims"))
        clock.advance(pool_table.TTL_SECONDS / 3)
