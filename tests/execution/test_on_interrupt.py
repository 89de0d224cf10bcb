"""What becomes of a step that was running when its process died: `on_interrupt`, wherever the run was cut."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow.engine.resume import DECISIONS_STORED, ResumeDecision, ResumePlan, plan_resume
from aetherflow.engine.state import fold
from aetherflow.errors import UsageError
from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan
from tests.engine.random_flows import Scenario, scenarios
from tests.engine.scripted_machine import Ending, Session, by_name, failed, plan_of_jobs, short
from tests.sizes import examples

POLICIES = ("rerun", "fail", "skip")


def steps(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": step_id, "type": "t", **more} for step_id in ids]


def payment(policy: str, **more: Any) -> Plan:
    """Return a flow whose job `a` pays between two other steps, and a job `b` that needs it."""
    paying = steps("pay", on_interrupt=policy, **more)
    return plan_of_jobs(
        {"id": "a", "steps": [*steps("x"), *paying, *steps("y")]}, {"id": "b", "depends_on": ["a"]}
    )


def cut_while_paying(plan: Plan) -> list[e.Event]:
    """Return the history of a run whose process died while it paid."""
    session = Session(plan)
    session.end("a")
    assert session.state.jobs["a"].steps["pay"].status == "RUNNING"
    return session.history


def new_lines(session: Session, history: Sequence[e.Event]) -> list[str]:
    """Return what happened after a history, in short."""
    return session.log()[sum(bool(short(event)) for event in history) :]


def resumption(plan: Plan, history: Sequence[e.Event], *rerun: str) -> ResumePlan:
    return plan_resume(plan, fold(history), rerun)


def test_an_interrupted_step_runs_again_if_nothing_else_is_said() -> None:
    plan = payment("rerun")
    history = cut_while_paying(plan)
    assert resumption(plan, history).texts("rerun") == ["a.pay (INTERRUPTED)"]
    again = Session(plan, history)
    assert again.finish().phase == "SUCCESS"
    assert new_lines(again, history)[:3] == ["a RUNNING", "a.pay RUNNING 1", "a.pay SUCCESS"]


def test_an_interrupted_step_that_is_skipped_does_not_run_and_the_later_ones_do() -> None:
    plan = payment("skip")
    history = cut_while_paying(plan)
    found = resumption(plan, history)
    assert (found.texts("rerun"), found.texts("end_interrupted")) == (
        [],
        ["a.pay (INTERRUPTED, on_interrupt: skip)"],
    )
    again = Session(plan, history)
    assert again.finish().phase == "SUCCESS"
    assert new_lines(again, history)[:4] == ["a RUNNING", "a.pay SKIPPED", "a.y RUNNING 1", "a.y SUCCESS"]
    step = again.state.jobs["a"].steps["pay"]
    assert (step.reason, step.attempt) == ("interrupted, on_interrupt: skip", 1)
    assert again.statuses() == {"a": "SUCCESS", "b": "SUCCESS"}


def test_an_interrupted_step_that_must_not_be_repeated_fails_with_its_job() -> None:
    plan = payment("fail")
    history = cut_while_paying(plan)
    again = Session(plan, history)
    assert again.finish().phase == "FAILED"
    assert new_lines(again, history) == ["a RUNNING", "a.pay FAILED", "a FAILED", "b BLOCKED", "run FAILED"]
    error = again.state.jobs["a"].error
    assert error is not None
    assert error.code == "AF713"
    assert "was interrupted at attempt 1" in error.message
    assert "must not be repeated (on_interrupt: fail)" in error.message
    assert error.hint


def test_the_next_resume_of_a_step_that_failed_so_runs_it_because_a_person_decided() -> None:
    plan = payment("fail")
    once = Session(plan, cut_while_paying(plan))
    once.finish()
    assert resumption(plan, once.history).texts("rerun") == ["a.pay (FAILED)"]
    twice = Session(plan, once.history)
    assert twice.finish().phase == "SUCCESS"
    assert "a.pay RUNNING 1" in new_lines(twice, once.history)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_death_before_the_step_is_settled_does_not_make_it_run(policy: str) -> None:
    plan = payment(policy)
    history = cut_while_paying(plan)
    died_again = Session(plan, history).history[: len(history) + 1]
    assert isinstance(died_again[-1], e.RunResumed)
    straight, crooked = Session(plan, history), Session(plan, died_again)
    straight.finish()
    crooked.finish()
    assert crooked.statuses() == straight.statuses()
    assert crooked.state.jobs["a"].steps["pay"].status == straight.state.jobs["a"].steps["pay"].status
    assert ("a.pay RUNNING 1" in new_lines(crooked, died_again)) == (policy == "rerun")


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_step_that_is_named_to_run_again_does_so_whatever_its_flow_says(policy: str) -> None:
    plan = payment(policy)
    history = cut_while_paying(plan)
    found = resumption(plan, history, "a.pay")
    assert (found.texts("end_interrupted"), found.texts("rerun")) == ([], ["a.pay (INTERRUPTED)"])
    again = Session(plan, history, rerun=["a.pay"])
    assert again.finish().phase == "SUCCESS"
    assert "a.pay RUNNING 1" in new_lines(again, history)


def test_what_the_flow_says_now_counts_not_what_it_said_when_the_step_began() -> None:
    history = cut_while_paying(payment("rerun"))
    again = Session(payment("skip"), history)
    again.finish()
    assert again.state.jobs["a"].steps["pay"].status == "SKIPPED"


def test_a_step_that_waited_for_its_next_attempt_was_not_interrupted() -> None:
    plan = payment("fail", retry={"max_attempts": 2, "backoff_seconds": 5})
    session = Session(plan, play=by_name(a_pay=failed()))
    session.end("a", "a")
    again = Session(plan, session.history)
    assert again.finish().phase == "SUCCESS"


def test_the_attempt_that_was_interrupted_is_reported() -> None:
    plan = payment("fail", retry={"max_attempts": 3, "backoff_seconds": 5})
    session = Session(plan, play=by_name(a_pay=failed()))
    session.end("a", "a", "a")
    again = Session(plan, session.history)
    again.finish()
    step = again.state.jobs["a"].steps["pay"]
    assert step.attempt == 2
    assert step.error is not None
    assert "at attempt 2" in step.error.message


def test_a_step_that_is_skipped_so_has_not_found_no_data() -> None:
    plan = payment("skip", on_no_data="skip_job")
    history = cut_while_paying(plan)
    again = Session(plan, history, play=by_name(a_y=failed()))
    again.finish()
    assert again.state.jobs["a"].status == "FAILED"
    later = Session(plan, again.history)
    assert later.finish().phase == "SUCCESS"
    assert later.state.jobs["a"].steps["pay"].was_interrupted


def test_a_step_that_may_fail_may_fail_so_too() -> None:
    plan = payment("fail", continue_on_error=True)
    again = Session(plan, cut_while_paying(plan))
    assert again.finish().phase == "SUCCESS"
    assert again.state.jobs["a"].steps["pay"].status == "FAILED"


def test_only_the_instance_that_was_interrupted_is_settled() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2], "steps": steps("s", on_interrupt="skip")})
    session = Session(plan)
    session.end("fan[0]")
    again = Session(plan, session.history)
    assert again.finish().phase == "SUCCESS"
    assert new_lines(again, session.history) == [
        "fan RUNNING",
        "fan[1] RUNNING",
        "fan[1].s SKIPPED",
        "fan[1] SUCCESS",
        "fan SUCCESS",
        "run SUCCESS",
    ]


def test_an_ending_step_that_was_interrupted_is_settled_too() -> None:
    plan = plan_of_jobs({"id": "a"}, on_exit=steps("tell", on_interrupt="skip"))
    session = Session(plan)
    session.end("a")
    assert session.running == ["@on_exit"]
    again = Session(plan, session.history)
    assert again.finish().phase == "SUCCESS"
    assert again.state.jobs["@on_exit"].steps["tell"].status == "SKIPPED"


def test_what_is_cancelled_before_it_is_settled_is_settled_by_the_next_resume() -> None:
    plan = plan_of_jobs({"id": "first"}, {"id": "a", "steps": steps("pay", on_interrupt="fail")})
    history = Session(plan).history
    between = Session(plan, history, limit=1)
    assert between.running == ["first"]
    between.cancel()
    between.finish()
    assert between.statuses() == {"first": "CANCELLED", "a": "CANCELLED"}
    again = Session(plan, between.history)
    again.finish()
    assert again.statuses() == {"first": "SUCCESS", "a": "FAILED"}


@examples(36, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios(), seed=st.integers(0, 2**32), data=st.data())
def test_wherever_a_run_is_cut_no_step_is_repeated_that_must_not_be(
    scenario: Scenario, seed: int, data: st.DataObject
) -> None:
    jobs = msgspec.json.decode(scenario.flow)
    for job in jobs:
        for step in job["steps"]:
            step["on_interrupt"] = data.draw(st.sampled_from(POLICIES))
    plan = plan_of_jobs(*jobs, fail_fast=scenario.plan.flow.fail_fast)
    policies = {(job["id"], step["id"]): step["on_interrupt"] for job in jobs for step in job["steps"]}
    whole_job = Session(plan, play=scenario.play, limit=scenario.limit)
    whole_job.finish(Random(seed))  # noqa: S311 - reproducible
    for length in range(1, len(whole_job.history)):
        check_cut(scenario, plan, policies, whole_job.history[:length], Random(seed))  # noqa: S311 - as above


def check_cut(
    scenario: Scenario,
    plan: Plan,
    policies: dict[tuple[str, str], str],
    cut: Sequence[e.Event],
    chance: Random,
) -> None:
    """Resume after a cut; what was running ends as its policy says, at once and in a replay."""
    cut_off = {
        (job_id, step_id): policies[job_id.partition("[")[0], step_id.removesuffix(".after")]
        for job_id, job in fold(cut).jobs.items()
        for step_id, step in job.steps.items()
        if step.status == "RUNNING"
    }
    again = Session(plan, cut, play=scenario.play, limit=scenario.limit)
    again.finish(chance)
    begun = {
        (event.job_id, event.step_id)
        for event in again.history[len(cut) :]
        if isinstance(event, e.StepStarted)
    }
    for name, policy in cut_off.items():
        step = again.state.jobs[name[0]].steps[name[1]]
        if policy == "rerun":
            assert name not in again.state.interrupted or again.state.jobs[name[0]].status != "SUCCESS"
            continue
        assert name not in begun
        ending = {"fail": "FAILED", "skip": "SKIPPED"}[policy]
        assert step.status == ending or again.state.jobs[name[0]].status in ("CANCELLED", "BLOCKED")
    assert fold(again.history) == again.state


def test_one_job_alone_runs_again_with_all_its_steps_and_nothing_after_it() -> None:
    plan = payment("rerun")
    session = Session(plan)
    session.finish()
    found = plan_resume(plan, fold(session.history), only="a", selected={0})
    assert found.rerun == ["a"]
    assert found.texts("rerun") == ["a.x (--only a)", "a.pay (--only a)", "a.y (--only a)"]
    assert (found.texts("keep"), found.texts("exclude")) == ([], [])


def test_a_job_does_not_run_alone_before_what_it_needs() -> None:
    plan = payment("rerun")
    session = Session(plan, play=by_name(a_x=failed()))
    session.finish()
    with pytest.raises(UsageError) as caught:
        plan_resume(plan, fold(session.history), only="b", selected={1})
    assert caught.value.message == "--only b: it needs the job a, which is FAILED"
    assert plan_resume(plan, fold(session.history), only="a", selected={0}).texts("exclude") == [
        "b (BLOCKED)"
    ]


def test_a_gate_of_a_job_that_takes_no_part_stays_closed() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "gated", "when": "jobs.a.status == 'FAILED'"})
    session = Session(plan)
    session.finish()
    rerun = Session(plan, session.history, play=by_name(a_s=failed()), rerun=["a"])
    rerun.finish()
    done = Session(plan, rerun.history, play=by_name(gated_s=Ending("SKIPPED")))
    done.finish()
    assert plan_resume(plan, fold(session.history), only="a", selected={0}).rerun == ["a"]


def test_a_job_whose_other_need_has_failed_and_takes_no_part_is_blocked() -> None:
    plan = plan_of_jobs({"id": "a"}, {"id": "bad"}, {"id": "end", "depends_on": ["a", "bad"]})
    session = Session(plan, play=by_name(bad_s=failed()))
    session.finish()
    again = Session(plan, session.history, rerun=["a"], selected={0, 2})
    again.finish()
    assert again.statuses() == {"a": "SUCCESS", "bad": "FAILED", "end": "BLOCKED"}
    assert again.state.jobs["end"].reason == "job bad did not succeed"


def test_reasons_are_stored_up_to_a_limit_and_counted_beyond_it() -> None:
    kept = [ResumeDecision("keep", "a", f"s{n}", "SUCCESS") for n in range(DECISIONS_STORED + 5)]
    many = [f"a.s{number} (SUCCESS)" for number in range(DECISIONS_STORED)]
    found = ResumePlan([*kept, ResumeDecision("rerun", "b", "s", "FAILED")], [], [], [], [])
    assert found.stored_decisions() == {"keep": many, "rerun": ["b.s (FAILED)"]}
    assert found.decision_counts() == {"keep": DECISIONS_STORED + 5, "rerun": 1}


def test_a_kept_step_whose_type_has_another_version_is_reported() -> None:
    old = with_version(payment("rerun"), "plugin 1.0")
    session = Session(old, play=by_name(a_y=failed()))
    session.finish()
    found = plan_resume(with_version(old, "plugin 2.0"), fold(session.history))
    assert found.texts("upgraded") == [
        "a.x (plugin 1.0, now plugin 2.0)",
        "a.pay (plugin 1.0, now plugin 2.0)",
    ]
    assert found.texts("changed") == []
    assert plan_resume(with_version(old, ""), fold(session.history)).texts("upgraded") == []


def with_version(plan: Plan, version: str) -> Plan:
    """Return the plan as if its step types came in this version."""
    jobs = tuple(
        msgspec.structs.replace(
            job, steps=tuple(msgspec.structs.replace(step, version=version) for step in job.steps)
        )
        for job in plan.jobs
    )
    return msgspec.structs.replace(plan, jobs=jobs)


def test_a_job_that_takes_no_part_cannot_be_run_again() -> None:
    plan = payment("rerun")
    session = Session(plan)
    session.finish()
    with pytest.raises(UsageError) as caught:
        plan_resume(plan, fold(session.history), ["b"], selected={0}, option="--from")
    assert caught.value.message == "--from b: the job b takes no part in this run"


@pytest.mark.parametrize(
    ("goes_on", "hint"),
    [(False, "resume the run once more, and it runs again"), (True, "--rerun a.s runs it again")],
)
def test_what_runs_an_interrupted_step_again_is_reported_as_it_is(*, goes_on: bool, hint: str) -> None:
    step = {"id": "s", "type": "t", "on_interrupt": "fail", "continue_on_error": goes_on}
    plan = plan_of_jobs({"id": "a", "steps": [step]})
    died = Session(plan, Session(plan).history)
    assert died.state.phase == ("SUCCESS" if goes_on else "FAILED")
    error = died.state.job("a").steps["s"].error
    assert error is not None
    assert error.hint == f"find out what it did; {hint}"
    again = Session(plan, died.history, rerun=["a.s"] if goes_on else [])
    assert again.running == ["a"]
