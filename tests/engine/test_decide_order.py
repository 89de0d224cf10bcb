"""Which job starts when: file order, the limit, needs, order edges, selected jobs."""

from __future__ import annotations

import pytest

from aetherflow.events import run_events as e
from aetherflow.plan.plan import upstream
from tests.engine.scripted_machine import Ending, Session, by_name, encoded, failed, plan_of_jobs

BROKEN = by_name(a_s=failed())


def test_ready_jobs_start_in_file_order_up_to_the_limit() -> None:
    session = Session(plan_of_jobs({"id": "c"}, {"id": "a"}, {"id": "b"}, {"id": "d"}), limit=2)
    assert session.running == ["c", "a"]
    session.end("a")
    assert session.running == ["c", "b"]
    session.end("c")
    assert session.running == ["b", "d"]


def test_with_a_limit_of_one_jobs_run_strictly_in_file_order() -> None:
    plan = plan_of_jobs({"id": "late", "depends_on": ["x"]}, {"id": "x"}, {"id": "y"}, {"id": "z"})
    session = Session(plan, limit=1)
    session.finish()
    started = [event.job_id for event in session.history if isinstance(event, e.JobStarted)]
    assert started == ["x", "late", "y", "z"]


def test_a_job_above_in_the_file_goes_before_the_waiting_items_of_one_below() -> None:
    plan = plan_of_jobs(
        {"id": "first"}, {"id": "late", "depends_on": ["first"]}, {"id": "fan", "for_each": [1, 2]}
    )
    session = Session(plan, limit=1)
    session.finish()
    started = [event.job_id for event in session.history if isinstance(event, e.JobStarted)]
    assert started == ["first", "late", "fan", "fan[0]", "fan[1]"]


def test_items_of_fans_start_in_file_order_too() -> None:
    plan = plan_of_jobs(
        {"id": "first", "for_each": [1, 2, 3], "depends_on": ["gate"]},
        {"id": "gate"},
        {"id": "second", "for_each": [1, 2, 3]},
    )
    session = Session(plan, limit=2)
    assert session.running == ["gate", "second[0]"]
    session.end("gate")
    assert session.running == ["second[0]", "first[0]"]
    session.end("second[0]", "first[0]")
    assert session.running == ["first[1]", "first[2]"]


def test_a_job_starts_when_all_it_needs_succeeded() -> None:
    session = Session(plan_of_jobs({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a", "b"]}))
    session.end("b")
    assert session.running == ["a"]
    session.end("a")
    assert session.running == ["c"]
    session.finish()
    assert session.log()[-4:] == ["c.s RUNNING 1", "c.s SUCCESS", "c SUCCESS", "run SUCCESS"]


@pytest.mark.parametrize(
    ("ending", "status"),
    [(failed(), "FAILED"), (Ending("SKIPPED"), "SKIPPED"), (Ending("CANCELLED"), "CANCELLED")],
)
def test_what_needs_a_job_that_did_not_succeed_is_blocked_all_the_way_down(
    ending: Ending, status: str
) -> None:
    plan = plan_of_jobs(
        {"id": "a", "steps": [{"id": "s", "type": "t", "on_no_data": "skip_job"}]},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
        {"id": "other"},
    )
    session = Session(plan, play=by_name(a_s=ending))
    session.finish()
    assert session.statuses() == {"a": status, "b": "BLOCKED", "c": "BLOCKED", "other": "SUCCESS"}
    assert session.state.job("b").reason == "job a did not succeed"
    assert session.state.job("c").reason == "job b did not succeed"
    assert session.state.phase == ("SUCCESS" if status == "SKIPPED" else status)


def test_a_reference_waits_for_the_end_whatever_it_is() -> None:
    plan = plan_of_jobs({"id": "b", "when": "jobs.a.status == 'FAILED'"}, {"id": "a"})
    session = Session(plan, play=BROKEN)
    assert session.running == ["a"]
    session.end("a")
    assert session.running == ["b"]
    assert session.finish().phase == "FAILED"
    assert session.statuses() == {"a": "FAILED", "b": "SUCCESS"}


def test_a_blocked_job_is_reported_only_when_all_before_it_has_ended() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a", "b"]})
    session = Session(plan, play=BROKEN)
    session.end("a")
    assert "c" not in session.state.jobs
    session.end("b")
    assert session.state.job("c").status == "BLOCKED"


def test_only_selected_jobs_run_and_the_others_have_no_part_in_the_end() -> None:
    plan = plan_of_jobs(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]}, {"id": "other"}
    )
    session = Session(plan, play=by_name(other_s=failed()), selected=upstream(plan, ["b"]))
    assert session.finish().phase == "SUCCESS"
    assert session.statuses() == {"a": "SUCCESS", "b": "SUCCESS"}


def test_a_later_selection_resumes_what_an_earlier_one_left() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c"})
    first = Session(plan, selected={0})
    first.finish()
    second = Session(plan, first.history)
    assert second.running == ["b", "c"]
    assert second.finish().phase == "SUCCESS"


def test_a_job_runs_its_steps_in_order_and_one_at_a_time() -> None:
    session = Session(plan_of_jobs({"id": "a", "steps": [{"id": n, "type": "t"} for n in "xyz"]}))
    session.finish()
    assert session.log() == [
        "a RUNNING",
        *(f"a.{step} {word}" for step in "xyz" for word in ("RUNNING 1", "SUCCESS")),
        "a SUCCESS",
        "run SUCCESS",
    ]


def test_the_end_of_a_run_counts_and_takes_its_time_from_the_clock() -> None:
    session = Session(plan_of_jobs({"id": "a"}, {"id": "b", "depends_on": ["a"]}), play=BROKEN)
    session.finish()
    end = session.history[-1]
    assert isinstance(end, e.RunFinished)
    assert (end.status, end.jobs, end.steps) == ("FAILED", {"FAILED": 1, "BLOCKED": 1}, {"FAILED": 1})
    assert end.duration_seconds > 0


def test_a_step_starts_with_its_type_and_the_fingerprint_of_its_definition() -> None:
    plan = plan_of_jobs({"id": "a"})
    started = next(event for event in Session(plan).history if isinstance(event, e.StepStarted))
    assert (started.step_type, started.definition) == ("t", plan.jobs[0].steps[0].fingerprint())


def test_reports_of_several_jobs_may_come_in_one_turn() -> None:
    session = Session(plan_of_jobs({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a", "b"]}))
    session.tell(session.report("b"), session.report("a"))
    assert session.running == ["c"]


def test_the_same_story_twice_gives_the_same_bytes() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b", "for_each": [1, 2]}, {"id": "c", "depends_on": ["a", "b"]})
    stories = []
    for _ in range(2):
        session = Session(plan)
        session.finish()
        stories.append(encoded(session.history))
    assert stories[0] == stories[1]
