"""What holds for every implementation of the ports `Locks` and `Pools`: in the database, and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import LockNotAcquired, StepError
from aetherflow.sdk.pools import Pools, PoolWait
from aetherflow.sdk.services import Locks
from aetherflow.store import named_locks
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.named_locks import LockTable
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_pools import RunPools
from aetherflow.testing import MemoryLocks, MemoryPools
from tests.polling import eventually

pytestmark = pytest.mark.asyncio

SIZES = {"warehouse": 2}


@asynccontextmanager
async def locks_in_database(path: Path) -> AsyncIterator[Locks]:
    async with DatabasePool().use(path, "normal") as shared:
        yield LockTable(shared.database, SystemClock(), this_process(), "flow", "run")


@asynccontextmanager
async def locks_in_memory(path: Path) -> AsyncIterator[Locks]:
    del path
    yield MemoryLocks()


@asynccontextmanager
async def pools_in_database(path: Path) -> AsyncIterator[Pools]:
    async with DatabasePool(SIZES).use(path, "normal") as shared:
        yield RunPools(shared, SystemClock(), this_process(), "flow", "run")


@asynccontextmanager
async def pools_in_memory(path: Path) -> AsyncIterator[Pools]:
    del path
    yield MemoryPools(SIZES)


OpenLocks = Callable[[Path], AbstractAsyncContextManager[Locks]]
OpenPools = Callable[[Path], AbstractAsyncContextManager[Pools]]
every_kind_of_locks = pytest.mark.parametrize("open_locks", [locks_in_database, locks_in_memory])
every_kind_of_pools = pytest.mark.parametrize("open_pools", [pools_in_database, pools_in_memory])


@pytest.fixture(autouse=True)
def _polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_locks, "POLL_SECONDS", 0.005)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


def lock(
    locks: Locks, key: str = "k", *, wait: float = 0, step: str = "s"
) -> AbstractAsyncContextManager[None]:
    return locks.hold(key, ttl_seconds=30, wait_seconds=wait, job_id="j", step_id=step)


@every_kind_of_locks
async def test_a_lock_is_held_by_one_at_a_time_and_two_keys_are_two_locks(
    open_locks: OpenLocks, path: Path
) -> None:
    async with open_locks(path) as locks:
        async with lock(locks), lock(locks, "other"):
            with pytest.raises(LockNotAcquired, match=r"'k'.*j\.s") as caught:
                async with lock(locks, step="z"):
                    raise AssertionError
            assert caught.value.code == "AF620"
            assert caught.value.detail["lock_key"] == "k"
        async with lock(locks):
            pass


@every_kind_of_locks
async def test_who_waits_gets_the_lock_when_it_is_given_back(open_locks: OpenLocks, path: Path) -> None:
    inside, most, entered = 0, 0, 0

    async def work(locks: Locks) -> None:
        nonlocal inside, most, entered
        async with lock(locks, wait=30):
            inside += 1
            most = max(most, inside)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            inside -= 1
            entered += 1

    async with open_locks(path) as locks, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(work, locks)
    assert (most, entered) == (1, 10)


@every_kind_of_locks
async def test_a_lock_is_given_back_by_an_error_and_by_a_cancellation(
    open_locks: OpenLocks, path: Path
) -> None:
    async with open_locks(path) as locks:
        with pytest.raises(ZeroDivisionError):
            async with lock(locks):
                _ = 1 // 0
        with anyio.move_on_after(0.01):
            async with lock(locks):
                await anyio.sleep_forever()
        async with lock(locks):
            with anyio.move_on_after(0.02) as waiting:
                async with lock(locks, wait=30, step="z"):
                    raise AssertionError
            assert waiting.cancelled_caught
        async with lock(locks):
            pass


def slots(
    pools: Pools,
    count: int = 1,
    pool: str = "warehouse",
    *,
    step: str = "s",
    seen: list[PoolWait] | None = None,
) -> AbstractAsyncContextManager[None]:
    reported = seen if seen is not None else []
    return pools.hold(pool, count, job_id="j", step_id=step, on_wait=reported.append)


@every_kind_of_pools
async def test_as_many_slots_as_there_are_can_be_held_and_who_waits_learns_why(
    open_pools: OpenPools, path: Path
) -> None:
    seen: list[PoolWait] = []
    got = anyio.Event()

    async def third(pools: Pools) -> None:
        async with slots(pools, step="third", seen=seen):
            got.set()

    async with open_pools(path) as pools, anyio.create_task_group() as tasks, slots(pools, step="one"):
        async with slots(pools, step="two"):
            tasks.start_soon(third, pools)
            assert await eventually(lambda: bool(seen))
            assert not got.is_set()
        with anyio.fail_after(30):
            await got.wait()
    [wait] = seen
    assert (wait.pool, wait.slots, wait.size, wait.ahead) == ("warehouse", 1, 2, 0)
    assert [holder.rpartition(".")[2] for holder in wait.held_by] == ["one", "two"]


@every_kind_of_pools
async def test_a_large_request_is_not_starved_by_small_ones_that_come_later(
    open_pools: OpenPools, path: Path
) -> None:
    order: list[str] = []
    seen: list[PoolWait] = []

    async def take(pools: Pools, count: int, name: str) -> None:
        async with slots(pools, count, step=name, seen=seen):
            order.append(name)

    async with open_pools(path) as pools, anyio.create_task_group() as tasks, slots(pools, step="first"):
        for number, (count, name) in enumerate([(2, "large"), (1, "small")], 1):
            tasks.start_soon(take, pools, count, name)
            assert await eventually(lambda wanted=number: len(seen) >= wanted)  # type: ignore[misc]  # mypy infers no lambda defaults
        assert order == []
    assert order == ["large", "small"]


@every_kind_of_pools
async def test_a_pool_that_is_not_there_or_too_small_is_refused(open_pools: OpenPools, path: Path) -> None:
    async with open_pools(path) as pools:
        with pytest.raises(StepError, match="'nowhere'") as caught:
            async with slots(pools, pool="nowhere"):
                raise AssertionError
        assert caught.value.code == "AF640"
        with pytest.raises(StepError, match="3 slots") as caught:
            async with slots(pools, 3):
                raise AssertionError
        assert caught.value.code == "AF641"


@every_kind_of_pools
async def test_who_stops_waiting_leaves_no_claim_behind(open_pools: OpenPools, path: Path) -> None:
    async with open_pools(path) as pools:
        async with slots(pools, 2):
            with anyio.move_on_after(0.05):
                async with slots(pools, 2, step="gone"):
                    raise AssertionError
        with anyio.fail_after(30):
            async with slots(pools, 2, step="next"):
                pass
