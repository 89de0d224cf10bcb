"""A run without an executor: plans from text, a clock that only ticks, work that ends as a script says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from aetherflow.engine.commands import CancelAttempt, Command, RunAttempt, ScheduleRetry
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.resume import plan_resume
from aetherflow.engine.state import RunState, apply, fold
from aetherflow.engine.template_scope import job_scope
from aetherflow.errors import Diagnostic, ErrorInfo, FailureCause
from aetherflow.events import run_events as e
from aetherflow.execution.backoff import next_wait
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.sdk.step import StepType
from aetherflow.spec.decode import decode
from aetherflow.spec.document import parse_document
from aetherflow.spec.flow import FlowFile
from aetherflow.spec.load import FlowDocument

RUN_ID = "run-1"
START = datetime(2026, 1, 1, tzinfo=UTC)


def planned(text: str) -> tuple[Plan, list[Diagnostic]]:
    """Return the plan of a flow file, and what the planner found."""
    document = parse_document(text, "flow.yaml")
    spec, wrong = decode(document, FlowFile)
    assert spec is not None, "\n".join(map(str, wrong))
    diagnostics = DiagnosticSink(document)
    loaded = FlowDocument(spec, document, Path("flow.yaml"))
    plan = build_plan(loaded, diagnostics, step_type_of=lambda name: FOLLOWED if name == "t" else None)
    return plan, diagnostics.diagnostics


def never(*_: object) -> None:
    """Do nothing: the work of a step is scripted."""


FOLLOWED = StepType("t", never, follow_up=StepType("t.after", never))
"""The type `t` of scripted flows: the input `after` wants something to follow it."""


def plan_of(text: str) -> Plan:
    """Return the plan of a flow file without errors."""
    plan, found = planned(text)
    assert [d for d in found if d.severity == "error"] == []
    return plan


def plan_of_jobs(*jobs: Mapping[str, Any], **flow: Any) -> Plan:
    """Return the plan of these jobs; a job without steps gets one, named `s`."""
    given = [{"steps": [{"id": "s", "type": "t"}], **job} for job in jobs]
    file = {"version": 1, "flow": {"id": "f", **flow}, "jobs": given}
    return plan_of(msgspec.json.encode(file).decode())


class TickingClock:
    """Every look at it is a millisecond later; chance is always one half."""

    def __init__(self) -> None:
        self._ticks = 0

    def now(self) -> datetime:
        return START + timedelta(milliseconds=self._tick())

    def monotonic(self) -> float:
        return self._tick() / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"the ring slept for {seconds} s")

    def new_id(self) -> str:
        raise AssertionError("the ring wanted an id")

    def random(self) -> float:
        return 0.5

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks


class Ending(msgspec.Struct, frozen=True):
    """How an attempt ends: its status, what it yields, and what went wrong."""

    status: e.StepEnd = "SUCCESS"
    result: dict[str, Any] = {}
    error: ErrorInfo | None = None
    reason: str = ""


def failed(cause: FailureCause = "") -> Ending:
    """Return the ending of a failed attempt."""
    return Ending("FAILED", error=ErrorInfo(code="AF700", message="it broke", cause=cause))


Play = Callable[[RunAttempt, int, Any], Ending]
"""Given the work, how often this step has failed so far, and its rendered inputs: how the attempt ends."""


def by_name(**endings: Ending) -> Play:
    """Return a play by `job_step` names; what is not named succeeds."""
    return lambda work, _failures, _inputs: endings.get(f"{work.instance.id}_{work.step.id}", Ending())


class Session:
    """One execution of a run: the ring, and in the place of the executor the commands that wait to be done.

    Attributes:
        history: all events of the run so far, those of earlier sessions too.
        doing: the work and the waiting of each job, in the order in which they began.
        stopped: the jobs that the machine wants stopped.
    """

    def __init__(
        self,
        plan: Plan,
        history: Sequence[e.Event] = (),
        *,
        play: Play | None = None,
        limit: int = 8,
        most_ahead: int = 0,
        selected: set[int] | None = None,
        params: dict[str, Any] | None = None,
        rerun: Sequence[str] = (),
    ) -> None:
        self.plan = plan
        self.clock = TickingClock()
        self.history = list(history)
        self.doing: dict[str, RunAttempt | ScheduleRetry] = {}
        self.stopped: set[str] = set()
        self.failures = Counter(
            (event.job_id, event.step_id)
            for event in history
            if isinstance(event, e.StepRetrying)
            or (isinstance(event, e.StepFinished) and event.status == "FAILED")
        )
        self._play = play or (lambda _work, _failures, _inputs: Ending())
        self.state = fold(self.history)
        beginning = self._beginning(params or {}, rerun, selected)
        apply(self.state, beginning)
        self.history.append(beginning)
        self.machine = RunMachine(
            plan, self.state, env={}, clock=self.clock, limit=limit, most_ahead=most_ahead, selected=selected
        )
        self.tell()

    def _beginning(self, params: dict[str, Any], rerun: Sequence[str], selected: set[int] | None) -> e.Event:
        now = self.clock.now()
        if not self.history:
            return e.RunStarted(
                at=now, flow_id="f", run_id=RUN_ID, flow_file="flow.yaml", owner="me", params=params
            )
        found = plan_resume(self.plan, self.state, rerun, selected=selected)
        return e.RunResumed(
            at=now,
            flow_id="f",
            run_id=RUN_ID,
            attempt=self.state.attempt + 1,
            owner="me",
            **found.event_fields(),
        )

    @property
    def running(self) -> list[str]:
        """The jobs that work or wait, in the order in which they began."""
        return list(self.doing)

    def tell(self, *reported: e.Event) -> list[Command]:
        """Turn the ring; note the work it asks for and return its commands."""
        react = self.machine.react(reported)
        self.history += react.events
        for command in react.commands:
            match command:
                case RunAttempt(instance) | ScheduleRetry(instance):
                    self.doing[instance.id] = command
                case CancelAttempt(instance) if instance.id in self.doing:
                    self.stopped.add(instance.id)
                case _:
                    pass
        return react.commands

    def report(self, job_id: str) -> e.Event:
        """End what is being done for a job, and return what a worker would report."""
        doing = self.doing.pop(job_id)
        step = doing.step
        identity: dict[str, Any] = {
            "at": self.clock.now(),
            "flow_id": "f",
            "run_id": RUN_ID,
            "job_id": job_id,
            "step_id": step.id,
            "step_type": step.spec.type,
            "attempt": doing.attempt,
        }
        if job_id in self.stopped:
            self.stopped.discard(job_id)
            return e.StepFinished(**identity, status="CANCELLED", reason=self.state.cancel_reason)
        if isinstance(doing, ScheduleRetry):
            return e.StepStarted(**identity, definition=step.fingerprint())
        scope = job_scope(self.machine.names, self.state, doing.instance)
        failures = self.failures[job_id, step.id]
        ending = self._play(doing, failures, step.inputs.render(scope))
        if ending.error is not None:
            self.failures[job_id, step.id] += 1
            wait = next_wait(step.retry, doing.attempt, ending.error, self.clock.random)
            if wait is not None and self.state.cancelling is None:
                return e.StepRetrying(**identity, wait_seconds=wait, error=ending.error)
            return e.StepFinished(**identity, status=ending.status, error=ending.error)
        return e.StepFinished(
            **identity,
            status=ending.status,
            reason=ending.reason,
            outputs=ending.result,
            job_outputs=step.outputs.render_present({**scope, "result": ending.result}),
        )

    def end(self, *job_ids: str) -> None:
        """End what is being done for these jobs, one after the other."""
        for job_id in job_ids:
            self.tell(self.report(job_id))

    def cancel(self, cause: e.CancelCause = "request") -> None:
        """Ask the run to stop."""
        self.tell(
            e.CancelRequested(at=self.clock.now(), flow_id="f", run_id=RUN_ID, reason="enough", cause=cause)
        )

    def finish(self, chance: Random | None = None) -> RunState:
        """End whatever is being done, the oldest first or by chance, until the run has ended."""
        while self.doing:
            names = self.running
            self.end(names[0] if chance is None else chance.choice(names))
        assert self.state.phase != "RUNNING", "nothing is being done and the run has not ended"
        return self.state

    def log(self) -> list[str]:
        """Return the history in short: `job.step SUCCESS`."""
        return [line for event in self.history if (line := short(event))]

    def statuses(self) -> dict[str, str]:
        """Return the status of every job, and of every instance."""
        return {job_id: job.status for job_id, job in self.state.jobs.items()}


def short(event: e.Event) -> str:
    """Return an event in a few words; nothing for what begins a run."""
    match event:
        case e.JobStarted(job_id=job_id):
            return f"{job_id} RUNNING"
        case e.JobFinished(job_id=job_id, status=status):
            return f"{job_id} {status}"
        case e.StepStarted(job_id=job_id, step_id=step_id, attempt=attempt):
            return f"{job_id}.{step_id} RUNNING {attempt}"
        case e.StepRetrying(job_id=job_id, step_id=step_id, attempt=attempt):
            return f"{job_id}.{step_id} RETRYING {attempt}"
        case e.StepFinished(job_id=job_id, step_id=step_id, status=status):
            return f"{job_id}.{step_id} {status}"
        case e.CancelRequested(cause=cause):
            return f"cancel {cause}"
        case e.RunFinished(status=status):
            return f"run {status}"
        case _:
            return ""


def encoded(history: Sequence[e.Event]) -> bytes:
    """Return a history as the bytes that a journal would hold."""
    return b"\n".join(map(msgspec.json.encode, history))
