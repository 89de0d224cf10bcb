"""How a run is stopped: by request, by its own time, by fail_fast, in every state a job can be in."""

from __future__ import annotations

import pytest

from aetherflow.engine.commands import CancelAttempt, RunAttempt, ScheduleRetry
from aetherflow.events import run_events as e
from tests.engine.scripted_machine import Ending, Session, by_name, failed, plan_of_jobs

JOBS = ({"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d", "depends_on": ["a"]})


@pytest.mark.parametrize(("cause", "end"), [("request", "CANCELLED"), ("timeout", "FAILED")])
def test_a_cancelled_run_stops_what_runs_and_starts_nothing_more(cause: e.CancelCause, end: str) -> None:
    session = Session(plan_of_jobs(*JOBS), limit=2)
    session.cancel(cause)
    assert session.stopped == {"a", "b"}
    assert session.statuses() == {"a": "RUNNING", "b": "RUNNING", "c": "CANCELLED"}
    session.finish()
    assert session.log()[4:] == [
        f"cancel {cause}",
        "c CANCELLED",
        "a.s CANCELLED",
        "a CANCELLED",
        "d CANCELLED",
        "b.s CANCELLED",
        "b CANCELLED",
        f"run {end}",
    ]
    assert {session.state.job(name).reason for name in "abcd"} == {"enough"}


def test_a_step_that_succeeds_all_the_same_counts_and_the_next_one_does_not_start() -> None:
    steps = [{"id": "x", "type": "t"}, {"id": "y", "type": "t"}]
    session = Session(plan_of_jobs({"id": "a", "steps": steps}))
    session.cancel()
    session.stopped.clear()
    assert session.finish().phase == "CANCELLED"
    assert session.log()[2:] == ["cancel request", "a.x SUCCESS", "a CANCELLED", "run CANCELLED"]


def test_a_run_whose_last_steps_succeed_all_the_same_is_a_success() -> None:
    session = Session(plan_of_jobs({"id": "a"}))
    session.cancel()
    session.stopped.clear()
    assert session.finish().phase == "SUCCESS"


def test_a_run_that_failed_and_had_nothing_left_to_cancel_is_failed() -> None:
    session = Session(plan_of_jobs({"id": "a"}), play=by_name(a_s=failed()))
    session.cancel()
    session.stopped.clear()
    assert session.finish().phase == "FAILED"


def waiting() -> Session:
    """Return a run whose only job waits for its second attempt."""
    step = {"id": "s", "type": "t", "retry": {"max_attempts": 3, "backoff_seconds": 9}}
    session = Session(plan_of_jobs({"id": "a", "steps": [step]}), play=by_name(a_s=failed()))
    session.end("a")
    assert isinstance(session.doing["a"], ScheduleRetry)
    return session


def test_the_wait_before_a_retry_is_stopped() -> None:
    session = waiting()
    session.cancel()
    assert session.stopped == {"a"}
    assert session.finish().phase == "CANCELLED"


def test_a_failed_attempt_that_comes_with_the_cancellation_is_not_tried_again() -> None:
    step = {"id": "s", "type": "t", "retry": {"max_attempts": 3}}
    session = Session(plan_of_jobs({"id": "a", "steps": [step]}), play=by_name(a_s=failed()))
    retrying = session.report("a")
    session.cancel()
    session.tell(retrying)
    assert session.log()[2:] == [
        "cancel request",
        "a.s RETRYING 1",
        "a.s CANCELLED",
        "a CANCELLED",
        "run CANCELLED",
    ]
    assert session.state.job("a").steps["s"].attempt == 1


def test_an_attempt_whose_wait_ended_as_the_cancellation_came_does_no_work() -> None:
    session = waiting()
    started = session.report("a")
    session.cancel()
    commands = session.tell(started)
    assert not [command for command in commands if isinstance(command, RunAttempt)]
    assert session.state.phase == "CANCELLED"
    step = session.state.job("a").steps["s"]
    assert (step.status, step.attempt, step.reason) == ("CANCELLED", 2, "enough")


def test_stop_follows_a_start_of_the_same_turn() -> None:
    session = Session(plan_of_jobs({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c"}))
    cancel = e.CancelRequested(at=session.clock.now(), flow_id="f", run_id="run-1", reason="enough")
    commands = session.tell(session.report("a"), cancel)
    assert [
        (type(command), command.instance.id)
        for command in commands
        if isinstance(command, RunAttempt | CancelAttempt)
    ] == [(CancelAttempt, "c")]
    assert session.state.job("b").status == "CANCELLED"


def test_fail_fast_cancels_what_runs_and_blocks_the_rest() -> None:
    session = Session(plan_of_jobs(*JOBS, fail_fast=True), play=by_name(b_s=failed()), limit=2)
    session.end("b")
    assert session.stopped == {"a"}
    assert session.finish().phase == "FAILED"
    assert session.statuses() == {"a": "CANCELLED", "b": "FAILED", "c": "BLOCKED", "d": "BLOCKED"}
    assert session.state.job("c").reason == "fail_fast: job b failed"


def test_without_fail_fast_other_branches_continue() -> None:
    session = Session(plan_of_jobs(*JOBS), play=by_name(a_s=failed()), limit=1)
    assert session.finish().phase == "FAILED"
    assert session.statuses() == {"a": "FAILED", "b": "SUCCESS", "c": "SUCCESS", "d": "BLOCKED"}


def test_a_job_that_fails_before_it_starts_is_a_failure_for_fail_fast_too() -> None:
    jobs = ({"id": "a", "when": "params.day > 1"}, {"id": "b"})
    session = Session(plan_of_jobs(*jobs, fail_fast=True, params={"day": {}}))
    assert session.log() == ["a FAILED", "cancel fail_fast", "b BLOCKED", "run FAILED"]


@pytest.mark.parametrize("size", [1, 3])
def test_fail_fast_in_a_fan_cancels_the_run_once(size: int) -> None:
    jobs = ({"id": "fan", "for_each": list(range(size))}, {"id": "z"})
    session = Session(plan_of_jobs(*jobs, fail_fast=True), play=by_name(**{"fan[0]_s": failed()}), limit=1)
    assert session.finish().phase == "FAILED"
    rest = [f"fan[{n}] BLOCKED" for n in range(1, size)]
    assert session.log()[3:] == [
        "fan[0].s FAILED",
        "fan[0] FAILED",
        "cancel fail_fast",
        *rest,
        "fan FAILED",
        "z BLOCKED",
        "run FAILED",
    ]


def test_a_cancelled_fan_ends_its_items_and_then_itself() -> None:
    session = Session(plan_of_jobs({"id": "fan", "for_each": [1, 2, 3], "max_parallel": 1}))
    session.end("fan[0]")
    session.cancel()
    assert session.finish().phase == "CANCELLED"
    assert session.statuses() == {
        "fan": "CANCELLED",
        "fan[0]": "SUCCESS",
        "fan[1]": "CANCELLED",
        "fan[2]": "CANCELLED",
    }


def test_a_cancelled_run_continues_when_it_is_resumed() -> None:
    session = Session(plan_of_jobs(*JOBS), limit=2)
    session.end("a")
    session.cancel()
    session.finish()
    again = Session(session.plan, session.history)
    assert again.running == ["b", "c", "d"]
    assert again.finish().phase == "SUCCESS"


def test_a_skipped_step_that_skips_its_job_does_so_in_a_cancelled_run_too() -> None:
    steps = [{"id": "x", "type": "t", "on_no_data": "skip_job"}, {"id": "y", "type": "t"}]
    session = Session(plan_of_jobs({"id": "a", "steps": steps}), play=by_name(a_x=Ending("SKIPPED")))
    session.cancel()
    session.stopped.clear()
    assert session.finish().phase == "SUCCESS"
    assert session.log()[3:] == ["a.x SKIPPED", "a.y SKIPPED", "a SKIPPED", "run SUCCESS"]
