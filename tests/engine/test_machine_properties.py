"""What must hold in every run, whatever its graph and however its steps end."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow.engine.state import RunState
from aetherflow.events import run_events as e
from aetherflow.plan.plan import JobPlan, Plan
from tests.engine.random_flows import Scenario, scenarios
from tests.engine.scripted_machine import Session, encoded
from tests.execution.history_watch import Watch
from tests.sizes import examples

seeds = st.integers(0, 2**32)
checked = examples(100, 5000, suppress_health_check=[HealthCheck.too_slow])


def played(scenario: Scenario, seed: int, *, cancel_after: int = -1) -> Session:
    """Return a finished run; its work ended in the order that the seed gives."""
    chance = Random(seed)  # noqa: S311 - reproducible
    session = Session(scenario.plan, play=scenario.play, limit=scenario.limit)
    while session.doing:
        if cancel_after == 0 and session.state.cancelling is None:
            session.cancel()
        cancel_after -= 1
        session.end(chance.choice(session.running))
    assert session.state.phase != "RUNNING"
    return session


def is_blocked(job: JobPlan, plan: Plan, state: RunState) -> bool:
    """Whether a job must be BLOCKED: one that it needs did not end SUCCESS."""
    return any(state.job(plan.jobs[need].id).status != "SUCCESS" for need in job.needs)


@checked
@given(scenario=scenarios(), seed=seeds, cancel_after=st.integers(-1, 8))
def test_order_limits_and_single_ends_hold_in_every_run(
    scenario: Scenario, seed: int, cancel_after: int
) -> None:
    session = played(scenario, seed, cancel_after=cancel_after)
    watch = Watch(scenario.plan, scenario.limit)
    for event in session.history:
        watch.see(event)
    assert {job.id for job in scenario.plan.jobs} <= watch.ended.keys()
    assert watch.ended == session.statuses()
    assert not watch.running


@checked
@given(scenario=scenarios(), seed=seeds)
def test_a_run_failed_if_and_only_if_a_job_did_and_blocked_are_those_below(
    scenario: Scenario, seed: int
) -> None:
    session = played(scenario, seed)
    plan, state = scenario.plan, session.state
    statuses = {state.job(job.id).status for job in plan.jobs}
    assert state.phase == ("FAILED" if "FAILED" in statuses else "SUCCESS")
    if state.cancelling is None:
        assert {job.id for job in plan.jobs if is_blocked(job, plan, state)} == {
            job.id for job in plan.jobs if state.job(job.id).status == "BLOCKED"
        }
        assert "CANCELLED" not in statuses


@checked
@given(scenario=scenarios(), seed=seeds, cancel_after=st.integers(-1, 8))
def test_the_same_seed_gives_the_same_events_byte_for_byte(
    scenario: Scenario, seed: int, cancel_after: int
) -> None:
    first, second = (played(scenario, seed, cancel_after=cancel_after) for _ in range(2))
    assert encoded(first.history) == encoded(second.history)


@checked
@given(scenario=scenarios(), seed=seeds)
def test_with_a_limit_of_one_nothing_overtakes_what_stands_above_it_and_is_ready(
    scenario: Scenario, seed: int
) -> None:
    session = Session(scenario.plan, play=scenario.play, limit=1)
    session.finish(Random(seed))  # noqa: S311 - reproducible
    plan, ended, opened = scenario.plan, set[int](), set[int]()
    index = {job.id: job.index for job in plan.jobs}
    for event in session.history:
        match event:
            case e.JobStarted(job_id=job_id):
                mine = index[job_id.partition("[")[0]]
                waiting = [
                    job.index
                    for job in plan.jobs
                    if job.index not in ended | opened and ended.issuperset((*job.needs, *job.after))
                ]
                assert mine <= min(waiting, default=mine)
                opened.add(mine)
            case e.JobFinished(job_id=job_id) if job_id in index:
                ended.add(index[job_id])
            case _:
                pass
