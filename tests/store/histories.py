"""Random histories of a run that are legal: every event is one that the fold allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from aetherflow.engine.state import RunState, apply
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.events.marks import Mark, MarkUse
from tests.store.real_parts import T0

JOBS = ("a", "a.b", "c[0]")
STEPS = ("b", "s")
RUN = "run"

_values = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "ü'\"", "x"]))
_outputs = st.dictionaries(st.sampled_from(["k", "l", "m.n"]), _values, max_size=2)
_errors = st.builds(
    ErrorInfo,
    code=st.just("AF700"),
    message=st.sampled_from(["no", "nö"]),
    kind=st.sampled_from(["other", "timeout"]),
    detail=_outputs,
)
_any_mark = st.none() | st.integers(-5, 5).map(Mark.of) | st.sampled_from(["a", "b"]).map(Mark.of)
_marks = st.dictionaries(
    st.sampled_from(["m", "n"]), st.builds(MarkUse, _any_mark, _any_mark, st.integers(0, 1)), max_size=2
)
_reruns = st.lists(
    st.sampled_from([*JOBS, *(f"{job}.{step}" for job in JOBS for step in STEPS)]), unique=True, max_size=3
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
Make = Callable[[], e.Event]
Names = dict[str, Any]


class _Author:
    """Writes one history, event by event."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.state = RunState()
        self.events: list[e.Event] = []

    def write(self, event: e.Event) -> None:
        apply(self.state, event)
        self.events.append(event)

    @property
    def common(self) -> dict[str, Any]:
        return {"at": T0 + timedelta(seconds=len(self.events)), "flow_id": "flow", "run_id": RUN}

    def possible(self) -> Iterator[Make]:
        """Yield what may happen next."""
        if self.state.phase == "NEW":
            yield self.start
            return
        yield self.resume
        if self.state.phase == "RUNNING":
            yield from (self.cancel, self.finish)
            for job_id in JOBS:
                yield from self.possible_in(job_id)

    def possible_in(self, job_id: str) -> Iterator[Make]:
        job = self.state.job(job_id)
        for step_id, known in job.steps.items():
            if known.attempt and (job_id, step_id) not in self.state.interrupted:
                yield self.refuse_result(job_id, step_id, known.attempt)
        if job.status == "PENDING":
            yield lambda: e.JobStarted(**self.common, job_id=job_id)
            yield lambda: self.end_job(job_id, ["FAILED", "SKIPPED", "BLOCKED", "CANCELLED"])
        if job.status != "RUNNING":
            return
        yield lambda: self.end_job(job_id, ["SUCCESS", "FAILED", "SKIPPED", "CANCELLED"])
        for step_id in STEPS:
            step = job.steps.get(step_id)
            attempt = step.attempt if step else 0
            names: Names = {"job_id": job_id, "step_id": step_id, "step_type": f"type of {step_id}"}
            if step is None or step.status == "PENDING":
                yield self.begin_step(names, attempt + 1)
                yield self.let_step_wait(names, attempt + 1)
                yield self.end_step(names, attempt, ["SKIPPED", "CANCELLED"])
            elif step.status == "RUNNING":
                yield self.let_step_wait_for_a_lock(names, attempt)
                yield self.retry_step(names, attempt)
                yield self.end_step(names, attempt, ["SUCCESS", "FAILED", "SKIPPED", "CANCELLED"])

    def start(self) -> e.Event:
        return e.RunStarted(**self.common, flow_file="f.yaml", owner="one", params=self.draw(_outputs))

    def resume(self) -> e.Event:
        return e.RunResumed(
            **self.common,
            attempt=self.state.attempt + 1,
            owner="another",
            flow_file=self.draw(st.sampled_from(["", "g.yaml"])),
            rerun=self.draw(_reruns),
        )

    def cancel(self) -> e.Event:
        return e.CancelRequested(**self.common, reason="somebody asked")

    def finish(self) -> e.Event:
        status = self.draw(st.sampled_from(["SUCCESS", "FAILED", "CANCELLED"]))
        return e.RunFinished(**self.common, status=status, duration_seconds=1.0, reason="the end")

    def end_job(self, job_id: str, statuses: list[str]) -> e.Event:
        return e.JobFinished(
            **self.common,
            job_id=job_id,
            status=self.draw(st.sampled_from(statuses)),
            outputs=self.state.job(job_id).outputs,
            reason=self.draw(st.sampled_from(["", "because"])),
            error=self.draw(st.none() | _errors),
        )

    def begin_step(self, names: Names, attempt: int) -> Make:
        return lambda: e.StepStarted(**self.common, **names, attempt=attempt)

    def let_step_wait(self, names: Names, attempt: int) -> Make:
        return lambda: e.StepWaiting(
            **self.common, **names, attempt=attempt, pool="p", slots=1, size=2, held_by=["another"]
        )

    def let_step_wait_for_a_lock(self, names: Names, attempt: int) -> Make:
        return lambda: e.LockAwaited(**self.common, **names, attempt=attempt, lock="k", held_by="another")

    def refuse_result(self, job_id: str, step_id: str, attempt: int) -> Make:
        names: Names = {"job_id": job_id, "step_id": step_id, "step_type": f"type of {step_id}"}
        return lambda: e.ResultRefused(**self.common, **names, attempt=attempt, executor="dask", reason="no")

    def retry_step(self, names: Names, attempt: int) -> Make:
        return lambda: e.StepRetrying(
            **self.common, **names, attempt=attempt, wait_seconds=1.5, error=self.draw(_errors)
        )

    def end_step(self, names: Names, attempt: int, statuses: list[str]) -> Make:
        status = self.draw(st.sampled_from(statuses))
        return lambda: e.StepFinished(
            **self.common,
            **names,
            attempt=attempt,
            status=status,
            marks=self.draw(_marks) if status == "SUCCESS" else {},
            outputs=self.draw(_outputs),
            job_outputs=self.draw(_outputs),
            reason=self.draw(st.sampled_from(["", "because"])),
            error=self.draw(st.none() | _errors),
        )


@st.composite
def histories(draw: Draw) -> list[e.Event]:
    """Return a legal history."""
    author = _Author(draw)
    for _ in range(draw(st.integers(1, 40))):
        author.write(draw(st.sampled_from(list(author.possible())))())
    return author.events


@st.composite
def splits(draw: Draw, events: list[e.Event]) -> list[list[e.Event]]:
    """Return the events in batches."""
    cuts = sorted(draw(st.sets(st.integers(1, max(len(events) - 1, 1)), max_size=8)))
    return [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
