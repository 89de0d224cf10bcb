"""Long random lives of a run: the fold over the events is the live state, and nothing illegal passes.

What may happen is said here once more, in the words of the contract: the code's table is not asked.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aetherflow.engine.state import JobState, RunState, StepState, apply, fold, step_entry
from aetherflow.engine.transitions import (
    INTERRUPTED,
    JOB_TABLE,
    RESUMED_JOBS,
    RESUMED_STEPS,
    RUN_TABLE,
    STEP_TABLE,
    IllegalEvent,
)
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.store.journal import _write_rows
from aetherflow.store.projection import project
from aetherflow.store.state_schema import MIGRATIONS
from tests.sizes import LARGE
from tests.store.tables import tables_of

STEPS = 200_000 if LARGE else 10_000
EXAMPLE_STEPS = 60
MOST_ROUNDS = 5
AT = datetime(2026, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {"at": AT, "flow_id": "f", "run_id": "r"}

jobs = st.sampled_from(["a", "b", "b[0]"])
steps = st.sampled_from(["x", "z"])
promoted = st.dictionaries(st.sampled_from(["k", "l"]), st.integers(0, 9), max_size=2)
step_ends = st.sampled_from(get_args(e.StepEnd))
job_ends = st.sampled_from(get_args(e.JobEnd))

pytestmark = pytest.mark.torture


class Lives(RuleBasedStateMachine):
    """One run: legal moves change it, illegal ones are refused, a resume is checked entry by entry."""

    taken: ClassVar[Counter[str]] = Counter()
    """How many steps all lives together had: legal and refused ones."""
    reached: ClassVar[set[tuple[str, str, str]]] = set()
    """The transitions that all lives together had: status, event, next status."""

    def __init__(self) -> None:
        super().__init__()
        self.state = RunState()
        self.history: list[e.Event] = []

    def happens(self, event: e.Event, *, may_it: bool) -> None:
        """Apply an event that the rules of this test, not the code's table, call legal or not."""
        self.taken["legal" if may_it else "refused"] += 1
        if may_it:
            before_it = self.status_for(event)
            apply(self.state, event)
            self.reached.add((before_it, type(event).__name__, self.status_for(event)))
            self.history.append(event)
            return
        before = msgspec.msgpack.encode(self.state)
        with pytest.raises(IllegalEvent):
            apply(self.state, event)
        assert msgspec.msgpack.encode(self.state) == before

    def status_for(self, event: e.Event) -> str:
        """Return the status of what an event is about: `step RUNNING`."""
        match event:
            case e.ResultRefused() if (event.job_id, event.step_id) in self.state.interrupted:
                return f"step {INTERRUPTED}"
            case e.ResultRefused():
                return f"step {self.state.job(event.job_id).steps.get(event.step_id, StepState()).status}"
            case e.EffectIntended() | e.EffectConfirmed() | e.LockAwaited() | e.LockTaken() | e.StepPlaced():
                return f"step {self.state.job(event.job_id).steps.get(event.step_id, StepState()).status}"
            case e.StepWaiting() | e.StepStarted() | e.StepFinished() | e.StepRetrying():
                if (event.job_id, event.step_id) in self.state.interrupted:
                    return f"step {INTERRUPTED}"
                step = self.state.job(event.job_id).steps.get(event.step_id, StepState())
                return f"step {step.status}"
            case e.JobStarted() | e.JobFinished():
                return f"job {self.state.job(event.job_id).status}"
            case _:
                return f"run {self.state.phase}"

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

    @rule(job=jobs, items=st.none() | st.lists(st.integers(-(2**63), 2**63), max_size=2))  # msgpack's range
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

    @rule(job=jobs, end=st.sampled_from([end for end in get_args(e.JobEnd) if end != "BLOCKED"]))
    def a_job_that_runs_ends(self, job: str, end: e.JobEnd) -> None:
        """Bring a job as far as to run, and end it in one of the ways."""
        if self.job_status(job) == "PENDING":
            self.a_job_starts(job, None)
        self.a_job_ends(job, end)

    @rule(job=jobs, step=steps, attempt=st.integers(1, 3))
    def a_step_starts(self, job: str, step: str, attempt: int) -> None:
        event = e.StepStarted(**COMMON, job_id=job, step_id=step, step_type="t", attempt=attempt)
        self.happens(event, may_it=self.step_status(job, step) == "PENDING")

    @rule(job=jobs, step=steps)
    def a_step_waits(self, job: str, step: str) -> None:
        may_it = self.step_status(job, step) == "PENDING"
        event = e.StepWaiting(**COMMON, job_id=job, step_id=step, step_type="t", pool="p", slots=1, size=1)
        self.happens(event, may_it=may_it)

    @rule(job=jobs, step=steps, got_it=st.booleans())
    def a_step_waits_for_a_lock(self, job: str, step: str, *, got_it: bool) -> None:
        may_it = self.step_status(job, step) == "RUNNING"
        names: dict[str, Any] = {"job_id": job, "step_id": step, "step_type": "t", "lock": "k"}
        self.happens(e.LockAwaited(**COMMON, **names, held_by="another"), may_it=may_it)
        if got_it:
            self.happens(e.LockTaken(**COMMON, **names, waited_seconds=1.5), may_it=may_it)

    @rule(job=jobs, step=steps, is_reattached=st.booleans(), late=st.integers(1, 3))
    def a_worker_begins_a_step(self, job: str, step: str, late: int, *, is_reattached: bool) -> None:
        names: dict[str, Any] = {"job_id": job, "step_id": step, "step_type": "t", "executor": "dask"}
        event = e.StepPlaced(**COMMON, **names, worker="w", host="h", is_reattached=is_reattached)
        self.happens(event, may_it=self.step_status(job, step) == "RUNNING")
        self.a_late_result_is_refused(job, step, late)

    def a_late_result_is_refused(self, job: str, step: str, attempt: int) -> None:
        """It may come when the job has ended, but not when the run has, nor of an attempt that never was."""
        known = self.state.job(job).steps.get(step, StepState())
        is_cut_off = (job, step) in self.state.interrupted
        may_it = self.state.phase == "RUNNING" and attempt <= known.attempt and not is_cut_off
        names: dict[str, Any] = {"job_id": job, "step_id": step, "step_type": "t", "attempt": attempt}
        before, count = msgspec.to_builtins(self.state), self.state.event_count
        self.happens(e.ResultRefused(**COMMON, **names, executor="dask", reason="gone"), may_it=may_it)
        assert msgspec.to_builtins(self.state) == before | {"event_count": count + may_it}

    @rule(job=jobs, step=steps, key=st.sampled_from(["p", "q"]))
    def a_step_intends_an_effect(self, job: str, step: str, key: str) -> None:
        event = e.EffectIntended(**COMMON, job_id=job, step_id=step, step_type="t", key=key)
        self.happens(event, may_it=self.step_status(job, step) == "RUNNING")

    @rule(job=jobs, step=steps, key=st.sampled_from(["p", "q"]))
    def an_effect_is_confirmed(self, job: str, step: str, key: str) -> None:
        known = self.state.job(job).steps.get(step, StepState()).effects
        event = e.EffectConfirmed(**COMMON, job_id=job, step_id=step, step_type="t", key=key)
        self.happens(event, may_it=self.step_status(job, step) == "RUNNING" and key in known)

    @rule(job=jobs, step=steps, confirmed=st.booleans())
    def a_step_runs_and_changes_something_outside(self, job: str, step: str, *, confirmed: bool) -> None:
        while self.job_status(job) == "PENDING" or self.step_status(job, step) == "PENDING":
            self.work_goes_on(job, step, "SUCCESS", at_once=False)
        self.a_step_intends_an_effect(job, step, "p")
        if confirmed:
            self.an_effect_is_confirmed(job, step, "p")

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

    @rule(job=jobs, step=steps, attempt=st.integers(1, 3), seconds=st.floats(0, 100))
    def a_step_is_tried_again(self, job: str, step: str, attempt: int, seconds: float) -> None:
        event = e.StepRetrying(
            **COMMON,
            job_id=job,
            step_id=step,
            step_type="t",
            attempt=attempt,
            wait_seconds=seconds,
            error=ErrorInfo(code="AF700", message="no"),
        )
        self.happens(event, may_it=self.step_status(job, step) == "RUNNING")

    @rule(job=jobs, step=steps, end=st.sampled_from([*get_args(e.StepEnd), "again"]), at_once=st.booleans())
    def work_goes_on(self, job: str, step: str, end: Any, *, at_once: bool) -> None:
        """Do what comes next for a step, so that many lives come as far as to its end."""
        named: dict[str, Any] = {**COMMON, "job_id": job, "step_id": step, "step_type": "t"}
        status = self.step_status(job, step)
        if self.job_status(job) == "PENDING":
            self.happens(e.JobStarted(**COMMON, job_id=job), may_it=True)
        elif status == "PENDING" and at_once and end in ("SKIPPED", "CANCELLED"):
            self.happens(e.StepFinished(**named, status=end), may_it=True)
        elif status == "PENDING":
            self.happens(e.StepStarted(**named), may_it=True)
        elif status == "RUNNING" and end == "again":
            error = ErrorInfo(code="AF700", message="no")
            self.happens(e.StepRetrying(**named, attempt=1, wait_seconds=0, error=error), may_it=True)
        elif status == "RUNNING":
            self.happens(e.StepFinished(**named, status=end), may_it=True)
        if status:
            self.a_late_result_is_refused(job, step, 1)

    @rule(job=jobs, step=steps)
    def more_work_goes_on(self, job: str, step: str) -> None:
        """Come to the end of a step, then to that of its job."""
        if self.step_status(job, step) == "SUCCESS":
            outputs = self.state.job(job).outputs
            event = e.JobFinished(**COMMON, job_id=job, status="SUCCESS", outputs=outputs)
            self.happens(event, may_it=True)
        else:
            self.work_goes_on(job, step, "SUCCESS", at_once=False)

    @rule(
        job=jobs,
        step=steps,
        waits=st.booleans(),
        then=st.sampled_from(["again", "FAILED", "SKIPPED", "CANCELLED"]),
    )
    def the_process_dies_in_a_step(self, job: str, step: str, then: Any, *, waits: bool) -> None:
        """Cut a step off, resume the run, and do with the step what `on_interrupt` may ask for."""
        while self.job_status(job) == "PENDING" or self.step_status(job, step) == "PENDING":
            self.work_goes_on(job, step, "SUCCESS", at_once=False)
        if self.step_status(job, step) != "RUNNING":
            return
        self.the_run_is_resumed([])
        self.happens(e.JobStarted(**COMMON, job_id=job), may_it=True)
        named: dict[str, Any] = {**COMMON, "job_id": job, "step_id": step, "step_type": "t"}
        if waits:
            self.a_step_waits(job, step)
        again = e.StepStarted(**named)
        self.happens(again if then == "again" else e.StepFinished(**named, status=then), may_it=True)

    @rule(job=jobs, step=steps, end=step_ends)
    def what_runs_ends(self, job: str, step: str, end: e.StepEnd) -> None:
        """Bring a step as far as to run, and end it in one of the ways."""
        while self.job_status(job) == "PENDING" or self.step_status(job, step) == "PENDING":
            self.work_goes_on(job, step, "SUCCESS", at_once=False)
        self.work_goes_on(job, step, end, at_once=False)

    @rule(end=st.sampled_from(get_args(e.RunEnd)))
    def the_ending_steps_begin(self, end: e.RunEnd) -> None:
        event = e.HooksStarted(**COMMON, status=end, reason="so it ended")
        self.happens(event, may_it=self.state.phase == "RUNNING")
        if self.state.phase == "RUNNING":
            assert (self.state.outcome, self.state.cancelling) == (end, None)

    @rule(end=st.sampled_from(get_args(e.RunEnd)))
    def the_run_ends(self, end: e.RunEnd) -> None:
        event = e.RunFinished(**COMMON, status=end, duration_seconds=0)
        self.happens(event, may_it=self.state.phase == "RUNNING")

    @rule()
    def somebody_cancels(self) -> None:
        event = e.CancelRequested(**COMMON, reason="enough")
        self.happens(event, may_it=self.state.phase == "RUNNING")

    @rule(
        rerun=st.lists(st.sampled_from(["a", "b", "b[0]", "a/x", "b[0]/z"]), max_size=2),
        reopened=st.lists(jobs, max_size=1),
        left=st.lists(st.sampled_from(["a", "b"]), max_size=1),
        gone=st.lists(st.sampled_from(["a", "b[0]", "b/x", "b[0]/z"]), max_size=1),
    )
    def the_run_is_resumed(
        self,
        rerun: list[str],
        reopened: Sequence[str] = (),
        left: Sequence[str] = (),
        gone: Sequence[str] = (),
    ) -> None:
        encoded = msgspec.msgpack.encode(self.state.jobs)  # copied like this, it takes a tenth of deepcopy
        before = msgspec.msgpack.decode(encoded, type=dict[str, JobState])
        assert before == self.state.jobs
        rerun = [name for name in rerun if name[0] not in left]  # what takes no part does not run again
        event = e.RunResumed(
            **COMMON,
            attempt=self.state.attempt + 1,
            owner="me",
            rerun=rerun,
            reopened=[job for job in reopened if job[0] not in left],
            excluded_jobs=list(left),
            removed=list(gone),
        )
        statuses = dict(self.statuses())
        self.happens(event, may_it=True)
        for name, status in self.statuses():
            what, _, after = status.partition(" ")
            table = RESUMED_JOBS if what == "job" else RESUMED_STEPS
            assert after in table[statuses[name].partition(" ")[2]]
        assert (self.state.phase, self.state.cancelling) == ("RUNNING", None)
        assert not any(step_entry(*name) in gone or name[0] in gone for name in self.state.interrupted)
        for job_id, job in before.items():
            if job_id in gone:
                assert job_id not in self.state.jobs
                continue
            now = self.state.jobs[job_id]
            job.steps = {
                step_id: step
                for step_id, step in job.steps.items()
                if step_entry(job_id, step_id) not in gone
            }
            if job_id[0] in left and job.status in ("FAILED", "BLOCKED", "CANCELLED"):
                assert now == job
            elif job_id in event.reopened and job.status in ("SUCCESS", "SKIPPED"):
                job.status = "FAILED"  # it is resumed as one that had not ended well
                check_reopened(job_id, job, now, set(rerun))
            else:
                check_reopened(job_id, job, now, set(rerun))

    def statuses(self) -> Iterator[tuple[str, str]]:
        """Yield the status of each job and step as the table calls it, by its name."""
        for job_id, job in self.state.jobs.items():
            yield job_id, f"job {job.status}"
            for step_id, step in job.steps.items():
                status = INTERRUPTED if (job_id, step_id) in self.state.interrupted else step.status
                yield step_entry(job_id, step_id), f"step {status}"

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
        one_by_one = rows_after([[event] for event in stored])
        assert rows_after([stored]) == one_by_one, "the projections can be rebuilt from the events"


@cache
def empty_database() -> bytes:
    """Return a state database, made once for all lives."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.executescript("".join(MIGRATIONS))
        return raw.serialize()


def rows_after(batches: Sequence[Sequence[e.Event]]) -> dict[str, list[dict[str, Any]]]:
    """Project batches of events into an empty database, as commits would, and return its rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.deserialize(empty_database())
        for batch in batches:
            _write_rows(raw, project(batch))
        return tables_of(raw)


def check_reopened(job_id: str, old: JobState, new: JobState, rerun: set[str]) -> None:
    """Check one job after a resume, from what the contract says of it."""
    whole_job = job_id in rerun
    named = {step_id for step_id in old.steps if whole_job or f"{job_id}/{step_id}" in rerun}
    if old.status in ("SUCCESS", "SKIPPED") and not whole_job and not named:
        assert new == old
        return
    assert (new.status, new.reason, new.error) == ("PENDING", "", None)
    assert new.items == (None if whole_job else old.items)
    assert new.steps.keys() == old.steps.keys()
    outputs: dict[str, Any] = {}
    for step_id, step in old.steps.items():
        if step.status in ("SUCCESS", "SKIPPED") and step_id not in named:
            assert new.steps[step_id] == step
            outputs |= step.job_outputs
        else:
            effects = {} if step_id in named else step.effects
            assert new.steps[step_id] == StepState(step_type=step.step_type, effects=effects)
    assert new.outputs == outputs


def transitions() -> set[tuple[str, str, str]]:
    """Return every transition that the code's tables allow."""
    return {
        (f"{what} {status}", event.__name__, f"{what} {after}")
        for what, table in (("run", RUN_TABLE), ("job", JOB_TABLE), ("step", STEP_TABLE))
        for (status, event), following in table.items()
        for after in following
    }


def test_ten_thousand_steps_replay_to_the_live_state_and_take_every_transition(
    record_property: Callable[[str, object], None],
) -> None:
    Lives.taken, Lives.reached = Counter(), set()
    lives = settings(
        max_examples=STEPS // 40,
        stateful_step_count=EXAMPLE_STEPS,
        deadline=None,
        derandomize=False,  # where CI is set the rounds would all be the same
        suppress_health_check=[HealthCheck.too_slow],
    )
    allowed = transitions()
    for _ in range(MOST_ROUNDS):  # the lives are random: until every transition was taken
        run_state_machine_as_test(Lives, settings=lives)
        if Lives.reached == allowed:
            break
    steps = Lives.taken.total()
    assert steps >= STEPS
    assert Lives.reached - allowed == set(), "taken, but not in the table"
    assert allowed - Lives.reached == set(), "in the table, but never taken"
    record_property(
        "torture",
        f"state machine: {steps} steps, {Lives.taken['refused']} illegal events refused, "
        f"{len(allowed)} transitions of {len(allowed)} taken, replay = live, rows rebuilt = rows stored",
    )
