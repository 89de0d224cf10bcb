"""What templates and conditions see of a run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aetherflow.engine.ready_queue import mapped_instance, whole_job
from aetherflow.engine.state import JobState, RunState, StepState
from aetherflow.engine.template_scope import JobsView, StepsView, job_scope, run_scope, step_view
from aetherflow.language.reference import look_up
from tests.engine.scripted_machine import plan_of_jobs


def state() -> RunState:
    done = StepState(status="SUCCESS", outputs={"rows": 3})
    return RunState(
        flow_id="f",
        run_id="r",
        phase="RUNNING",
        attempt=2,
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        params={"day": "2026-01-01"},
        jobs={
            "a.b": JobState(status="SUCCESS", outputs={"n": 1}, steps={"s": done}),
            "fan": JobState(status="RUNNING", items=["x", {"path": "y"}]),
            "fan[1]": JobState(status="RUNNING"),
        },
    )


def test_the_whole_run_sees_its_names() -> None:
    scope = run_scope(state(), ["a.b", "later"], {"HOME": "/root"})
    assert {key: value for key, value in scope.items() if key not in ("jobs", "run")} == {
        "env": {"HOME": "/root"},
        "params": {"day": "2026-01-01"},
        "run_id": "r",
        "flow_id": "f",
        "today": "2026-01-02",
        "yesterday": "2026-01-01",
        "flow": {"id": "f"},
    }
    assert dict(scope["run"]) == {
        "id": "r",
        "started_at": "2026-01-02T03:04:05Z",
        "scheduled_at": "2026-01-02T03:04:05Z",
        "date": "2026-01-02",
        "timezone": "UTC",
        "attempt": 2,
        "status": "RUNNING",
        "reason": "",
        "failed_jobs": [],
        "errors": [],
    }


def test_the_scheduled_time_is_that_of_the_scheduler_if_it_started_the_run() -> None:
    scope = run_scope(state(), [], {}, "2026-01-02T03:00:00Z")
    assert scope["run"]["scheduled_at"] == "2026-01-02T03:00:00Z"


@pytest.mark.parametrize(
    ("zone", "scheduled", "date"),
    [
        ("", "2026-03-28T23:30:00Z", "2026-03-28"),
        ("UTC", "2026-03-28T23:30:00Z", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29"),  # 00:30, before the clock changes
        ("Europe/Berlin", "2026-06-30T21:59:59Z", "2026-06-30"),
        ("Europe/Berlin", "2026-06-30T22:00:00Z", "2026-07-01"),
        ("Europe/Berlin", "2026-10-24T22:30:00Z", "2026-10-25"),  # 00:30, before the clock changes back
        ("America/New_York", "2026-03-08T04:59:00Z", "2026-03-07"),
        ("America/New_York", "2026-03-08T05:00:00Z", "2026-03-08"),
        ("Pacific/Kiritimati", "2026-12-31T10:00:00Z", "2027-01-01"),
        ("Pacific/Pago_Pago", "2027-01-01T10:59:00Z", "2026-12-31"),
        ("Asia/Kolkata", "2026-02-28T18:30:00Z", "2026-03-01"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04"),  # this day had no midnight
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"),  # this zone had no 30 December
    ],
)
def test_the_date_of_a_run_is_that_of_its_scheduled_time_in_its_zone(
    zone: str, scheduled: str, date: str
) -> None:
    run = state()
    run.timezone = zone
    scope = run_scope(run, [], {}, scheduled)
    assert (scope["run"]["date"], scope["today"]) == (date, date)
    assert scope["yesterday"] < date
    assert scope["run"]["timezone"] == (zone or "UTC")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("jobs.a.b.status", "SUCCESS"),
        ("jobs.a.b.outputs.n", 1),
        ("jobs.later.status", "PENDING"),
        ("jobs.later.outputs", {}),
        ("params.day", "2026-01-01"),
        ("run.attempt", 2),
    ],
)
def test_jobs_are_seen_by_their_ids_also_before_they_begin(path: str, value: object) -> None:
    assert look_up(run_scope(state(), ["a.b", "later"], {}), tuple(path.split("."))) == value


def test_the_view_of_jobs_is_a_mapping_of_the_flows_jobs_and_no_others() -> None:
    view = JobsView(state(), ["a.b", "later"])
    assert (list(view), len(view)) == (["a.b", "later"], 2)
    assert "fan[1]" not in view
    with pytest.raises(KeyError):
        view["fan[1]"]


def test_the_views_follow_the_state() -> None:
    live = state()
    jobs, steps = JobsView(live, ["later"]), StepsView(live.jobs["fan"])
    live.jobs["later"] = JobState(status="FAILED", outputs={"n": 2})
    live.jobs["fan"].steps["s"] = StepState(status="RUNNING")
    assert jobs["later"] == {"status": "FAILED", "outputs": {"n": 2}}
    assert steps["s"] == {"status": "RUNNING", "outputs": {}, "reason": ""}
    assert (list(steps), len(steps)) == (["s"], 1)


def test_a_step_is_seen_as_its_outputs_with_its_status_beside_them() -> None:
    plain = step_view(StepState(status="SKIPPED", outputs={"rows": 0}, reason="none"))
    assert plain == {"status": "SKIPPED", "outputs": {"rows": 0}, "reason": "none", "rows": 0}


def test_the_outputs_of_a_step_win_over_what_stands_beside_them() -> None:
    view = step_view(StepState(status="SUCCESS", outputs={"status": 200, "reason": "OK"}))
    assert (view["status"], view["reason"], view["outputs"]) == (200, "OK", {"status": 200, "reason": "OK"})


def test_a_job_sees_itself_and_its_steps_and_no_item() -> None:
    plan = plan_of_jobs({"id": "a.b"})
    scope = job_scope({"env": {}}, state(), whole_job(plan.jobs[0]))
    assert scope["job"] == {"id": "a.b", "outputs": {"n": 1}}
    assert look_up(scope, ("steps", "s", "rows")) == 3
    assert scope.keys() == {"env", "job", "steps"}


def test_an_instance_sees_its_item_and_its_number() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2]})
    scope = job_scope({}, state(), mapped_instance(plan.jobs[0], 1))
    assert (scope["item"], scope["item_index"], scope["job"]["id"]) == ({"path": "y"}, 1, "fan[1]")
