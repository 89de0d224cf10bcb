"""A result that does not count is a part of the history of the run, as long as the run has not ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.engine.state import RunState, fold
from aetherflow.errors import AttemptLost
from aetherflow.events import run_events as e
from aetherflow.store.journal import read_events
from tests.execution.far_run import executing
from tests.execution.live_run import LiveRun, flow, one_step, stored
from tests.execution.worker_double import FarAttempt, WorkerDouble
from tests.polling import eventually

AGAIN = "retry: {max_attempts: 2, retry_on: [lost]}"
WHY = ("w1", "far", "the attempt was given up: it has died")


async def lost(workers: WorkerDouble) -> FarAttempt:
    """Let an attempt begin and be lost; return it."""
    attempt = await workers.given()
    attempt.end = AttemptLost("it has died")
    attempt.begins.set()
    attempt.ends.set()
    return attempt


async def replayed(run: LiveRun) -> RunState:
    """Return the state that the stored history leads to."""
    return fold(await run.database.read(lambda raw: list(read_events(raw, run.state.run_id))))


def steps_of(state: RunState) -> Any:
    """Return what is known of the steps."""
    return {job_id: job.steps for job_id, job in state.jobs.items()}


@pytest.mark.asyncio
async def test_it_is_stored_while_the_next_attempt_runs_and_changes_nothing(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=AGAIN), tmp_path, workers) as run:
        first = await lost(workers)
        second = await workers.given()
        second.begins.set()
        assert await eventually(lambda: len(run.seen.of(e.StepPlaced)) == 2)
        before = run.step("a.s")
        first.context.on_refused(*WHY)
        assert await eventually(lambda: bool(run.seen.of(e.ResultRefused)))
        assert run.step("a.s") == before
        second.ends.set()
        await run.ended.wait()
        again = await replayed(run)
    [refused] = run.seen.of(e.ResultRefused)
    assert (refused.job_id, refused.step_id, refused.attempt, refused.executor) == ("a", "s", 1, "far")
    assert (refused.worker, refused.host, refused.reason) == WHY
    assert steps_of(again) == steps_of(run.state)
    assert again.event_count == run.state.event_count


@pytest.mark.asyncio
async def test_it_is_stored_when_its_job_has_ended(tmp_path: Path) -> None:
    workers = WorkerDouble()
    text = flow(
        "{id: a, steps: [{id: s, type: t}]}",
        "{id: b, steps: [{id: s, type: t}]}",
        head="max_parallel_jobs: 2",
    )
    async with executing(text, tmp_path, workers) as run:
        first, second = [await workers.given(), await workers.given()]
        first.begins.set()
        first.ends.set()
        assert await eventually(lambda: bool(run.seen.of(e.JobFinished)))
        first.context.on_refused(*WHY)
        assert await eventually(lambda: bool(run.seen.of(e.ResultRefused)))
        second.begins.set()
        second.ends.set()
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_one_that_comes_with_the_report_that_ends_the_run_is_stored_before_it(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=AGAIN), tmp_path, workers) as run:
        first = await lost(workers)
        inbox, post = run.executor._inbox, run.executor._inbox.post

        def post_both(event: e.Event, then: Any = None) -> None:
            post(event, then)
            if isinstance(event, e.StepFinished):
                first.context.on_refused(*WHY)

        vars(inbox)["post"] = post_both
        second = await workers.given()
        second.begins.set()
        second.ends.set()
    assert run.state.phase == "SUCCESS"
    assert stored(tmp_path)[-4:-2] == ["result_refused a.s", "step_finished a.s SUCCESS"]


@pytest.mark.asyncio
async def test_after_the_end_of_the_run_it_is_only_shown(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=AGAIN), tmp_path, workers) as run:
        first = await lost(workers)
        publish = run.bus.publish

        async def publish_then_refuse(events: Any) -> None:
            await publish(events)
            if isinstance(events[-1], e.RunFinished):
                first.context.on_refused(*WHY)

        vars(run.bus)["publish"] = publish_then_refuse
        second = await workers.given()
        second.begins.set()
        second.ends.set()
    notices = [(one.code, one.attempt, one.message) for one in run.seen.of(e.Notice)]
    said = "a late result of attempt 1 from far:w1@far was refused: the attempt was given up: it has died"
    assert notices == [("AF885", 1, said)]
    assert not run.seen.of(e.ResultRefused)
    assert not [line for line in stored(tmp_path) if "refused" in line]
