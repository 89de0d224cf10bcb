"""What follows from how a step ended: gates, skips, failures that are forgiven, retries."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.engine.commands import ScheduleRetry
from aetherflow.errors import FailureCause
from aetherflow.events import run_events as e
from tests.engine.scripted_machine import Ending, Session, by_name, failed, plan_of_jobs

PROBE = {"id": "probe", "steps": [{"id": "s", "type": "t", "outputs": {"n": "{{result.n}}"}}]}
FOUND = by_name(probe_s=Ending(result={"n": "3"}))


def steps(**fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return steps by their ids, in order."""
    return [{"id": step_id, "type": "t", **more} for step_id, more in fields.items()]


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ("jobs.probe.outputs.n > 2", "SUCCESS"),
        ("jobs.probe.outputs.n > 3", "SKIPPED"),
        ("jobs.probe.outputs.other == null", "SUCCESS"),
        ("params.day == '2026-01-01' and jobs.probe.status == 'SUCCESS'", "SUCCESS"),
        (True, "SUCCESS"),
        (False, "SKIPPED"),
    ],
)
def test_a_gate_sees_outputs_statuses_and_params(when: object, status: str) -> None:
    plan = plan_of_jobs(PROBE, {"id": "gated", "when": when}, params={"day": {}})
    session = Session(plan, play=FOUND, params={"day": "2026-01-01"})
    assert session.finish().phase == "SUCCESS"
    assert session.state.job("gated").status == status


def test_a_closed_gate_says_so_and_no_step_of_the_job_begins() -> None:
    session = Session(plan_of_jobs({"id": "a", "when": "1 > 2"}, {"id": "b", "depends_on": ["a"]}))
    assert session.log() == ["a SKIPPED", "b BLOCKED", "run SUCCESS"]
    assert session.state.job("a").reason == "when: 1 > 2 is false"


def test_an_error_in_a_gate_fails_the_job_and_only_it() -> None:
    plan = plan_of_jobs(PROBE, {"id": "gated", "when": "jobs.probe.outputs.other > 1"}, {"id": "free"})
    session = Session(plan, play=FOUND)
    assert session.finish().phase == "FAILED"
    assert session.statuses() == {"probe": "SUCCESS", "free": "SUCCESS", "gated": "FAILED"}
    error = session.state.job("gated").error
    assert error is not None
    assert (error.code, error.message) == (
        "AF420",
        "jobs.probe.outputs.other is null (the job did not output it) and cannot be compared with >",
    )


@pytest.mark.parametrize(
    ("when", "saw"),
    [
        ("jobs.probe.outputs.n > 3", "jobs.probe.outputs.n is '3'"),
        ("jobs.probe.outputs.other", "jobs.probe.outputs.other is null (the job did not output it)"),
        ("env.HOPE == 'x'", "env.HOPE is null (the variable is not set)"),
        ("params.day == null", "params.day is '2026-01-01'"),
        ("params.day == 'x' and env.HOPE == 'y'", "params.day is '2026-01-01'"),
        (
            "params.day == 'x' or jobs.probe.status != 'SUCCESS' or params.day == 'y'",
            "params.day is '2026-01-01', jobs.probe.status is 'SUCCESS'",
        ),
        (
            "params.files == null",
            "params.files is [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1... (a list of 30)",
        ),
        ("params.text == ''", f"params.text is '{'x' * 57}...'"),
        ("params.off", "params.off is false"),
    ],
)
def test_a_closed_gate_shows_the_values_that_it_saw(when: str, saw: str) -> None:
    params = {"day": "2026-01-01", "files": [*range(1, 31)], "text": "x" * 500, "off": False}
    plan = plan_of_jobs(PROBE, {"id": "gated", "when": when}, params={key: {} for key in params})
    session = Session(plan, play=FOUND, params=params)
    session.finish()
    gated = session.state.job("gated")
    assert (gated.status, gated.reason) == ("SKIPPED", f"when: {when} is false: {saw}")


def test_an_error_in_a_gate_shows_both_sides() -> None:
    plan = plan_of_jobs(
        PROBE, {"id": "gated", "when": "jobs.probe.outputs.n > params.names"}, params={"names": {}}
    )
    session = Session(plan, play=FOUND, params={"names": ["a", "b"]})
    session.finish()
    error = session.state.job("gated").error
    assert error is not None
    assert error.message == (
        "jobs.probe.outputs.n (a text) and params.names (a list) cannot be compared with >: "
        'jobs.probe.outputs.n is \'3\', params.names is ["a", "b"]'
    )


def test_a_gate_is_not_looked_at_when_a_need_did_not_succeed() -> None:
    plan = plan_of_jobs(PROBE, {"id": "gated", "depends_on": ["probe"], "when": "jobs.probe.outputs.n > 1"})
    session = Session(plan, play=by_name(probe_s=failed()))
    session.finish()
    assert session.state.job("gated").status == "BLOCKED"


def test_on_no_data_skips_the_rest_of_the_job_and_keeps_what_was_promoted() -> None:
    reads = {"on_no_data": "skip_job", "outputs": {"n": "{{result.n}}", "rows": "{{result.rows}}"}}
    plan = plan_of_jobs(
        {"id": "a", "steps": steps(first={"outputs": {"f": 1}}, reads=reads, third={}, fourth={})},
        {"id": "b", "depends_on": ["a"]},
    )
    session = Session(plan, play=by_name(a_reads=Ending("SKIPPED", {"n": 0})))
    assert session.finish().phase == "SUCCESS"
    assert session.log()[3:] == [
        "a.reads RUNNING 1",
        "a.reads SKIPPED",
        "a.third SKIPPED",
        "a.fourth SKIPPED",
        "a SKIPPED",
        "b BLOCKED",
        "run SUCCESS",
    ]
    assert session.state.job("a").outputs == {"f": 1, "n": 0}


@pytest.mark.parametrize(("said", "reason"), [("", "no data"), ("no new files", "no new files")])
def test_the_job_is_skipped_for_the_reason_of_its_step(said: str, reason: str) -> None:
    plan = plan_of_jobs({"id": "a", "steps": steps(reads={"on_no_data": "skip_job"}, next={})})
    session = Session(plan, play=by_name(a_reads=Ending("SKIPPED", reason=said)))
    session.finish()
    assert session.state.job("a").reason == reason
    unstarted = session.state.job("a").steps["next"]
    assert (unstarted.status, unstarted.reason, unstarted.attempt) == ("SKIPPED", said, 1)


def test_a_skipped_step_without_on_no_data_is_just_a_step() -> None:
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={}, y={})}), play=by_name(a_x=Ending("SKIPPED"))
    )
    session.finish()
    assert session.log()[2:] == ["a.x SKIPPED", "a.y RUNNING 1", "a.y SUCCESS", "a SUCCESS", "run SUCCESS"]


def test_a_failed_step_ends_its_job_with_its_error() -> None:
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"outputs": {"k": 1}}, y={}, z={})}),
        play=by_name(a_y=failed()),
    )
    session.finish()
    job = session.state.job("a")
    assert (job.status, job.reason, job.outputs, list(job.steps)) == (
        "FAILED",
        "step y failed",
        {"k": 1},
        ["x", "y"],
    )
    assert job.error == failed().error


def test_continue_on_error_continues_and_the_step_stays_failed() -> None:
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"continue_on_error": True}, y={})}),
        play=by_name(a_x=failed()),
    )
    assert session.finish().phase == "SUCCESS"
    job = session.state.job("a")
    assert job.status == "SUCCESS"
    assert {step_id: step.status for step_id, step in job.steps.items()} == {"x": "FAILED", "y": "SUCCESS"}


@pytest.mark.parametrize("cause", ["job_timeout", "job_lock"])
def test_continue_on_error_does_not_help_a_job_without_time_or_without_its_lock(cause: FailureCause) -> None:
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"continue_on_error": True}, y={})}),
        play=by_name(a_x=failed(cause)),
    )
    assert session.finish().phase == "FAILED"
    assert list(session.state.job("a").steps) == ["x"]


def test_a_step_cannot_claim_that_it_was_skipped_because_it_was_interrupted() -> None:
    skipped = Ending("SKIPPED", reason="interrupted, on_interrupt: skip")
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"on_no_data": "skip_job"}, y={})}),
        play=by_name(a_x=skipped),
    )
    session.finish()
    job = session.state.job("a")
    assert {step_id: step.status for step_id, step in job.steps.items()} == {"x": "SKIPPED", "y": "SKIPPED"}


def test_a_retry_waits_and_then_starts_the_next_attempt() -> None:
    retry = {"max_attempts": 3, "backoff_seconds": 2, "jitter": False}
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"retry": retry})}),
        play=lambda _work, failures, _inputs: failed() if failures < 2 else Ending(),
    )
    commands = session.tell(session.report("a"))
    assert isinstance(commands[0], ScheduleRetry)
    assert (commands[0].attempt, commands[0].seconds) == (2, 2)
    assert session.state.job("a").steps["x"].status == "PENDING"
    assert session.finish().phase == "SUCCESS"
    assert session.log() == [
        "a RUNNING",
        "a.x RUNNING 1",
        "a.x RETRYING 1",
        "a.x RUNNING 2",
        "a.x RETRYING 2",
        "a.x RUNNING 3",
        "a.x SUCCESS",
        "a SUCCESS",
        "run SUCCESS",
    ]
    waits = [event.wait_seconds for event in session.history if isinstance(event, e.StepRetrying)]
    assert waits == [2, 4]


def test_a_waiting_job_keeps_its_place() -> None:
    retry = {"max_attempts": 2, "backoff_seconds": 60}
    plan = plan_of_jobs({"id": "a", "steps": steps(x={"retry": retry})}, {"id": "b"})
    session = Session(plan, play=by_name(a_x=failed()), limit=1)
    session.end("a")
    assert session.running == ["a"]


def test_the_last_failed_attempt_is_the_failure_of_the_step() -> None:
    session = Session(
        plan_of_jobs({"id": "a", "steps": steps(x={"retry": {"max_attempts": 2}})}),
        play=by_name(a_x=failed()),
    )
    session.finish()
    assert session.log()[-3:] == ["a.x FAILED", "a FAILED", "run FAILED"]
    assert session.state.job("a").steps["x"].attempt == 2


def test_a_later_step_sees_what_an_earlier_one_yielded() -> None:
    seen: list[Any] = []

    def play(_work: object, _failures: int, inputs: Any) -> Ending:
        seen.append(inputs)
        return Ending(result={"rows": 7})

    read = {"a": "{{steps.x.rows}}", "b": "{{steps.x.status}}", "c": "{{job.outputs.k}}", "d": "{{job.id}}"}
    plan = plan_of_jobs(
        {"id": "j", "steps": steps(x={"outputs": {"k": "{{result.rows}}"}}, y={"inputs": read})}
    )
    Session(plan, play=play).finish()
    assert seen == [{}, {"a": 7, "b": "SUCCESS", "c": 7, "d": "j"}]
