"""The real executor in a simulated world: many seeds, cancellations, time limits and a journal that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import anyio
import pytest

from aetherflow.engine.state import fold
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan
from tests.engine.scripted_machine import encoded, plan_of_jobs
from tests.engine.simulation import Fault, VirtualClock, World, all_tasks_blocked
from tests.execution.history_watch import Watch
from tests.sizes import LARGE

SEEDS = 5000 if LARGE else 120
PORTION = 50
PORTIONS = range(0, SEEDS, PORTION)
"""The first seed of each test: a test per seed would cost more than the simulation."""

Record = Callable[[str, object], None]
SECONDS = (0, 0, 0.5, 1, 2, 7)
FAULTS: tuple[Fault, ...] = ("nothing is stored", "stored but not acknowledged")

pytestmark = pytest.mark.torture


def random_plan(chance: Random) -> Plan:
    """Return a flow of a few jobs with everything that can happen to them."""
    jobs: list[dict[str, Any]] = []
    for number in range(chance.randint(1, 6)):
        earlier = [f"j{n}" for n in range(number)]
        job: dict[str, Any] = {
            "id": f"j{number}",
            "depends_on": chance.sample(earlier, k=min(len(earlier), chance.choice([0, 0, 1, 2]))),
            "steps": [random_step(chance, place) for place in range(chance.randint(1, 3))],
        }
        if chance.random() < 0.2:
            job |= {
                "for_each": list(range(chance.randint(1, 4))),
                "max_parallel": chance.choice([None, 1, 2]),
            }
        if chance.random() < 0.15:
            job["timeout_seconds"] = chance.choice([1, 3, 10])
        jobs.append(job)
    chance.shuffle(jobs)
    flow: dict[str, Any] = {"fail_fast": chance.random() < 0.2}
    if chance.random() < 0.1:
        flow["timeout_seconds"] = chance.choice([1, 5])
    return plan_of_jobs(*jobs, **flow)


def random_step(chance: Random, place: int) -> dict[str, Any]:
    does = {
        "seconds": chance.choice(SECONDS),
        "fails": chance.choice([0, 0, 0, 1, 2, 4]),
        "skips": chance.random() < 0.15,
    }
    step: dict[str, Any] = {
        "id": f"s{place}",
        "type": "scripted",
        "inputs": does,
        "retry": {"max_attempts": chance.randint(1, 3), "backoff_seconds": chance.choice([0, 1, 4])},
        "continue_on_error": chance.random() < 0.1,
    }
    if chance.random() < 0.3:
        step["on_no_data"] = "skip_job"
    if chance.random() < 0.15:
        step["timeout_seconds"] = chance.choice([0.2, 1, 5])
    return step


def random_world(seed: int) -> World:
    chance = Random(seed)  # noqa: S311 - reproducible
    return World(random_plan(chance), seed, limit=chance.randint(1, 4))


def check_history(world: World) -> None:
    """Check the order of what is stored; a resume begins a new book."""
    watch = Watch(world.plan, world.limit)
    for event in world.disk.stored:
        watch.see(event)


@contextmanager
def named(seed: int) -> Iterator[None]:
    """Say which seed it was that failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.asyncio
@pytest.mark.parametrize("first", PORTIONS)
async def test_a_seed_gives_one_trace_and_an_orderly_history(first: int, record_property: Record) -> None:
    events = 0
    for seed in range(first, first + PORTION):
        with named(seed):
            events += await check_twice(seed)
    counted = f"{PORTION} seeds twice, byte-identical, {events} events in order, replay = live"
    record_property("torture", f"simulator, seeds {first} to {first + PORTION - 1}: {counted}")


async def check_twice(seed: int) -> int:
    """Run a seed twice and compare; return how many events a run had."""
    traces, histories = [], []
    for _ in range(2):
        world = random_world(seed)
        state = await world.execute(cancel_at=seed % 7 if seed % 3 == 0 else None)
        assert state.phase in ("SUCCESS", "FAILED", "CANCELLED")
        assert fold(world.disk.stored) == state
        check_history(world)
        traces.append("\n".join(world.trace))
        histories.append(encoded(world.disk.stored))
    assert traces[0] == traces[1]
    assert histories[0] == histories[1]
    return histories[0].count(b"\n") + 1


@pytest.mark.asyncio
@pytest.mark.parametrize("first", PORTIONS)
async def test_what_a_failing_journal_did_not_acknowledge_never_happened(
    first: int, record_property: Record
) -> None:
    for seed in range(first, first + PORTION):
        with named(seed):
            await check_a_failing_journal(seed)
    counted = f"{PORTION} journals failed, nothing unacknowledged followed, all runs carried through"
    record_property("torture", f"simulator, seeds {first} to {first + PORTION - 1}: {counted}")


async def check_a_failing_journal(seed: int) -> None:
    """Let a journal fail at a random append, and carry the run through afterwards."""
    chance = Random(seed)  # noqa: S311 - reproducible
    rehearsal = random_world(seed)
    await rehearsal.execute()
    world = random_world(seed)
    fail_at, fault = chance.randint(1, rehearsal.disk.appends), chance.choice(FAULTS)
    with pytest.raises(StateError, match="the disk is full"):
        await world.execute(fail_at=fail_at, fault=fault)
    assert world.disk.appends == fail_at, "something was written after the failure"
    assert encoded(rehearsal.disk.stored).startswith(encoded(world.disk.stored))
    await carry_through(world)


async def carry_through(world: World) -> None:
    """Resume a run on a disk that fails now and then, until it has ended and cannot get further."""
    for _ in range(40):
        try:
            state = await world.execute(fail_at=world.chance.choice([0, 0, 1, 2, 5]))
        except StateError:
            continue
        assert fold(world.disk.stored) == state
        if state.phase == "SUCCESS" or not may_heal(world):
            return
    raise AssertionError("the run does not come to an end")


def may_heal(world: World) -> bool:
    """Whether a step that has failed for now has been tried too little; time limits may never be kept."""
    limits = [
        job.timeout_seconds or step.spec.timeout_seconds for job in world.plan.jobs for step in job.steps
    ]
    return not any(limits) and world.plan.flow.timeout_seconds is None


def doing(job_id: str, *does: dict[str, Any], **job: Any) -> dict[str, Any]:
    """Return a job whose steps do these things, with two attempts each."""
    retry = {"max_attempts": 2, "backoff_seconds": 1}
    steps = [
        {"id": f"s{n}", "type": "t", "inputs": inputs, "retry": retry, "on_no_data": "skip_job"}
        for n, inputs in enumerate(does)
    ]
    return {"id": job_id, "steps": steps, **job}


EVERYTHING = plan_of_jobs(
    doing("retries", {"seconds": 2, "fails": 1}, {"seconds": 1}),
    doing("fan", {"seconds": 1}, {"fails": 3}, for_each=[1, 2, 3], max_parallel=2, depends_on=["retries"]),
    doing("skips", {"skips": True}, {"seconds": 1}),
    doing("heals", {"fails": 3, "seconds": 1}),
    doing("last", {}, when="jobs.heals.status == 'SUCCESS'", depends_on=["fan"]),
)


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_commit_of_a_run_may_be_the_one_that_fails(fault: Fault) -> None:
    rehearsal = World(EVERYTHING, 1, limit=3)
    await rehearsal.execute()
    assert rehearsal.disk.appends > 10
    for fail_at in range(1, rehearsal.disk.appends + 1):
        world = World(EVERYTHING, 1, limit=3)
        with pytest.raises(StateError):
            await world.execute(fail_at=fail_at, fault=fault)
        await carry_through(world)
        statuses = {job_id: job.status for job_id, job in fold(world.disk.stored).jobs.items()}
        assert statuses.pop("skips") == "SKIPPED"
        assert set(statuses.values()) == {"SUCCESS"}


@pytest.mark.asyncio
async def test_a_step_does_not_begin_while_its_start_is_on_its_way_to_the_disk() -> None:
    world = World(plan_of_jobs({"id": "a", "steps": [{"id": "s", "type": "t"}]}), 0, limit=1)
    with pytest.raises(StateError):
        await world.execute(fail_at=2)
    assert [type(event) for event in world.disk.stored] == [e.RunStarted]
    assert not world.begun


@pytest.mark.asyncio
async def test_a_retry_waits_in_virtual_time() -> None:
    retry = {"max_attempts": 3, "backoff_seconds": 1000, "max_backoff_seconds": 5000, "jitter": False}
    step = {"id": "s", "type": "t", "inputs": {"fails": 2}, "retry": retry}
    world = World(plan_of_jobs({"id": "a", "steps": [step]}), 0, limit=1)
    state = await world.execute()
    assert state.phase == "SUCCESS"
    assert 3000 <= world.clock.monotonic() < 3001


@pytest.mark.asyncio
async def test_a_cancellation_stops_what_works_and_what_waits() -> None:
    plan = plan_of_jobs(
        {"id": "works", "steps": [{"id": "s", "type": "t", "inputs": {"seconds": 100}}]},
        {
            "id": "waits",
            "steps": [
                {
                    "id": "s",
                    "type": "t",
                    "inputs": {"fails": 1},
                    "retry": {"max_attempts": 2, "backoff_seconds": 100},
                }
            ],
        },
        {"id": "later", "depends_on": ["works"]},
    )
    world = World(plan, 0, limit=2)
    state = await world.execute(cancel_at=10)
    assert state.phase == "CANCELLED"
    assert {job.status for job in state.jobs.values()} == {"CANCELLED"}
    assert 10 <= world.clock.monotonic() < 11


@pytest.mark.asyncio
async def test_a_cancelled_host_ends_the_run_in_order_first() -> None:
    plan = plan_of_jobs({"id": "a", "steps": [{"id": "s", "type": "t", "inputs": {"seconds": 100}}]})
    world = World(plan, 0, limit=2)
    async with anyio.create_task_group() as host:
        host.start_soon(world.execute)
        await world.clock.sleep(10)
        host.cancel_scope.cancel()
    assert fold(world.disk.stored).phase == "CANCELLED"
    assert world.clock.monotonic() < 11
    assert fold(world.disk.stored).cancel_reason == "the program was asked to stop"


@pytest.mark.asyncio
async def test_sleepers_wake_in_the_order_of_their_deadlines_and_a_cancelled_one_not_at_all() -> None:
    clock = VirtualClock(Random(0))  # noqa: S311 - unused here
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(sleep, 2)
                await all_tasks_blocked()
                scope.cancel()
        async with anyio.create_task_group() as sleepers:
            for seconds in (5, 1, 3, 1):
                sleepers.start_soon(sleep, seconds)
            tasks.start_soon(clock.pass_time)
        tasks.cancel_scope.cancel()
    assert woken == [(1, 1), (1, 1), (3, 3), (5, 5)]
