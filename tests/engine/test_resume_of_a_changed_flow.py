"""Resume a run whose flow was edited: whatever changed is shown."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.engine.resume import ResumePlan, plan_resume
from aetherflow.engine.state import fold
from aetherflow.errors import UsageError
from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan
from tests.engine.scripted_machine import Ending, Play, Session, by_name, failed, plan_of_jobs


def steps(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": step_id, "type": "t", **more} for step_id in ids]


def ended(plan: Plan, play: Play | None = None) -> Session:
    session = Session(plan, play=play)
    session.finish()
    return session


def found(plan: Plan, before: Session, *rerun: str) -> ResumePlan:
    return plan_resume(plan, fold(before.history), rerun)


def gone_on(plan: Plan, before: Session, *rerun: str, play: Play | None = None) -> Session:
    """Resume the run to its end; its history, replayed, leads to the same state."""
    session = Session(plan, before.history, rerun=rerun, play=play)
    session.finish()
    assert fold(session.history) == session.state
    return session


def begun(session: Session, before: Session) -> list[str]:
    """Return the steps that an execution has started."""
    return [
        f"{event.job_id}.{event.step_id}"
        for event in session.history[len(before.history) :]
        if isinstance(event, e.StepStarted)
    ]


TWO = plan_of_jobs({"id": "prep", "steps": steps("one")}, {"id": "load", "depends_on": ["prep"]})


@pytest.mark.parametrize("ids", [("one", "added"), ("added", "one")])
def test_a_step_that_was_added_to_a_finished_job_is_reported_and_does_not_run(ids: tuple[str, str]) -> None:
    before = ended(TWO, by_name(load_s=failed()))
    plan = plan_of_jobs({"id": "prep", "steps": steps(*ids)}, {"id": "load", "depends_on": ["prep"]})
    assert found(plan, before).texts("never_run") == ["prep.added"]
    assert found(plan, before).stored_decisions()["never_run"] == ["prep.added"]
    assert begun(gone_on(plan, before), before) == ["load.s"]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("one", "added"), ["prep.added", "load.s"]),
        (("added", "one"), ["prep.added", "prep.one", "load.s"]),
        (("one", "added", "later"), ["prep.added", "prep.later", "load.s"]),
    ],
)
def test_a_step_that_was_added_to_a_finished_job_runs_when_it_is_named(
    ids: tuple[str, ...], expected: list[str]
) -> None:
    before = ended(TWO)
    plan = plan_of_jobs({"id": "prep", "steps": steps(*ids)}, {"id": "load", "depends_on": ["prep"]})
    again = found(plan, before, "prep.added")
    assert "prep.added (--rerun)" in again.texts("rerun")
    assert again.texts("never_run") == []
    session = gone_on(plan, before, "prep.added")
    assert begun(session, before) == expected
    assert session.state.phase == "SUCCESS"


def test_an_earlier_new_step_runs_too_when_its_job_is_resumed_and_that_is_said() -> None:
    before = ended(plan_of_jobs({"id": "a", "steps": steps("x", "z")}))
    plan = plan_of_jobs({"id": "a", "steps": steps("x", "new", "z")})
    assert found(plan, before, "a.z").texts("rerun") == ["a.new (new)", "a.z (--rerun)"]
    assert begun(gone_on(plan, before, "a.z"), before) == ["a.new", "a.z"]


def test_a_step_that_was_added_to_a_fan_runs_in_every_instance_when_it_is_named() -> None:
    before = ended(plan_of_jobs({"id": "fan", "for_each": [1, 2], "steps": steps("x")}))
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2], "steps": steps("x", "y")})
    assert found(plan, before).texts("never_run") == ["fan[0].y", "fan[1].y"]
    assert begun(gone_on(plan, before, "fan.y"), before) == ["fan[0].y", "fan[1].y"]


def test_a_step_of_a_job_that_its_gate_had_skipped_may_be_named() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b", "when": "jobs.a.outputs.n == 1", "steps": steps("x", "y")})
    before = ended(plan)
    assert before.statuses()["b"] == "SKIPPED"
    session = gone_on(plan_of_jobs({"id": "a"}, {"id": "b", "steps": steps("x", "y")}), before, "b.y")
    assert begun(session, before) == ["b.x", "b.y"]


def mapped(*items: str, **more: Any) -> Plan:
    return plan_of_jobs({"id": "each", "for_each": list(items), **more})


def test_another_for_each_is_reported_while_the_job_goes_on_with_its_items() -> None:
    before = ended(mapped("good", "bad"), by_name(**{"each[1]_s": failed()}))
    assert found(mapped("good", "bad"), before).texts("changed") == []
    plan = mapped("good", "better")
    assert found(plan, before).texts("changed") == ["each (for_each)"]
    second = gone_on(plan, before, play=by_name(**{"each[1]_s": failed()}))
    assert second.state.job("each").items == ["good", "bad"]
    assert found(plan, second).texts("changed") == ["each (for_each)"], "shown until it is listed again"
    third = gone_on(plan, second, "each")
    assert third.state.job("each").items == ["good", "better"]
    assert found(plan, third).texts("changed") == []


def test_another_for_each_of_a_finished_job_is_reported() -> None:
    before = ended(mapped("good"))
    assert found(mapped("good", "new"), before).texts("changed") == ["each (for_each)"]
    assert found(mapped(), ended(mapped())).texts("changed") == []
    assert found(mapped("new"), ended(mapped())).texts("changed") == ["each (for_each)"], "it had no items"


def gated(when: str | None) -> Plan:
    return plan_of_jobs({"id": "a"}, {"id": "b", **({"when": when} if when else {})})


@pytest.mark.parametrize("then", ["jobs.a.status == 'SUCCESS'", None])
def test_another_gate_of_a_job_that_was_skipped_is_reported(then: str | None) -> None:
    before = ended(gated("jobs.a.status == 'FAILED'"))
    assert before.statuses()["b"] == "SKIPPED"
    assert found(gated("jobs.a.status == 'FAILED'"), before).texts("changed") == []
    again = found(gated(then), before)
    assert (again.texts("changed"), "b (SKIPPED)" in again.texts("keep")) == (["b (when)"], True)
    assert begun(gone_on(gated(then), before), before) == []
    assert found(gated(then), before, "b").texts("changed") == []
    assert begun(gone_on(gated(then), before, "b"), before) == ["b.s"]


def test_another_gate_of_a_job_that_ran_is_reported_and_one_that_is_asked_again_is_not() -> None:
    before = ended(gated(None))
    assert found(gated("jobs.a.status == 'FAILED'"), before).texts("changed") == ["b (when)"]
    before = ended(gated("1 == 1"), by_name(b_s=failed()))
    assert found(gated("1 == 2"), before).texts("changed") == []


def test_what_earlier_versions_did_not_store_is_not_compared() -> None:
    before = ended(gated("jobs.a.status == 'FAILED'"))
    state = fold(before.history)
    for job in state.jobs.values():
        job.when = job.for_each = ""
    assert plan_resume(gated(None), state).texts("changed") == []


def test_a_changed_step_of_a_fan_is_reported_once_by_the_name_that_the_flow_has_for_it() -> None:
    before = ended(mapped("a", "b", "c"))
    plan = mapped("a", "b", "c", steps=steps("s", inputs={"n": 1}))
    assert found(plan, before).texts("changed") == ["each.s"]
    assert len(found(plan, before, "each.s").texts("rerun")) == 3


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("fan[1]", ["fan[1].x", "fan[1].y", "end.s"]),
        ("fan[1].x", ["fan[1].x", "fan[1].y", "end.s"]),
        ("fan[0].y", ["fan[0].y", "end.s"]),
    ],
)
def test_one_instance_runs_again_with_what_follows_it_and_its_siblings_are_kept(
    named: str, expected: list[str]
) -> None:
    plan = plan_of_jobs(
        {"id": "fan", "for_each": ["p", "q"], "steps": steps("x", "y")}, {"id": "end", "depends_on": ["fan"]}
    )
    before = ended(plan)
    session = gone_on(plan, before, named)
    assert begun(session, before) == expected
    assert session.state.phase == "SUCCESS"
    assert session.state.job("fan").items == ["p", "q"]


@pytest.mark.parametrize(
    "named", ["fan[2]", "fan[-1]", "fan[01]", "fan[]", "fan[0", "fan[0].", "fan[0]x", "end[0]"]
)
def test_an_instance_that_is_not_there_is_refused(named: str) -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": ["p", "q"]}, {"id": "end"})
    with pytest.raises(UsageError, match="the flow has no such job or step"):
        found(plan, ended(plan), named)


def test_jobs_that_take_no_part_stay_as_they_are_and_count() -> None:
    plan = plan_of_jobs(
        {"id": "load"},
        {"id": "report"},
        {"id": "alarm", "depends_on": ["report"], "when": "jobs.load.status == 'FAILED'"},
    )
    before = ended(plan, by_name(load_s=failed()))
    session = Session(plan, before.history, rerun=["report"], selected={1, 2})
    session.finish()
    assert session.statuses() == {"load": "FAILED", "report": "SUCCESS", "alarm": "SUCCESS"}
    assert begun(session, before) == ["report.s", "alarm.s"]
    assert session.state.phase == "FAILED"
    error = session.state.job("load").error
    assert error is not None
    assert error.message == "it broke"
    healed = gone_on(plan, session)
    assert begun(healed, session) == ["load.s"]
    assert healed.state.phase == "SUCCESS"


def test_a_fan_that_takes_no_part_stays_as_it_is_with_its_instances() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2]}, {"id": "report"})
    before = ended(plan, by_name(**{"fan[1]_s": failed()}))
    session = Session(plan, before.history, rerun=["report"], selected={1})
    session.finish()
    assert session.statuses() == {
        "fan": "FAILED",
        "fan[0]": "SUCCESS",
        "fan[1]": "FAILED",
        "report": "SUCCESS",
    }
    assert begun(gone_on(plan, session), session) == ["fan[1].s"]


def test_a_cancelled_job_that_takes_no_part_keeps_the_run_cancelled() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b"})
    before = Session(plan)
    before.cancel()
    before.finish()
    session = Session(plan, before.history, rerun=["a"], selected={0})
    session.finish()
    assert session.statuses() == {"a": "SUCCESS", "b": "CANCELLED"}
    assert (session.state.phase, session.state.outcome_reason) == (
        "CANCELLED",
        "a job that took no part is CANCELLED",
    )


def test_what_was_running_when_its_process_died_and_takes_no_part_waits_for_the_next_resume() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "b", "steps": steps("s", on_interrupt="fail")})
    before = Session(plan)
    session = Session(plan, before.history, rerun=["a"], selected={0})
    session.finish()
    assert session.statuses() == {"a": "SUCCESS", "b": "PENDING"}
    assert found(plan, session).texts("end_interrupted") == ["b.s (INTERRUPTED, on_interrupt: fail)"]


def test_a_job_that_the_flow_has_no_more_leaves_nothing_pending_and_is_reported() -> None:
    before = ended(
        plan_of_jobs({"id": "old"}, {"id": "done"}, {"id": "a"}), by_name(old_s=failed(), a_s=failed())
    )
    plan = plan_of_jobs({"id": "a"})
    assert found(plan, before).texts("remove") == ["old (FAILED)", "done (SUCCESS)"]
    session = gone_on(plan, before)
    assert session.statuses() == {"done": "SUCCESS", "a": "SUCCESS"}
    assert session.state.phase == "SUCCESS"


def test_a_step_that_the_flow_has_no_more_leaves_nothing_behind_in_a_resumed_job() -> None:
    promoting = [{"id": name, "type": "t", "outputs": {name: "{{result.n}}"}} for name in ("x", "y", "z")]
    play = by_name(a_x=Ending(result={"n": 1}), a_y=Ending(result={"n": 2}), a_z=failed())
    before = ended(plan_of_jobs({"id": "a", "steps": promoting}), play)
    assert before.state.job("a").outputs == {"x": 1, "y": 2}
    plan = plan_of_jobs({"id": "a", "steps": [promoting[1]]})
    assert found(plan, before).texts("remove") == ["a.x (SUCCESS)", "a.z (FAILED)"]
    session = gone_on(plan, before)
    assert session.state.phase == "SUCCESS"
    assert session.state.job("a").steps.keys() == {"y"}
    assert session.state.job("a").outputs == {"y": 2}


def test_a_finished_job_keeps_what_a_step_gave_that_the_flow_has_no_more() -> None:
    before = ended(plan_of_jobs({"id": "a", "steps": steps("x", "y")}))
    plan = plan_of_jobs({"id": "a", "steps": steps("y")})
    assert found(plan, before).texts("remove") == ["a.x (SUCCESS)"]
    assert found(plan, before).removed == []


def test_a_fan_that_became_a_plain_job_runs_as_one_and_its_instances_are_gone() -> None:
    before = ended(mapped("p", "q"), by_name(**{"each[1]_s": failed()}))
    plan = plan_of_jobs({"id": "each"})
    again = found(plan, before)
    assert again.texts("remove") == ["each[0] (SUCCESS)", "each[1] (FAILED)"]
    assert again.texts("rerun") == []
    session = gone_on(plan, before)
    assert session.statuses() == {"each": "SUCCESS"}
    assert begun(session, before) == ["each.s"]
    assert session.state.job("each").items is None


def test_a_plain_job_that_became_a_fan_runs_as_one_and_its_step_is_gone() -> None:
    before = ended(plan_of_jobs({"id": "each"}), by_name(each_s=failed()))
    assert found(mapped("p"), before).texts("remove") == ["each.s (FAILED)"]
    session = gone_on(mapped("p"), before)
    assert session.statuses() == {"each": "SUCCESS", "each[0]": "SUCCESS"}
    assert session.state.job("each").steps == {}


def test_a_finished_job_of_another_kind_stays_what_it_was() -> None:
    plain = ended(plan_of_jobs({"id": "each"}))
    again = found(mapped("p"), plain)
    assert (again.texts("keep"), again.texts("remove"), again.texts("changed")) == (
        ["each.s (SUCCESS)"],
        [],
        ["each (for_each)"],
    )
    fanned = ended(mapped("p"))
    again = found(plan_of_jobs({"id": "each"}), fanned)
    assert (again.texts("keep"), again.texts("remove"), again.texts("never_run")) == (
        ["each (SUCCESS)"],
        ["each[0] (SUCCESS)"],
        [],
    )
    assert again.texts("changed") == ["each (for_each)"]
    assert again.removed == []
