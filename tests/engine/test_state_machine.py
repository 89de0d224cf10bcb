"""Long random lives of a run: the fold over the events is the live state, and nothing illegal passes."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from aetherflow.engine import events as e
from aetherflow.engine.state import IllegalEvent, JobState, RunState, StepState, apply, fold

LARGE = os.environ.get("AETHERFLOW_TORTURE") == "large"
AT = datetime(2026, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {"at": AT, "flow_id": "f", "run_id": "r"}

jobs = st.sampled_from(["a", "b", "b[0]"])
steps = st.sampled_from(["x", "y", "z"])
promoted = st.dictionaries(st.sampled_from(["k", "l"]), st.integers(0, 9), max_size=2)
step_ends = st.sampled_from(get_args(e.StepEnd))
job_ends = st.sampled_from(get_args(e.JobEnd))


class Lives(RuleBasedStateMachine):
    """One run: legal moves change it, illegal ones are refused, a resume is checked entry by entry."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()
        self.history: list[e.Event] = []

    def happens(self, event: e.Event, *, may_it: bool) -> None:
        """Apply an event that the rules of this test, not the code's table, call legal or not."""
        if may_it:
            apply(self.state, event)
            self.history.append(event)
            return
        before = deepcopy(self.state)
        with pytest.raises(IllegalEvent):
            apply(self.state, event)
        assert self.state == before

    def step_status(self, job: str, step: str) -> str:
        """Return a step's status, or nothing where no step can have one."""
        known = self.state.job(job)
        if self.state.phase != "RUNNING" or known.status != "RUNNING":
            return ""
        return known.steps.get(step, StepState()).status

    def job_status(self, job: str) -> str:
        """Return a job's status, or nothing while the run does not run."""
        return self.state.job(job).status if self.state.phase == "RUNNING" else ""

    @initialize()
    def the_run_starts(self) -> None:
        self.happens(e.RunStarted(**COMMON, flow_file="f.yaml", owner="me"), may_it=True)

    @rule(job=jobs, items=st.none() | st.lists(st.integers(), max_size=2))
    def a_job_starts(self, job: str, items: list[int] | None) -> None:
        self.happens(
            e.JobStarted(**COMMON, job_id=job, items=items), may_it=self.job_status(job) == "PENDING"
        )

    @rule(job=jobs, end=job_ends)
    def a_job_ends(self, job: str, end: e.JobEnd) -> None:
        status = self.job_status(job)
        may_it = (status == "PENDING" and end != "SUCCESS") or (status == "RUNNING" and end != "BLOCKED")
        outputs = self.state.job(job).outputs
        self.happens(e.JobFinished(**COMMON, job_id=job, status=end, outputs=outputs), may_it=may_it)

    @rule(job=jobs, step=steps, attempt=st.integers(1, 3))
    def a_step_starts(self, job: str, step: str, attempt: int) -> None:
        event = e.StepStarted(**COMMON, job_id=job, step_id=step, step_type="t", attempt=attempt)
        self.happens(event, may_it=self.step_status(job, step) == "PENDING")

    @rule(job=jobs, step=steps, end=step_ends, values=promoted)
    def a_step_ends(self, job: str, step: str, end: e.StepEnd, values: dict[str, int]) -> None:
        status = self.step_status(job, step)
        was_cut_off = (job, step) in self.state.interrupted
        at_once = ("SKIPPED", "CANCELLED", *(["FAILED"] if was_cut_off else []))
        may_it = status == "RUNNING" or (status == "PENDING" and end in at_once)
        event = e.StepFinished(
            **COMMON, job_id=job, step_id=step, step_type="t", status=end, job_outputs=values
        )
        self.happens(event, may_it=may_it)

    @rule(end=st.sampled_from(get_args(e.RunEnd)))
    def the_run_ends(self, end: e.RunEnd) -> None:
        event = e.RunFinished(**COMMON, status=end, duration_seconds=0)
        self.happens(event, may_it=self.state.phase == "RUNNING")

    @rule()
    def somebody_cancels(self) -> None:
        event = e.CancelRequested(**COMMON, reason="enough")
        self.happens(event, may_it=self.state.phase == "RUNNING")

    @rule(rerun=st.lists(st.sampled_from(["a", "b", "b[0]", "a/x", "b[0]/z"]), max_size=2))
    def the_run_is_resumed(self, rerun: list[str]) -> None:
        before = deepcopy(self.state.jobs)
        event = e.RunResumed(**COMMON, attempt=self.state.attempt + 1, owner="me", rerun=rerun)
        self.happens(event, may_it=True)
        assert (self.state.phase, self.state.cancelling) == ("RUNNING", None)
        for job_id, job in before.items():
            check_reopened(job_id, job, self.state.jobs[job_id], set(rerun))

    @precondition(lambda self: self.state.phase != "NEW")
    @rule()
    def a_second_start_is_refused(self) -> None:
        self.happens(e.RunStarted(**COMMON, flow_file="f.yaml", owner="me"), may_it=False)

    def teardown(self) -> None:
        """Check that the history, as it would come back from a journal, leads to the live state."""
        stored = [
            msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) for event in self.history
        ]
        assert fold(stored) == self.state


def check_reopened(job_id: str, old: JobState, new: JobState, rerun: set[str]) -> None:
    """Check one job after a resume, from what the contract says of it."""
    whole = job_id in rerun
    named = {step_id for step_id in old.steps if whole or f"{job_id}/{step_id}" in rerun}
    if old.status in ("SUCCESS", "SKIPPED") and not whole and not named:
        assert new == old
        return
    assert (new.status, new.reason, new.error) == ("PENDING", "", None)
    assert new.items == (None if whole else old.items)
    assert new.steps.keys() == old.steps.keys()
    outputs: dict[str, Any] = {}
    for step_id, step in old.steps.items():
        if step.status in ("SUCCESS", "SKIPPED") and step_id not in named:
            assert new.steps[step_id] == step
            outputs |= step.job_outputs
        else:
            assert new.steps[step_id] == StepState(step_type=step.step_type)
    assert new.outputs == outputs


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=2000 if LARGE else 100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
