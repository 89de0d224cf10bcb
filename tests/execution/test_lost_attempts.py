"""An attempt whose worker is gone: nobody knows how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import AttemptLost
from aetherflow.events import run_events as e
from aetherflow.sdk.step import StepResult
from tests.execution.far_run import executing
from tests.execution.live_run import one_step, query, stored
from tests.execution.worker_double import WorkerDouble
from tests.store.clock_double import FakeClock

RETRY = "retry: {max_attempts: 3, retry_on: [lost]}"


async def lose(workers: WorkerDouble, *, begun: bool = True) -> None:
    """Let the next attempt begin, if it shall, and lose it."""
    attempt = await workers.given()
    attempt.end = AttemptLost("the worker w1 on far has died")
    if begun:
        attempt.begins.set()
    else:
        attempt.is_refused = True
        attempt.begins.set()
    attempt.ends.set()


async def succeed(workers: WorkerDouble) -> None:
    """Let the next attempt begin and succeed."""
    attempt = await workers.given()
    attempt.end = StepResult(outputs={"n": 1})
    attempt.begins.set()
    attempt.ends.set()


@pytest.mark.asyncio
async def test_a_lost_attempt_is_made_again_if_the_flow_says_so(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=RETRY), tmp_path, workers) as run:
        await lose(workers)
        await lose(workers, begun=False)
        await succeed(workers)
    assert run.state.phase == "SUCCESS"
    assert stored(tmp_path)[2:10] == [
        "step_started a.s",
        "step_placed a.s",
        "step_retrying a.s",
        "step_started a.s",
        "step_retrying a.s",
        "step_started a.s",
        "step_placed a.s",
        "step_finished a.s SUCCESS",
    ]


@pytest.mark.asyncio
async def test_without_a_retry_the_step_fails_and_its_error_says_where_it_ran(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers) as run:
        attempt = await workers.given()
        attempt.end = AttemptLost("no sign of life for 30 s")
        attempt.begins.set()
        attempt.ends.set()
    error = run.step("a.s").error
    assert (run.state.phase, error.code, error.kind) == ("FAILED", "AF882", "lost")
    assert error.message == "no sign of life for 30 s (it ran on far:w1@far)"
    assert error.hint == "a retry with retry_on: [lost] makes another attempt, if the step may run twice"


@pytest.mark.asyncio
async def test_other_failures_are_not_lost_attempts(tmp_path: Path) -> None:
    workers = WorkerDouble()
    text = one_step(more="retry: {max_attempts: 3, retry_on: [timeout]}")
    async with executing(text, tmp_path, workers) as run:
        await lose(workers)
    assert run.state.phase == "FAILED"
    assert len(workers.attempts) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("policy", "status", "phase"), [("fail", "FAILED", "FAILED"), ("skip", "SKIPPED", "SUCCESS")]
)
async def test_a_step_that_may_not_run_twice_ends_as_after_a_crash(
    tmp_path: Path, policy: str, status: str, phase: str
) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=f"{RETRY}, on_interrupt: {policy}"), tmp_path, workers) as run:
        await lose(workers)
    step = run.step("a.s")
    assert len(workers.attempts) == 1
    assert (run.state.phase, step.status, step.was_interrupted) == (phase, status, True)
    if policy == "skip":
        assert step.reason == "interrupted, on_interrupt: skip"
        return
    assert (step.error.code, step.error.kind) == ("AF713", "lost")
    assert step.error.message == (
        "the step was interrupted at attempt 1 (the worker w1 on far has died) "
        "and must not be repeated (on_interrupt: fail)"
    )
    assert step.error.hint == "find out what it did; resume the run once more, and it runs again"


@pytest.mark.asyncio
async def test_an_attempt_that_no_worker_had_begun_did_nothing_and_may_be_made_again(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=f"{RETRY}, on_interrupt: fail"), tmp_path, workers) as run:
        await lose(workers, begun=False)
        await succeed(workers)
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
@pytest.mark.parametrize(("policy", "code"), [("fail", "AF713"), ("rerun", "AF710")])
async def test_a_step_that_does_not_end_in_time_on_its_worker_may_still_run_there(
    tmp_path: Path, policy: str, code: str
) -> None:
    workers, clock = WorkerDouble(), FakeClock()
    workers.at_cancel = AttemptLost("the worker w1 on far did not end it")
    text = one_step(more=f"timeout_seconds: 10, on_interrupt: {policy}, retry: {{max_attempts: 2}}")
    if policy == "rerun":
        text = one_step(more=f"timeout_seconds: 10, on_interrupt: {policy}")
    async with executing(text, tmp_path, workers, clock) as run:
        attempt = await workers.given()
        attempt.begins.set()
        await clock.sleeping(1)
        clock.advance(10)
    assert run.state.phase == "FAILED"
    assert run.step("a.s").error.code == code
    assert len(workers.attempts) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("policy", "status"), [("fail", "FAILED"), ("skip", "SKIPPED"), ("rerun", "CANCELLED")]
)
async def test_a_cancelled_run_says_that_a_step_may_still_run_on_its_worker(
    tmp_path: Path, policy: str, status: str
) -> None:
    workers = WorkerDouble()
    workers.at_cancel = AttemptLost("the worker w1 on far did not end it")
    async with executing(one_step(more=f"on_interrupt: {policy}"), tmp_path, workers) as run:
        attempt = await workers.given()
        attempt.begins.set()
        await attempt.begun.wait()
        run.executor.cancel("enough")
    assert run.step("a.s").status == status
    ends = {"fail": "FAILED", "skip": "SUCCESS", "rerun": "CANCELLED"}  # skip: nothing was left to cancel
    assert run.state.phase == ends[policy]


@pytest.mark.asyncio
async def test_the_next_attempt_knows_what_the_lost_one_had_begun(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=RETRY), tmp_path, workers) as run:
        first = await workers.given()
        first.begins.set()
        effect = first.context.effect("upload a.csv")
        await effect.__aenter__()
        first.end = AttemptLost("the worker w1 on far has died")
        first.ends.set()
        second = await workers.given()
        known: Any = second.context.earlier_effects["upload a.csv"]
        assert not known.is_confirmed
        second.begins.set()
        second.ends.set()
    assert run.state.phase == "SUCCESS"
    assert query(tmp_path, "SELECT count(*) FROM events WHERE event = 'effect_intended'") == [(1,)]


@pytest.mark.asyncio
async def test_the_end_of_a_lost_attempt_names_the_attempt_in_its_event(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more=f"{RETRY}, on_interrupt: fail"), tmp_path, workers) as run:
        await lose(workers, begun=False)
        await lose(workers)
    [ended] = run.seen.of(e.StepFinished)
    assert (ended.attempt, ended.was_interrupted) == (2, True)
