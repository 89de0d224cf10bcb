"""Requests to cancel a run, the lock of a flow, and locks that are taken away."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow.errors import HeldByAnother, StepError
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.journal import LeaseLost
from aetherflow.store.lease import Lease, LeaseStatus
from aetherflow.store.named_locks import LockTable, release_lock
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.run_lease import (
    LOOK_SECONDS,
    TTL_SECONDS,
    claim_flow,
    claim_run,
    is_executed,
    keep_alive,
    release_run,
    request_cancel,
)
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE, opened, query


async def ask(database: Database, clock: FakeClock, run_id: str = "r") -> LeaseStatus | None:
    """Ask for the end of a run."""
    return await database.transact(lambda raw: request_cancel(raw, run_id, "enough", clock.now()))


async def take_away(database: Database, clock: FakeClock, key: str, *, force: bool) -> LeaseStatus | None:
    """Release a lock from outside."""
    return await database.transact(lambda raw: release_lock(raw, key, clock.now(), force=force))


def dead() -> ProcessIdentity:
    """Return a process of this host that has ended: its pid is in use by another one."""
    me = this_process()
    return ProcessIdentity(host=me.host, pid=me.pid, started="1")


@pytest.mark.asyncio
async def test_a_request_reaches_the_holder_within_a_second(path: Path, clock: FakeClock) -> None:
    heard: list[str] = []
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_alive, database, claim.lease, clock, heard.append)
            await clock.sleeping(1)
            clock.advance(LOOK_SECONDS)
            await clock.sleeping(1)
            assert heard == []
            grip = await ask(database, clock)
            clock.advance(LOOK_SECONDS)
            await clock.sleeping(1)
            tasks.cancel_scope.cancel()
    assert heard == ["enough"]
    assert grip is not None
    assert (grip.holder.owner, grip.generation, grip.validity) == (this_process(), 1, "live")


@pytest.mark.asyncio
async def test_looking_does_not_renew_and_every_third_of_the_ttl_does(path: Path, clock: FakeClock) -> None:
    ends = "SELECT expires_at FROM leases"
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_alive, database, claim.lease, clock)
            for _ in range(9):
                await clock.sleeping(1)
                clock.advance(LOOK_SECONDS)
            await clock.sleeping(1)
            assert query(path, ends) == [("2026-01-01T00:00:30.000000Z",)]
            clock.advance(LOOK_SECONDS)
            await clock.sleeping(1)
            assert query(path, ends) == [("2026-01-01T00:00:40.000000Z",)]
            tasks.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_nobody_is_asked_for_a_run_that_is_not_executed(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        assert await ask(database, clock, "unknown") is None
        claim = await claim_run(database, "ended", this_process(), clock)
        await release_run(database, claim.lease, clock)
        assert await ask(database, clock, "ended") is None
        await claim_run(database, "killed", dead(), clock)
        assert await ask(database, clock, "killed") is None
        await claim_run(database, "elsewhere", ELSEWHERE, clock)
        assert await ask(database, clock, "elsewhere") is not None
        clock.advance(TTL_SECONDS + 1)
        assert await ask(database, clock, "elsewhere") is None


@pytest.mark.asyncio
async def test_a_request_ends_with_the_lease_that_it_was_made_for(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        first = await claim_run(database, "r", ELSEWHERE, clock)
        await ask(database, clock)
        assert query(path, "SELECT cancel_reason FROM leases") == [("enough",)]
        clock.advance(TTL_SECONDS + 1)
        second = await claim_run(database, "r", this_process(), clock)
        assert query(path, "SELECT cancel_reason FROM leases") == [(None,)]
        assert (first.lease.generation, second.lease.generation) == (1, 2)
        assert not await database.read(lambda raw: is_executed(raw, "r", 1, clock.now()))
        assert await database.read(lambda raw: is_executed(raw, "r", 2, clock.now()))
        await release_run(database, second.lease, clock)
        assert not await database.read(lambda raw: is_executed(raw, "r", 2, clock.now()))


@pytest.mark.asyncio
async def test_one_run_of_a_flow_at_a_time_and_the_second_learns_which(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        lease = await claim_flow(database, "f", "one", ELSEWHERE, clock, 600)
        with pytest.raises(HeldByAnother) as caught:
            await claim_flow(database, "f", "two", this_process(), clock, 600)
        assert caught.value.message == (
            "one run of the flow f at a time (locks.scope: flow): the lock 'flow:f' is held by f, run one "
            "(process 4711 on another-host) since 2026-01-01T00:00:00.000000Z"
        )
        assert (caught.value.code, caught.value.exit_code) == ("AF620", 75)
        assert "if its machine is gone: aetherflow locks release flow:f --force" in str(caught.value.hint)
        await claim_flow(database, "g", "three", this_process(), clock, 600)
        with pytest.raises(HeldByAnother) as caught:
            await claim_flow(database, "g", "four", this_process(), clock, 600)
        assert "--force" not in str(caught.value.hint), "of a process here it is known whether it is alive"
        await release_run(database, lease, clock)
        assert (await claim_flow(database, "f", "two", this_process(), clock, 600)).generation == 2


@pytest.mark.asyncio
async def test_the_lock_of_a_flow_that_was_taken_away_is_noticed_within_a_second(
    path: Path, clock: FakeClock
) -> None:
    lost: list[LeaseLost] = []
    async with opened(path) as database:
        lease = await claim_flow(database, "f", "r", this_process(), clock, 600)

        async def keep() -> None:
            lost.append(await keep_alive(database, lease, clock))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep)
            await clock.sleeping(1)
            await take_away(database, clock, "flow:f", force=True)
            clock.advance(LOOK_SECONDS)
    assert [error.code for error in lost] == ["AF611"]


@pytest.mark.asyncio
async def test_a_claimed_run_gives_back_what_its_former_process_held_and_nothing_else(
    path: Path, clock: FakeClock
) -> None:
    async with opened(path) as database:
        await claim_run(database, "r", ELSEWHERE, clock)
        await claim_flow(database, "f", "r", ELSEWHERE, clock, 600)
        await claim_flow(database, "g", "another", ELSEWHERE, clock, 600)
        clock.advance(TTL_SECONDS + 1)
        assert (await claim_run(database, "r", this_process(), clock)).lease.generation == 2
    assert query(path, "SELECT name FROM leases WHERE released_at IS NULL ORDER BY 1") == [
        ("lock:flow:g",),
        ("run:r",),
    ]


@pytest.mark.asyncio
async def test_a_claim_that_is_refused_leaves_the_locks_of_the_run_alone(
    path: Path, clock: FakeClock
) -> None:
    async with opened(path) as database:
        await claim_run(database, "r", ELSEWHERE, clock)
        await claim_flow(database, "f", "r", ELSEWHERE, clock, 600)
        with pytest.raises(HeldByAnother):
            await claim_run(database, "r", this_process(), clock)
    assert query(path, "SELECT count(*) FROM leases WHERE released_at IS NULL") == [(2,)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("owner", "seconds", "validity", "is_taken"),
    [
        (ELSEWHERE, 60, "live", False),
        (ELSEWHERE, 61, "expired", True),
        (this_process(), 60, "live", False),
        (dead(), 0, "dead", True),
    ],
)
async def test_a_lock_is_taken_away_when_its_holder_counts_no_more(
    path: Path, clock: FakeClock, owner: ProcessIdentity, seconds: float, validity: str, *, is_taken: bool
) -> None:
    async with opened(path) as database:
        await claim_flow(database, "f", "r", owner, clock, 60)
        clock.advance(seconds)
        grip = await take_away(database, clock, "flow:f", force=False)
        left = await take_away(database, clock, "flow:f", force=False)
    assert grip is not None
    assert (grip.validity, grip.holder.holder) == (validity, "f, run r")
    assert (left is None) is is_taken


@pytest.mark.asyncio
async def test_force_takes_a_live_lock_and_the_next_holder_has_a_higher_generation(
    path: Path, clock: FakeClock
) -> None:
    async with opened(path) as database:
        first = await claim_flow(database, "f", "r", ELSEWHERE, clock, 60)
        assert await take_away(database, clock, "flow:f", force=True) is not None
        assert await take_away(database, clock, "flow:f", force=True) is None
        assert not await database.transact(lambda raw: leases.renew(raw, first, clock.now()))
        second = await claim_flow(database, "f", "s", this_process(), clock, 60)
    assert second == Lease("lock:flow:f", 2, 60)


@pytest.mark.asyncio
async def test_the_work_under_a_lock_that_was_taken_away_is_stopped_at_the_next_renewal(
    path: Path, clock: FakeClock
) -> None:
    codes: list[str] = []
    async with opened(path) as database:
        table = LockTable(database, clock, this_process(), "f", "r")

        async def work() -> None:
            with pytest.raises(StepError) as caught:
                async with table.hold("key", ttl_seconds=30, wait_seconds=0, job_id="a", step_id=""):
                    await anyio.sleep_forever()
            codes.append(caught.value.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await clock.sleeping(1)
            grip = await take_away(database, clock, "key", force=True)
            clock.advance(10)
    assert codes == ["AF621"]
    assert grip is not None
    assert grip.holder.holder == "f, run r, a"


@pytest.mark.asyncio
async def test_a_run_lease_is_no_lock_and_cannot_be_released_as_one(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        await claim_run(database, "r", ELSEWHERE, clock)
        assert await take_away(database, clock, "r", force=True) is None
        assert await take_away(database, clock, "run:r", force=True) is None
