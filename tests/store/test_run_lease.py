from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother, StateError
from aetherflow.store import database as database_module
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, LeaseLost
from aetherflow.store.lease import Lease
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.run_lease import TTL_SECONDS, RunClaim, claim_run, keep_alive, release_run, renew_run
from tests.store.clock_double import FakeClock
from tests.store.real_parts import (
    ELSEWHERE,
    Child,
    children,
    job_started,
    opened,
    query,
    started,
    write_locked,
)

CLAIMER = """
import asyncio, sys
from pathlib import Path
from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother
from aetherflow.store.database import Database
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run

async def main():
    database = await Database.open(Path(sys.argv[1]), "normal")
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            claim = await claim_run(database, line.strip(), this_process(), SystemClock())
            print(f"generation {claim.lease.generation}", flush=True)
        except HeldByAnother as error:
            print(f"held: {error.message}", flush=True)
    await database.aclose()

asyncio.run(main())
"""


async def take_over(database: Database, clock: FakeClock, run_id: str) -> None:
    """Take the lease as another process would when it ran out."""
    found = await database.transact(
        lambda raw: leases.acquire(
            raw, f"run:{run_id}", ELSEWHERE, "another", now=clock.now(), ttl_seconds=1000
        )
    )
    assert isinstance(found, Lease)


def kill_without_reaping(child: Child) -> None:
    """Kill the process and leave it a zombie."""
    child.process.kill()
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.asyncio
async def test_a_new_run_begins_at_one(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
    assert claim == RunClaim(lease=Lease("run:r", 1, TTL_SECONDS), next_seq=1)


@pytest.mark.asyncio
async def test_a_run_that_was_given_back_resumes_where_it_was(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
        await (
            Journal(database)
            .of_run(claim.lease, claim.next_seq)
            .commit([started("r"), job_started("r", "a")])
        )
        await release_run(database, claim.lease, clock)
        again = await claim_run(database, "r", ELSEWHERE, clock)
        await Journal(database).of_run(again.lease, again.next_seq).commit([job_started("r", "b")])
    assert (again.next_seq, again.lease.generation) == (3, 2)
    assert query(path, "SELECT seq, job_id FROM events ORDER BY seq") == [(1, None), (2, "a"), (3, "b")]


@pytest.mark.asyncio
async def test_a_second_process_learns_who_executes_the_run_and_since_when(
    path: Path, clock: FakeClock
) -> None:
    async with opened(path) as database:
        claim = await claim_run(database, "r", ELSEWHERE, clock)
        clock.advance(TTL_SECONDS)
        with pytest.raises(HeldByAnother) as caught:
            await claim_run(database, "r", this_process(), clock)
        assert caught.value.message == (
            "run r is being executed by process 4711 on another-host since 2026-01-01T00:00:00.000000Z"
        )
        assert (caught.value.code, caught.value.exit_code) == ("AF610", 75)
        assert "--run-id" in caught.value.hint
        assert await renew_run(database, claim.lease, clock)  # the attempt changed nothing
        await claim_run(database, "another", this_process(), clock)


@pytest.mark.asyncio
async def test_the_heartbeat_keeps_the_run_beyond_its_ttl(path: Path, clock: FakeClock) -> None:
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_alive, database, claim.lease, clock)
            for _ in range(9):
                await clock.sleeping(1)
                clock.advance(TTL_SECONDS / 3)
            await clock.sleeping(1)
            with pytest.raises(HeldByAnother):
                await claim_run(database, "r", ELSEWHERE, clock)
            tasks.cancel_scope.cancel()


@pytest.mark.asyncio
async def test_the_heartbeat_ends_when_the_run_was_taken_over(path: Path, clock: FakeClock) -> None:
    ended: list[LeaseLost] = []
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)

        async def beat() -> None:
            ended.append(await keep_alive(database, claim.lease, clock))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            await clock.sleeping(1)
            paused = FakeClock()  # this process slept on while the others' clocks went
            paused.advance(TTL_SECONDS + 1)
            await take_over(database, paused, "r")
            clock.advance(TTL_SECONDS + 1)
    assert [error.code for error in ended] == ["AF611"]


@pytest.mark.asyncio
async def test_the_heartbeat_reports_when_the_database_cannot_be_used(
    path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    async with opened(path) as database:
        claim = await claim_run(database, "r", this_process(), clock)
        with write_locked(path):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: _expect_locked(database, claim, clock))
                await clock.sleeping(1)
                clock.advance(TTL_SECONDS)


async def _expect_locked(database: Database, claim: RunClaim, clock: FakeClock) -> None:
    with pytest.raises(StateError, match="kept it locked"):
        await keep_alive(database, claim.lease, clock)


@pytest.mark.asyncio
async def test_the_time_that_a_claim_waits_for_the_database_is_not_taken_from_its_lease(
    path: Path, clock: FakeClock
) -> None:
    async with opened(path) as database:
        with write_locked(path) as lock:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(claim_run, database, "r", this_process(), clock)
                await anyio.wait_all_tasks_blocked()
                clock.advance(25)
                lock.release()
    assert query(path, "SELECT expires_at FROM leases") == [("2026-01-01T00:00:55.000000Z",)]


def test_of_two_processes_that_claim_a_run_at_once_exactly_one_gets_it(path: Path) -> None:
    with children(2, CLAIMER, str(path)) as claimers:
        for number in range(50):
            for child in claimers:
                child.tell(f"run{number}")
            heard = sorted(child.hear() for child in claimers)
            assert heard[0] == "generation 1"
            assert heard[1].startswith(f"held: run run{number} is being executed by process")


@pytest.mark.asyncio
async def test_the_run_of_a_living_process_is_kept_and_of_a_killed_one_taken_at_once(path: Path) -> None:
    me, clock = this_process(), SystemClock()
    async with opened(path) as database:
        with children(1, CLAIMER, str(path)) as (child,):
            child.tell("r")
            assert child.hear() == "generation 1"
            with pytest.raises(HeldByAnother, match=f"process {child.process.pid} on"):
                await claim_run(database, "r", me, clock)
            kill_without_reaping(child)
            claim = await claim_run(database, "r", me, clock)
    assert claim.lease.generation == 2


@pytest.mark.asyncio
async def test_the_run_of_a_process_whose_pid_was_reused_is_taken_at_once(
    path: Path, clock: FakeClock
) -> None:
    me = this_process()
    async with opened(path) as database:
        await claim_run(database, "r", ProcessIdentity(host=me.host, pid=me.pid, started="1"), clock)
        assert (await claim_run(database, "r", me, clock)).lease.generation == 2
