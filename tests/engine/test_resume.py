"""What a resume keeps, does again and looks at again; and that the state does exactly what was said."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow.engine.resume import ResumePlan, plan_resume
from aetherflow.engine.state import fold
from aetherflow.errors import UsageError
from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan
from tests.engine.random_flows import Scenario, scenarios
from tests.engine.scripted_machine import Ending, Play, Session, by_name, failed, plan_of_jobs
from tests.sizes import examples


def steps(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": step_id, "type": "t", **more} for step_id in ids]


THREE: tuple[dict[str, Any], ...] = (
    {"id": "a", "steps": steps("x", "y")},
    {"id": "b", "depends_on": ["a"], "steps": steps("x", "y", "z")},
    {"id": "c", "when": "jobs.b.outputs.n == 1"},
    {"id": "free"},
)


def ended(plan: Plan, play: Play | None = None) -> Session:
    session = Session(plan, play=play)
    session.finish()
    return session


def resumption(session: Session, *rerun: str, plan: Plan | None = None) -> ResumePlan:
    return plan_resume(plan or session.plan, fold(session.history), rerun)


def test_after_a_failure_what_is_done_is_kept_and_the_failed_step_runs_again() -> None:
    session = ended(plan_of_jobs(*THREE), by_name(b_y=failed()))
    found = resumption(session)
    assert found.rerun == ["c"]
    assert found.stored_decisions() == {
        "keep": ["a.x (SUCCESS)", "a.y (SUCCESS)", "b.x (SUCCESS)", "free.s (SUCCESS)"],
        "rerun": ["b.y (FAILED)"],
    }
    assert (found.reopened, found.excluded_jobs, found.removed) == ([], [], [])


def test_after_a_success_everything_is_kept_a_skipped_job_too() -> None:
    found = resumption(ended(plan_of_jobs(*THREE)))
    assert (found.rerun, found.texts("rerun"), found.texts("changed")) == ([], [], [])
    assert "c (SKIPPED)" in found.texts("keep")
    assert len(found.texts("keep")) == 7


def test_a_step_in_the_middle_of_its_work_was_interrupted() -> None:
    session = Session(plan_of_jobs(*THREE))
    session.end("a")
    assert resumption(session).texts("rerun") == ["a.y (INTERRUPTED)", "free.s (INTERRUPTED)"]


def test_a_cancelled_step_and_one_that_waited_for_its_retry_run_again() -> None:
    retrying = steps("x", retry={"max_attempts": 2, "backoff_seconds": 5})
    plan = plan_of_jobs({"id": "a", "steps": retrying}, {"id": "b"})
    session = Session(plan, play=by_name(a_x=failed()))
    session.end("a")
    assert resumption(session).texts("rerun") == ["a.x (PENDING)", "b.s (INTERRUPTED)"]
    session.cancel()
    session.finish()
    assert resumption(session).texts("rerun") == ["a.x (CANCELLED)", "b.s (CANCELLED)"]


@pytest.mark.parametrize(
    ("rerun", "names"),
    [
        (["free"], ["free"]),
        (["c"], ["c"]),
        (["b"], ["b", "c"]),
        (["a"], ["a", "b", "c"]),
        (["b.y"], ["b/y", "b/z", "c"]),
        (["b.x"], ["b", "c"]),
        (["a.y"], ["a/y", "b", "c"]),
        (["free", "c"], ["free", "c"]),
    ],
)
def test_rerun_names_a_job_or_a_step_and_what_follows_it(rerun: list[str], names: list[str]) -> None:
    session = ended(plan_of_jobs(*THREE))
    found = resumption(session, *rerun)
    assert sorted(found.rerun) == sorted(names)
    again = Session(session.plan, session.history, rerun=rerun)
    again.finish()
    started = {
        event.job_id for event in again.history[len(session.history) :] if isinstance(event, e.JobStarted)
    }
    assert started == {name.partition("/")[0] for name in names} - {"c"}


def test_rerun_of_a_step_keeps_those_before_it_and_says_so() -> None:
    found = resumption(ended(plan_of_jobs(*THREE)), "b.y")
    assert found.texts("keep") == ["a.x (SUCCESS)", "a.y (SUCCESS)", "b.x (SUCCESS)", "free.s (SUCCESS)"]
    assert found.texts("rerun") == ["b.y (--rerun)", "b.z (--rerun)"]


@pytest.mark.parametrize("wanted", ["d", "a.q", "a.", ".x", "", "a.x.y", "a[0]"])
def test_rerun_of_what_is_not_there_is_refused(wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        resumption(ended(plan_of_jobs(*THREE)), wanted)
    assert caught.value.message == f"--rerun {wanted}: the flow has no such job or step"
    assert caught.value.hint == "give JOB or JOB.STEP; the jobs are a, b, c, free"


def test_rerun_finds_jobs_and_steps_with_dots_in_their_ids() -> None:
    plan = plan_of_jobs({"id": "a.b", "steps": steps("p", "x.y", "z")}, {"id": "other"})
    session = ended(plan)
    assert resumption(session, "a.b.x.y").rerun == ["a.b/x.y", "a.b/z"]
    assert resumption(session, "a.b").rerun == ["a.b"]


def test_a_kept_step_whose_definition_changed_is_reported() -> None:
    session = ended(plan_of_jobs({"id": "a", "steps": steps("x", "y")}))
    new = plan_of_jobs({"id": "a", "steps": [*steps("x", inputs={"n": 1}), *steps("y")]})
    assert resumption(session, plan=new).texts("changed") == ["a.x"]
    assert resumption(session, "a.x", plan=new).texts("changed") == []


def test_a_step_that_is_new_in_the_flow_runs_if_its_job_does() -> None:
    old = plan_of_jobs({"id": "a", "steps": steps("x", "y")})
    new = plan_of_jobs({"id": "a", "steps": steps("new", "x", "y")})
    session = ended(old, by_name(a_y=failed()))
    again = Session(new, session.history)
    assert again.finish().phase == "SUCCESS"
    started = [
        event.step_id for event in again.history[len(session.history) :] if isinstance(event, e.StepStarted)
    ]
    assert started == ["new", "y"]


def test_a_closed_gate_is_looked_at_again_when_a_job_before_it_runs_again() -> None:
    promoting = steps("s", outputs={"n": "{{result.n}}"})
    plan = plan_of_jobs(
        {"id": "a", "steps": promoting},
        {"id": "gated", "when": "jobs.a.outputs.n == 1"},
        {"id": "below", "when": "jobs.gated.status == 'SUCCESS'"},
        {"id": "apart", "when": "1 == 2"},
    )
    session = ended(plan, by_name(a_s=failed()))
    assert session.statuses() == {"a": "FAILED", "gated": "SKIPPED", "below": "SKIPPED", "apart": "SKIPPED"}
    found = resumption(session)
    assert found.rerun == ["gated", "below"]
    assert found.stored_decisions() == {"keep": ["apart (SKIPPED)"], "rerun": ["a.s (FAILED)"]}
    again = Session(plan, session.history, play=by_name(a_s=Ending(result={"n": 1})))
    again.finish()
    assert again.statuses() == {"a": "SUCCESS", "gated": "SUCCESS", "below": "SUCCESS", "apart": "SKIPPED"}


def test_a_job_that_a_step_skipped_is_kept_when_a_job_before_it_runs_again() -> None:
    plan = plan_of_jobs(
        {"id": "a"}, {"id": "b", "when": "jobs.a.status != null", "steps": steps("s", on_no_data="skip_job")}
    )
    session = ended(plan, by_name(a_s=failed(), b_s=Ending("SKIPPED")))
    assert resumption(session).rerun == []
    assert "b.s (SKIPPED)" in resumption(session).texts("keep")


FAN = plan_of_jobs(
    {"id": "list", "steps": steps("s", outputs={"n": "{{result.n}}"})},
    {"id": "fan", "for_each": "{{jobs.list.outputs.n}}", "steps": steps("x", "y")},
    {"id": "end", "depends_on": ["fan"]},
)
ITEMS = Ending(result={"n": ["p", "q"]})


def test_instances_are_kept_and_run_again_one_by_one_with_the_items_they_began_with() -> None:
    session = ended(FAN, by_name(list_s=ITEMS, **{"fan[1]_y": failed()}))
    found = resumption(session)
    assert found.texts("keep") == [
        "list.s (SUCCESS)",
        "fan[0].x (SUCCESS)",
        "fan[0].y (SUCCESS)",
        "fan[1].x (SUCCESS)",
    ]
    assert (found.rerun, found.texts("rerun")) == ([], ["fan[1].y (FAILED)"])
    again = Session(FAN, session.history)
    assert again.log()[len(session.log()) :] == ["fan RUNNING", "fan[1] RUNNING", "fan[1].y RUNNING 1"]
    assert again.finish().phase == "SUCCESS"
    assert again.state.job("fan").items == ["p", "q"]


def test_a_fan_resumes_with_its_items_even_if_they_would_be_others_now() -> None:
    plan = plan_of_jobs(
        {"id": "u", "steps": steps("s", outputs={"n": "{{result.n}}"})},
        {"id": "fan", "for_each": ["one", "{{jobs.u.outputs.n:two}}"]},
    )
    session = ended(plan, by_name(u_s=failed(), **{"fan[0]_s": failed()}))
    again = Session(plan, session.history, play=by_name(u_s=Ending(result={"n": "new"})))
    assert again.finish().phase == "SUCCESS"
    assert again.state.job("fan").items == ["one", "two"]


def test_rerun_of_a_fan_makes_all_its_instances_again() -> None:
    session = ended(FAN, by_name(list_s=ITEMS))
    assert sorted(resumption(session, "fan").rerun) == ["end", "fan", "fan[0]", "fan[1]"]
    again = Session(FAN, session.history, rerun=["list"], play=by_name(list_s=Ending(result={"n": ["new"]})))
    assert again.finish().phase == "SUCCESS"
    assert again.state.job("fan").items == ["new"]
    started = [
        event.job_id for event in again.history[len(session.history) :] if isinstance(event, e.JobStarted)
    ]
    assert started == ["list", "fan", "fan[0]", "end"]


def test_rerun_of_a_step_of_a_fan_runs_it_in_every_instance() -> None:
    session = ended(FAN, by_name(list_s=ITEMS))
    again = Session(FAN, session.history, rerun=["fan.y"])
    assert again.finish().phase == "SUCCESS"
    started = [
        f"{event.job_id}.{event.step_id}"
        for event in again.history[len(session.history) :]
        if isinstance(event, e.StepStarted)
    ]
    assert started == ["fan[0].y", "fan[1].y", "end.s"]


def test_a_fan_whose_every_instance_was_skipped_is_kept_when_a_job_before_it_runs_again() -> None:
    plan = plan_of_jobs(
        {"id": "a"},
        {"id": "fan", "for_each": ["{{jobs.a.outputs.n:none}}"], "steps": steps("s", on_no_data="skip_job")},
    )
    session = ended(plan, by_name(a_s=failed(), **{"fan[0]_s": Ending("SKIPPED")}))
    assert session.state.job("fan").status == "SKIPPED"
    assert resumption(session).rerun == []
    again = Session(plan, session.history)
    assert again.finish().phase == "SUCCESS"
    assert again.state.job("fan").items == ["none"]


def test_a_failed_step_that_was_forgiven_is_kept_with_its_job_and_runs_again_with_it() -> None:
    plan = plan_of_jobs({"id": "a", "steps": [*steps("x", continue_on_error=True), *steps("y", "z")]})
    session = ended(plan, by_name(a_x=failed()))
    assert resumption(session).texts("keep") == ["a.x (FAILED)", "a.y (SUCCESS)", "a.z (SUCCESS)"]
    found = resumption(session, "a.z")
    assert (found.texts("keep"), found.texts("rerun")) == (
        ["a.y (SUCCESS)"],
        ["a.x (FAILED)", "a.z (--rerun)"],
    )


def test_a_rerun_step_that_finds_no_data_now_skips_the_steps_that_had_run_after_it() -> None:
    plan = plan_of_jobs({"id": "a", "steps": [*steps("x"), *steps("y", on_no_data="skip_job"), *steps("z")]})
    session = ended(plan)
    again = Session(plan, session.history, rerun=["a.y"], play=by_name(a_y=Ending("SKIPPED")))
    again.finish()
    job = again.state.job("a")
    assert job.status == "SKIPPED"
    assert {step_id: step.status for step_id, step in job.steps.items()} == {
        "x": "SUCCESS",
        "y": "SKIPPED",
        "z": "SKIPPED",
    }


@examples(60, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios(), seed=st.integers(0, 2**32), data=st.data())
def test_the_state_does_what_the_resumption_says(scenario: Scenario, seed: int, data: st.DataObject) -> None:
    whole_job = Session(scenario.plan, play=scenario.play, limit=scenario.limit)
    whole_job.finish(Random(seed))  # noqa: S311 - reproducible
    cut = whole_job.history[: data.draw(st.integers(1, len(whole_job.history)))]
    names = [job.id for job in scenario.plan.jobs]
    names += [f"{job.id}.{step.id}" for job in scenario.plan.jobs for step in job.steps]
    rerun = data.draw(st.lists(st.sampled_from(names), max_size=2))
    before = fold(cut)
    found = plan_resume(scenario.plan, before, rerun)
    resumed = e.RunResumed(
        at=cut[0].at, flow_id="f", run_id=cut[0].run_id, attempt=2, owner="me", **found.event_fields()
    )
    after = fold([*cut, resumed])
    statuses = {
        f"{job_id}.{step_id}": (step.status, after.jobs[job_id].steps[step_id].status)
        for job_id, job in before.jobs.items()
        for step_id, step in job.steps.items()
    }
    said_again = {entry.partition(" ")[0] for entry in found.texts("rerun")}
    said_kept = {entry.partition(" ")[0] for entry in found.texts("keep")} - before.jobs.keys()
    said_new = said_again - statuses.keys()
    again = {entry.partition("/")[0] for entry in found.rerun}  # what follows a failed step has not begun
    for name in said_new:
        written = name.removesuffix(".after")
        assert written.rpartition(".")[0] in {*found.reopened, *(again if name != written else ())}
    assert all(after.jobs[job_id].status == "PENDING" for job_id in found.reopened)
    assert said_again - said_new == {name for name, (_, now) in statuses.items() if now == "PENDING"}
    assert said_kept == {name for name, (then, now) in statuses.items() if now == then != "PENDING"}
