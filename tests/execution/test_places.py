"""An attempt that is given to the workers of an executor: when it begins, and what time it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.engine.attempt_keys import attempt_key
from aetherflow.engine.state import StepPlace
from aetherflow.errors import StepError
from aetherflow.events import run_events as e
from aetherflow.sdk.step import StepResult
from tests.execution.far_run import executing
from tests.execution.live_run import one_step, stored
from tests.execution.worker_double import WorkerDouble
from tests.polling import eventually
from tests.store.clock_double import FakeClock


async def tick(clock: FakeClock, seconds: float) -> None:
    """Let some time pass, when the attempt waits for it."""
    await clock.sleeping(1)
    clock.advance(seconds)


@pytest.mark.asyncio
async def test_the_worker_that_begins_an_attempt_is_stored_with_its_host(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers) as run:
        attempt = await workers.given()
        assert (run.step("a.s").executor, run.step("a.s").place) == ("far", None)
        attempt.begins.set()
        assert await eventually(lambda: bool(run.seen.of(e.StepPlaced)))
        [placed] = run.seen.of(e.StepPlaced)
        assert run.step("a.s").place == StepPlace("far", "w1", "far", placed.at)
        attempt.end = StepResult(outputs={"n": 1})
        attempt.ends.set()
    assert run.state.phase == "SUCCESS"
    assert (placed.executor, placed.worker, placed.host, placed.is_reattached) == ("far", "w1", "far", False)
    assert stored(tmp_path)[2:5] == ["step_started a.s", "step_placed a.s", "step_finished a.s SUCCESS"]


@pytest.mark.asyncio
async def test_each_attempt_has_a_key_of_its_own_which_its_history_yields_again(tmp_path: Path) -> None:
    workers = WorkerDouble()
    text = one_step(more="retry: {max_attempts: 2, retry_on: [lost]}")
    keys: list[str] = []
    async with executing(text, tmp_path, workers) as run:
        for end in (StepError("gone", kind="lost"), StepResult()):
            attempt = await workers.given()
            keys.append(attempt.call.key)
            assert attempt.call.key == attempt_key(run.state, "a", "s")
            attempt.begins.set()
            attempt.end = end
            attempt.ends.set()
    assert run.state.phase == "SUCCESS"
    assert len(set(keys)) == 2


@pytest.mark.asyncio
async def test_an_attempt_uses_no_time_of_its_step_while_it_waits_for_a_worker(tmp_path: Path) -> None:
    workers, clock = WorkerDouble(), FakeClock()
    text = one_step(more="timeout_seconds: 10")
    async with executing(text, tmp_path, workers, clock) as run:
        attempt = await workers.given()
        clock.advance(60)
        attempt.begins.set()
        assert await eventually(lambda: bool(run.seen.of(e.StepPlaced)))
        await tick(clock, 9)
        assert not attempt.was_cancelled
        await tick(clock, 1)
    error = run.step("a.s").error
    assert (error.code, error.message) == ("AF710", "the step's timeout_seconds passed after 10 s")


@pytest.mark.asyncio
async def test_an_attempt_that_waits_for_a_worker_uses_the_time_of_its_job(tmp_path: Path) -> None:
    workers, clock = WorkerDouble(), FakeClock()
    text = one_step(more="timeout_seconds: 10", job="timeout_seconds: 30")
    async with executing(text, tmp_path, workers, clock) as run:
        attempt = await workers.given()
        await tick(clock, 30)
    assert attempt.was_cancelled
    error = run.step("a.s").error
    assert (error.code, error.message) == ("AF711", "the job's timeout_seconds passed after 30 s")
    assert not run.seen.of(e.StepPlaced)


@pytest.mark.asyncio
async def test_a_worker_that_begins_too_late_is_not_noted(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers) as run:
        attempt = await workers.given()
        run.executor.cancel("enough")
        await run.ended.wait()
        attempt.context.on_placed("w1", "far")
    assert run.state.phase == "CANCELLED"
    assert not run.seen.of(e.StepPlaced)
