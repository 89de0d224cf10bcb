"""A run is resumed while workers still have attempts of it: those go on, and none is begun twice."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow.engine.attempt_keys import attempts_in_flight
from aetherflow.errors import AttemptLost, HeldByAnother
from aetherflow.events import run_events as e
from aetherflow.sdk.step import StepResult
from tests.execution.far_run import executing
from tests.execution.live_run import flow, one_step, query, stored
from tests.execution.worker_double import WorkerDouble
from tests.polling import eventually
from tests.store.clock_double import FakeClock

S = ("a", "s")


async def left_running(
    text: str, folder: Path, *, places: int = 1, clock: FakeClock | None = None, more: float = 0
) -> list[str]:
    """Execute a run until so many attempts run on workers, and let its process die; return their keys."""
    workers = WorkerDouble()
    try:
        async with executing(text, folder, workers, clock) as run:
            for _ in range(places):
                attempt = await workers.given()
                attempt.begins.set()
            assert await eventually(lambda: len(run.seen.of(e.StepPlaced)) == places)
            if clock is not None:
                clock.advance(more)
            keys = [found.key for found in attempts_in_flight(run.state).values()]
            run.executor.fail(HeldByAnother("the process dies"))
    except HeldByAnother:
        return keys
    raise AssertionError


@pytest.mark.asyncio
async def test_an_attempt_that_a_worker_still_has_goes_on_and_is_not_begun_again(tmp_path: Path) -> None:
    keys = await left_running(one_step(more="on_interrupt: fail"), tmp_path)
    workers = WorkerDouble()
    async with executing(one_step(more="on_interrupt: fail"), tmp_path, workers, found=[S]) as run:
        attempt = await workers.given()
        assert ([attempt.call.key], attempt.call.is_reattached) == (keys, True)
        attempt.begins.set()
        attempt.end = StepResult(outputs={"n": 1})
        attempt.ends.set()
    assert (run.state.phase, run.step("a.s").attempt, run.step("a.s").outputs) == ("SUCCESS", 1, {"n": 1})
    assert stored(tmp_path)[4:] == [
        "run_resumed",
        "job_started a",
        "step_placed a.s",
        "step_finished a.s SUCCESS",
        "job_finished a SUCCESS",
        "run_finished SUCCESS",
    ]
    assert [one.is_reattached for one in run.seen.of(e.StepPlaced)] == [True]
    assert query(tmp_path, "SELECT status, attempt FROM step_state") == [("SUCCESS", 1)]
    assert query(tmp_path, "SELECT count(*) FROM events WHERE event = 'step_started'") == [(1,)]


@pytest.mark.asyncio
async def test_an_attempt_that_no_worker_has_any_more_was_interrupted(tmp_path: Path) -> None:
    await left_running(one_step(more="on_interrupt: fail"), tmp_path)
    workers = WorkerDouble()
    async with executing(one_step(more="on_interrupt: fail"), tmp_path, workers) as run:
        pass
    assert (run.state.phase, run.step("a.s").error.code) == ("FAILED", "AF713")
    assert workers.attempts == []


@pytest.mark.asyncio
async def test_a_reattached_attempt_that_is_lost_then_is_tried_again_as_another_one(tmp_path: Path) -> None:
    text = one_step(more="retry: {max_attempts: 2}")
    [key] = await left_running(text, tmp_path)
    workers = WorkerDouble()
    async with executing(text, tmp_path, workers, found=[S]) as run:
        first = await workers.given()
        first.end = AttemptLost("the worker w1 on far has died")
        first.begins.set()
        first.ends.set()
        second = await workers.given()
        assert (second.call.attempt, second.call.is_reattached) == (2, False)
        assert second.call.key != key
        second.begins.set()
        second.ends.set()
    assert run.state.phase == "SUCCESS"
    assert not run.state.reattached


@pytest.mark.asyncio
async def test_a_reattached_attempt_that_must_not_run_twice_is_interrupted_even_if_it_was_never_joined(
    tmp_path: Path,
) -> None:
    await left_running(one_step(more="on_interrupt: fail"), tmp_path)
    workers = WorkerDouble()
    async with executing(one_step(more="on_interrupt: fail"), tmp_path, workers, found=[S]) as run:
        attempt = await workers.given()
        attempt.is_refused = True
        attempt.end = AttemptLost("its worker has died")
        attempt.begins.set()
        attempt.ends.set()
    assert run.step("a.s").error.code == "AF713"


@pytest.mark.asyncio
async def test_a_run_that_is_cancelled_before_it_has_joined_an_attempt_still_ends_it(tmp_path: Path) -> None:
    await left_running(one_step(), tmp_path)
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers, found=[S]) as run:
        run.executor.cancel("enough")
    assert run.state.phase == "CANCELLED"
    assert [one.was_cancelled for one in workers.attempts] == [True]


@pytest.mark.asyncio
async def test_a_reattached_attempt_has_the_time_that_is_left_of_its_step(tmp_path: Path) -> None:
    text, clock = one_step(more="timeout_seconds: 100"), FakeClock()
    await left_running(text, tmp_path, clock=clock, more=60)
    workers = WorkerDouble()
    async with executing(text, tmp_path, workers, clock, found=[S]) as run:
        attempt = await workers.given()
        attempt.begins.set()
        await attempt.begun.wait()
        await clock.sleeping(1)
        clock.advance(40)
    assert attempt.was_cancelled
    assert run.step("a.s").error.message == "the step's timeout_seconds passed after 100 s"
    [ended] = run.seen.of(e.StepFinished)
    assert ended.duration_seconds == 100


@pytest.mark.asyncio
async def test_attempts_of_several_jobs_and_instances_go_on_at_once_and_beyond_the_limit(
    tmp_path: Path,
) -> None:
    text = flow(
        "{id: first, steps: [{id: s, type: t, inputs: {}}]}",
        "{id: many, for_each: [1, 2, 3], steps: [{id: s, type: t, inputs: {}}]}",
        "{id: last, depends_on: [first, many], steps: [{id: s, type: t, inputs: {}}]}",
    )
    await left_running(text, tmp_path, places=3)
    workers = WorkerDouble()
    found = [("many[0]", "s"), ("many[1]", "s")]
    async with executing(text, tmp_path, workers, found=found, limit=1) as run:
        both = [await workers.given(), await workers.given()]
        assert [one.call.job_id for one in both] == ["many[0]", "many[1]"]
        assert all(one.call.is_reattached for one in both)
        for one in both:
            one.begins.set()
            one.ends.set()
        for job_id in ("first", "many[2]", "last"):
            following = await workers.given()
            assert (following.call.job_id, following.call.is_reattached) == (job_id, False)
            following.begins.set()
            following.ends.set()
    assert run.state.phase == "SUCCESS"
    starts = query(tmp_path, "SELECT job_id FROM events WHERE event = 'step_started' ORDER BY seq")
    assert [job for (job,) in starts[4:]] == ["first", "many[2]", "last"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("now", "rerun"),
    [
        (one_step(inputs="{x: 1}"), ()),
        (one_step(), ("a.s",)),
        (one_step(), ("a",)),
        (flow("{id: a, steps: [{id: r, type: t, inputs: {}}, {id: s, type: t, inputs: {}}]}"), ()),
        (
            flow(
                "{id: b, steps: [{id: s, type: t, inputs: {}}]}",
                "{id: a, depends_on: [b], steps: [{id: s, type: t, inputs: {}}]}",
            ),
            (),
        ),
    ],
    ids=["another step now", "named", "its job is named", "a new step before it", "a new job before it"],
)
async def test_an_attempt_does_not_go_on_if_it_is_not_what_the_flow_would_begin_now(
    tmp_path: Path, now: str, rerun: tuple[str, ...]
) -> None:
    [key] = await left_running(one_step(), tmp_path)
    workers = WorkerDouble()
    async with executing(now, tmp_path, workers, found=[S], rerun=rerun) as run:
        while not run.ended.is_set() and run.state.phase == "RUNNING":
            attempt = await workers.given()
            assert attempt.call.key != key
            assert not attempt.call.is_reattached
            attempt.begins.set()
            attempt.ends.set()
            if (attempt.call.job_id, attempt.call.step_id) == S:
                break
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_a_run_that_is_left_lets_its_attempts_run_on_for_the_next_process(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers) as run:
        attempt = await workers.given()
        attempt.begins.set()
        assert await eventually(lambda: bool(run.seen.of(e.StepPlaced)))
        run.executor.leave("the server ends")
    assert (workers.is_left, run.state.phase) == (True, "RUNNING")
    assert stored(tmp_path)[-1] == "cancel_requested"
    again = WorkerDouble()
    async with executing(one_step(), tmp_path, again, found=[S]) as run:
        attempt = await again.given()
        assert attempt.call.is_reattached
        attempt.begins.set()
        attempt.ends.set()
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_a_run_that_is_left_before_it_has_joined_an_attempt_leaves_it_running(tmp_path: Path) -> None:
    await left_running(one_step(), tmp_path)
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers, found=[S]) as run:
        run.executor.leave("the server ends")
        await anyio.lowlevel.checkpoint()
    assert run.state.phase == "RUNNING"
    again = WorkerDouble()
    async with executing(one_step(), tmp_path, again, found=[S]) as run:
        attempt = await again.given()
        assert attempt.call.is_reattached
        attempt.begins.set()
        attempt.ends.set()
    assert run.state.phase == "SUCCESS"
