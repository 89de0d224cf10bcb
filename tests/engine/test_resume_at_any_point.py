"""The heart of a resume: wherever a run was cut, it repeats nothing, loses nothing and ends the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aetherflow.engine.state import DONE, RunState, fold
from aetherflow.events import run_events as e
from tests.engine.random_flows import Scenario, scenarios
from tests.engine.scripted_machine import Session
from tests.sizes import examples

pytestmark = pytest.mark.torture


def summary(state: RunState) -> dict[str, Any]:
    """Return what a person would compare of two runs: statuses and outputs, not how often it took."""
    return {
        job_id: (
            job.status,
            job.outputs,
            job.items,
            {step_id: (step.status, step.outputs) for step_id, step in job.steps.items()},
        )
        for job_id, job in sorted(state.jobs.items())
    }


def carried_through(scenario: Scenario, history: Sequence[e.Event], chance: Random) -> Session:
    """Resume a run, again and again, until another execution would change nothing."""
    session = go_on(scenario, history, chance)
    while session.state.phase != "SUCCESS":
        before = summary(session.state)
        session = go_on(scenario, session.history, chance)
        if summary(session.state) == before and not scenario.may_heal(session.state):
            break
    return session


def go_on(scenario: Scenario, history: Sequence[e.Event], chance: Random) -> Session:
    session = Session(scenario.plan, history, play=scenario.play, limit=scenario.limit)
    session.finish(chance)
    return session


def check_continuation(cut: Sequence[e.Event], session: Session, dead: RunState) -> None:
    """Check that what was done when the process died was neither repeated nor changed."""
    done = {
        (job_id, step_id): step
        for job_id, job in dead.jobs.items()
        for step_id, step in job.steps.items()
        if step.status in DONE
    }
    started = {
        (event.job_id, event.step_id)
        for event in session.history[len(cut) :]
        if isinstance(event, e.StepStarted)
    }
    assert not started & done.keys()
    for (job_id, step_id), step in done.items():
        assert session.state.jobs[job_id].steps[step_id] == step
    for job_id, job in dead.jobs.items():
        if job.status == "SUCCESS":
            assert session.state.jobs[job_id] == job


@examples(60, 3000, suppress_health_check=[HealthCheck.too_slow])
@given(scenario=scenarios(), seed=st.integers(0, 2**32))
def test_a_run_that_dies_at_any_point_ends_as_if_it_had_not(scenario: Scenario, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - the order in which work ends, reproducible
    whole_job = carried_through(scenario, (), chance)
    wanted = summary(whole_job.state)
    for length in range(1, len(whole_job.history)):
        cut = whole_job.history[:length]
        session = carried_through(scenario, cut, chance)
        check_continuation(cut, session, fold(cut))
        assert summary(session.state) == wanted, length
        assert fold(session.history) == session.state
