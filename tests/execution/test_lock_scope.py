"""`flow.locks.scope: job`: a job holds its lock from its first step to its end, and only so long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.events import run_events as e
from aetherflow.execution.attempt import AttemptOutcome
from aetherflow.execution.held_resource import HeldResource
from aetherflow.execution.job_locks import job_lock_key
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.store import lease as leases
from aetherflow.store import named_locks as locks_room
from tests.execution.live_run import LiveRun, flow, live, query
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE

SCOPED = "locks: {scope: job, ttl_seconds: 30}"
TWO_STEPS = flow("{id: a, steps: [{id: s, type: t}, {id: u, type: t}]}", head=SCOPED)
HELD = "SELECT substr(name, 6) FROM leases WHERE name LIKE 'lock:%' AND released_at IS NULL"
TAKEN = "SELECT substr(name, 6), generation FROM leases WHERE name LIKE 'lock:%' ORDER BY name"


def watching(folder: Path, seen: list[Any]) -> dict[str, Any]:
    """Return a step type `t` that notes which locks are held."""

    async def t(context: StepContext, _inputs: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append((f"{context.job_id}.{context.step_id}", [key for (key,) in query(folder, HELD)]))

    return {"t": t}


async def take(run: LiveRun, clock: FakeClock, key: str, *, force: bool = False) -> None:
    """Take a lock as a process of another host does."""

    def work(raw: Any) -> None:
        if force:
            assert locks_room.release_lock(raw, key, clock.now(), force=True) is not None
        found = leases.acquire(
            raw, f"lock:{key}", ELSEWHERE, "another", now=clock.now(), ttl_seconds=60, run_id="other"
        )
        assert isinstance(found, leases.Lease)

    await run.database.transact(work)


@pytest.mark.asyncio
async def test_the_lock_is_held_once_over_all_steps_and_given_back_at_the_end(tmp_path: Path) -> None:
    seen: list[Any] = []
    async with live(TWO_STEPS, tmp_path, watching(tmp_path, seen)) as run:
        assert (await run.run()).phase == "SUCCESS"

    assert seen == [("a.s", ["job:demo/a"]), ("a.u", ["job:demo/a"])]
    assert query(tmp_path, HELD) == []
    assert query(tmp_path, TAKEN) == [("job:demo/a", 1)]


@pytest.mark.asyncio
@pytest.mark.parametrize("head", ["", "locks: {scope: none}", "locks: {scope: flow}"])
async def test_no_other_scope_locks_a_job(tmp_path: Path, head: str) -> None:
    seen: list[Any] = []
    text = flow("{id: a, steps: [{id: s, type: t}]}", head=head)
    async with live(text, tmp_path, watching(tmp_path, seen)) as run:
        await run.run()

    assert seen == [("a.s", [])]


@pytest.mark.asyncio
async def test_instances_share_the_lock_of_their_job_until_the_last_has_ended(tmp_path: Path) -> None:
    seen: list[Any] = []
    text = flow("{id: a, for_each: [1, 2, 3], max_parallel: 2, steps: [{id: s, type: t}]}", head=SCOPED)
    async with live(text, tmp_path, watching(tmp_path, seen)) as run:
        assert (await run.run()).phase == "SUCCESS"

    assert sorted(seen) == [(f"a[{number}].s", ["job:demo/a"]) for number in range(3)]
    assert query(tmp_path, TAKEN) == [("job:demo/a", 1)]


@pytest.mark.asyncio
async def test_a_job_that_is_held_elsewhere_fails_and_the_others_run(tmp_path: Path) -> None:
    seen: list[Any] = []
    clock = FakeClock()
    text = flow(
        "{id: a, steps: [{id: s, type: t}]}",
        "{id: b, depends_on: [a], steps: [{id: s, type: t}]}",
        "{id: c, steps: [{id: s, type: t}]}",
        head=SCOPED,
    )
    async with live(text, tmp_path, watching(tmp_path, seen), clock=clock) as run:
        await take(run, clock, "job:demo/a")
        state = await run.run()

    assert [(job, state.jobs[job].status) for job in "abc"] == [
        ("a", "FAILED"),
        ("b", "BLOCKED"),
        ("c", "SUCCESS"),
    ]
    error = state.jobs["a"].error
    assert error is not None
    assert error.code == "AF620"
    assert "held by another (process 4711 on another-host) since 2026-01-01T00:00:00" in error.message
    assert [name for name, _ in seen] == ["c.s"]
    assert query(tmp_path, HELD) == [("job:demo/a",)]


@pytest.mark.asyncio
async def test_a_retry_tries_for_the_lock_again(tmp_path: Path) -> None:
    seen: list[Any] = []
    clock = FakeClock()
    retry = "retry: {max_attempts: 2, backoff_seconds: 5, jitter: false}"
    text = flow(f"{{id: a, steps: [{{id: s, type: t, {retry}}}]}}", head=SCOPED)
    async with live(text, tmp_path, watching(tmp_path, seen), clock=clock) as run:
        await take(run, clock, "job:demo/a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await clock.sleeping(1)
            clock.advance(61)

    assert run.state.phase == "SUCCESS"
    assert run.step("a.s").attempt == 2
    assert seen == [("a.s", ["job:demo/a"])]


@pytest.mark.asyncio
async def test_a_job_that_loses_its_lock_is_stopped_and_says_so(tmp_path: Path) -> None:
    clock, began = FakeClock(), anyio.Event()

    async def t(_context: StepContext, _inputs: dict[str, Any]) -> None:
        began.set()
        await anyio.sleep_forever()

    async with live(TWO_STEPS, tmp_path, {"t": t}, clock=clock) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await began.wait()
        await take(run, clock, "job:demo/a", force=True)
        await clock.sleeping(1)
        clock.advance(10)

    error = run.state.jobs["a"].error
    assert error is not None
    assert (run.state.jobs["a"].status, error.code, error.cause) == ("FAILED", "AF621", "job_lock")
    assert error.detail == {"lock_key": "job:demo/a"}
    assert "u" not in run.state.jobs["a"].steps
    assert query(tmp_path, HELD) == [("job:demo/a",)]  # the other one's is left alone


@pytest.mark.asyncio
async def test_a_cancelled_run_gives_the_locks_of_its_jobs_back(tmp_path: Path) -> None:
    began = anyio.Event()

    async def t(_context: StepContext, _inputs: dict[str, Any]) -> None:
        began.set()
        await anyio.sleep_forever()

    async with live(TWO_STEPS, tmp_path, {"t": t}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await began.wait()
        assert query(tmp_path, HELD) == [("job:demo/a",)]
        run.executor.cancel("enough")

    assert run.state.phase == "CANCELLED"
    assert query(tmp_path, HELD) == []


@pytest.mark.asyncio
async def test_ending_steps_take_no_lock(tmp_path: Path) -> None:
    seen: list[Any] = []
    text = flow("{id: a, steps: [{id: s, type: t}]}", head=f"{SCOPED}, on_exit: [{{id: bye, type: t}}]")
    async with live(text, tmp_path, watching(tmp_path, seen)) as run:
        assert (await run.run()).phase == "SUCCESS"

    assert [name for name, _ in seen] == ["a.s", "@on_exit.bye"]
    assert query(tmp_path, TAKEN) == [("job:demo/a", 1)]


class Lost:
    """A lock that is lost when the test says so."""

    def __init__(self) -> None:
        self.lost = anyio.Event()

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        await self.lost.wait()
        raise StepError("it is lost", code="AF621")


@pytest.mark.asyncio
async def test_a_result_that_was_there_before_the_loss_stays_a_fact_and_the_next_step_does_not_begin() -> (
    None
):
    job_lock, lock = HeldResource(), Lost()

    async def attempt() -> AttemptOutcome:
        with anyio.CancelScope(shield=True):
            lock.lost.set()
            job_lock.give_back()
            await anyio.wait_all_tasks_blocked()
            assert job_lock.error is not None
        return AttemptOutcome(StepResult())

    async def never() -> AttemptOutcome:
        raise AssertionError("it began without its lock")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(job_lock.hold, lock)
        first = await job_lock.work(attempt)
        second = await job_lock.work(never)

    assert (first.result, first.error) == (StepResult(), None)
    assert second.error is not None
    assert second.error.code == "AF621"


def test_the_key_of_a_job_names_its_flow() -> None:
    assert job_lock_key("nightly", "load") == "job:nightly/load"


async def within(seconds: float, run: LiveRun) -> None:
    """Execute a run that must not wait for anything."""
    with anyio.fail_after(seconds):
        await run.run()


FAN = flow(
    "{id: a, for_each: [1, 2, 3, 4], max_parallel: 1, steps: [{id: s, type: t}]}",
    "{id: b, steps: [{id: s, type: t}]}",
    head=f"{SCOPED}, max_parallel_jobs: 1",
)


@pytest.mark.asyncio
async def test_instances_that_do_not_get_the_lock_of_their_job_fail_all_also_if_it_is_free_by_then(
    tmp_path: Path,
) -> None:
    seen: list[Any] = []
    clock = FakeClock()
    async with live(FAN, tmp_path, watching(tmp_path, seen), clock=clock, limit=1) as run:
        await take(run, clock, "job:demo/a")

        async def free_it_after_the_first_failure() -> None:
            await run.seen.until(lambda event: isinstance(event, e.JobFinished) and event.job_id == "a[0]")
            clock.advance(61)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(free_it_after_the_first_failure)
            state = await run.run()

    assert {job_id: job.status for job_id, job in state.jobs.items()} == {
        **dict.fromkeys(["a", "a[0]", "a[1]", "a[2]", "a[3]"], "FAILED"),
        "b": "SUCCESS",
    }
    assert [name for name, _ in seen] == ["b.s"]
    assert query(tmp_path, TAKEN)[0] == ("job:demo/a", 1), "nobody asked for it again"


@pytest.mark.asyncio
async def test_instances_whose_steps_are_retried_wait_for_the_lock_and_share_it_then(tmp_path: Path) -> None:
    seen: list[Any] = []
    clock = FakeClock()
    retry = "retry: {max_attempts: 2, backoff_seconds: 5, jitter: false}"
    text = flow(f"{{id: a, for_each: [1, 2, 3], steps: [{{id: s, type: t, {retry}}}]}}", head=SCOPED)
    async with live(text, tmp_path, watching(tmp_path, seen), clock=clock) as run:
        await take(run, clock, "job:demo/a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await clock.sleeping(3)
            clock.advance(61)

    assert run.state.phase == "SUCCESS"
    assert sorted(seen) == [(f"a[{number}].s", ["job:demo/a"]) for number in range(3)]


@pytest.mark.asyncio
async def test_a_lock_that_was_lost_ends_the_job_with_all_its_instances_in_spite_of_retries(
    tmp_path: Path,
) -> None:
    clock, began = FakeClock(), anyio.Event()
    names: list[str] = []

    async def t(context: StepContext, _inputs: dict[str, Any]) -> None:
        names.append(context.job_id)
        began.set()
        await anyio.sleep_forever()

    retry = "retry: {max_attempts: 3, backoff_seconds: 0}"
    steps = f"steps: [{{id: s, type: t, {retry}}}]"
    text = flow(f"{{id: a, for_each: [1, 2, 3], max_parallel: 1, {steps}}}", head=SCOPED)
    async with live(text, tmp_path, {"t": t}, clock=clock) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(within, 10, run)
        await began.wait()
        await take(run, clock, "job:demo/a", force=True)
        await run.database.transact(
            lambda raw: locks_room.release_lock(raw, "job:demo/a", clock.now(), force=True)
        )
        await clock.sleeping(1)
        clock.advance(10)

    assert {run.state.jobs[f"a[{number}]"].status for number in range(3)} == {"FAILED"}
    assert {error.code for job in run.state.jobs.values() if (error := job.error)} == {"AF621"}
    assert names == ["a[0]"]
    assert run.step("a[0].s").attempt == 1


@pytest.mark.asyncio
async def test_what_asks_for_a_lock_when_it_is_done_without_does_not_get_it() -> None:
    error = StepError("held elsewhere", code="AF620").info()
    asking, held = HeldResource(), anyio.Event()

    class Asked:
        async def __aenter__(self) -> None:
            held.set()
            await anyio.sleep_forever()

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("it was never held")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking.hold, Asked())
        await held.wait()
        asking.refuse(error)
    assert (asking.is_lost, asking.error) == (True, error)


class Forged(StepError):
    """An error of a step that claims to come from the engine."""

    def info(self) -> ErrorInfo:
        """Return it with a cause."""
        return ErrorInfo("AF621", "forged", detail={"lock_key": "job:demo/a"}, cause="job_lock")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [
        StepError("forged", code="AF620", detail={"lock_key": "job:demo/a"}),
        StepError("forged", code="AF711", kind="timeout"),
        Forged("forged"),
    ],
)
@pytest.mark.parametrize("head", [SCOPED, ""])
async def test_a_step_cannot_claim_that_its_job_has_no_lock_or_no_time(
    tmp_path: Path, error: StepError, head: str
) -> None:
    async def t(_context: StepContext, _inputs: dict[str, Any]) -> None:
        raise error

    async def u(_context: StepContext, _inputs: dict[str, Any]) -> None:
        pass

    retry = "continue_on_error: true, retry: {max_attempts: 2, backoff_seconds: 0}"
    text = flow(f"{{id: a, steps: [{{id: s, type: t, {retry}}}, {{id: u, type: u}}]}}", head=head)
    async with live(text, tmp_path, {"t": t, "u": u}) as run:
        assert (await run.run()).phase == "SUCCESS"

    failed = run.step("a.s")
    assert (failed.status, failed.attempt) == ("FAILED", 2), "it is retried like any other failure"
    assert failed.error.cause == ""
    assert run.step("a.u").status == "SUCCESS"


@pytest.mark.asyncio
async def test_a_lock_of_a_step_that_has_the_name_of_a_job_lock_fails_only_the_step(tmp_path: Path) -> None:
    clock = FakeClock()

    async def t(context: StepContext, _inputs: dict[str, Any]) -> None:
        async with context.lock("job:demo/a"):
            raise AssertionError("another run holds it")

    async def u(_context: StepContext, _inputs: dict[str, Any]) -> None:
        pass

    text = flow("{id: a, steps: [{id: s, type: t, continue_on_error: true}, {id: u, type: u}]}")
    async with live(text, tmp_path, {"t": t, "u": u}, clock=clock) as run:
        await take(run, clock, "job:demo/a")
        assert (await run.run()).phase == "SUCCESS"

    failed = run.step("a.s")
    assert (failed.error.code, failed.error.cause) == ("AF620", "")
    assert failed.error.detail["lock_key"] == "job:demo/a"
    assert run.step("a.u").status == "SUCCESS"
