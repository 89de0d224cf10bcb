"""One turn of the ring: happenings become events, events become state, state decides commands.

The ring does no work and waits for nothing; with a scripted clock it is deterministic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from aetherflow.clock import Clock
from aetherflow.engine.decide import (
    CancelRun,
    Command,
    EndInterruptedStep,
    EndJob,
    EndRun,
    EndUnstartedStep,
    StartHooks,
    StartJob,
    StartStep,
    admit,
    decide,
)
from aetherflow.engine.ready_queue import WHOLE, JobInstance, ReadyQueue
from aetherflow.engine.state import RunState, apply
from aetherflow.engine.template_scope import Resolve, as_they_are, run_scope
from aetherflow.events import run_events as e
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import Plan, StepPlan
from aetherflow.ports import OutputStore


class Reaction(NamedTuple):
    """What one turn brought: events to make durable, then commands to perform."""

    events: list[e.Event]
    commands: list[Command]


class RunMachine:
    """The state of a run and the decisions about it."""

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        *,
        env: Mapping[str, str],
        clock: Clock,
        limit: int,
        selected: Collection[int] | None = None,
        scheduled_at: str | None = None,
        redact: Callable[[Any], Any] = lambda value: value,
        large: OutputStore | None = None,
    ) -> None:
        """Take up a run whose RunStarted or RunResumed has been applied to `state`."""
        self.plan = plan
        self.state = state
        self.clock = clock
        self.ready_queue = ReadyQueue(plan, state, selected, limit)
        self.large = large
        self.resolve: Resolve = large.resolve if large is not None else as_they_are
        self.names: dict[str, Any] = run_scope(state, self.ready_queue.index, env, scheduled_at, self.resolve)
        self._redact = redact
        self._started = clock.monotonic()

    def react(self, reported: Iterable[e.Event]) -> Reaction:
        """Take in what happened; go on until nothing more follows without work being done.

        Raises:
            IllegalEvent: a happening cannot follow what went before.
        """
        react = Reaction([], [])
        for event in reported:
            self._follow(event, react)
        while (command := admit(self.plan, self.state, self.ready_queue, self.names)) is not None:
            self._follow(self._event(command), react)
        return react

    def _follow(self, event: e.Event, react: Reaction) -> None:
        """Apply an event and, in order, all that it entails."""
        following = deque([event])
        while following:
            current = following.popleft()
            apply(self.state, current)
            react.events.append(current)
            self.ready_queue.advance(self.state, current)
            for command in decide(self.plan, self.state, self.ready_queue, current):
                made = self._event_or_none(command)
                if made is None:
                    react.commands.append(command)
                else:
                    following.append(made)

    def _event(self, command: Command) -> e.Event:
        made = self._event_or_none(command)
        if made is None:
            raise TypeError(f"{type(command).__name__} is no command that begins something")
        return made

    def _event_or_none(self, command: Command) -> e.Event | None:
        """Return the event that a command amounts to, or None if it takes work."""
        at, flow_id, run_id = self.clock.now(), self.state.flow_id, self.state.run_id
        match command:
            case StartStep(instance, number):
                return self._step_started(instance, number)
            case EndUnstartedStep() | EndInterruptedStep():
                return self._step_ended(command)
            case StartJob(instance, items):
                return self._job_started(instance, items)
            case EndJob(instance, status, reason, error, outputs, decided_by):
                if (
                    outputs
                    and self.large is not None
                    and instance.job.for_each is not None
                    and instance.item == WHOLE
                ):
                    outputs = self.large.defer(outputs)
                return e.JobFinished(
                    at=at,
                    flow_id=flow_id,
                    run_id=run_id,
                    job_id=instance.id,
                    status=status,
                    reason=reason,
                    error=error,
                    outputs=outputs or self.state.job(instance.id).outputs,
                    when=instance.job.gate if decided_by else "",
                    for_each=instance.job.listing if decided_by == "for_each" else "",
                )
            case CancelRun(reason, cause):
                return e.CancelRequested(at=at, flow_id=flow_id, run_id=run_id, reason=reason, cause=cause)
            case StartHooks(status, reason):
                return e.HooksStarted(at=at, flow_id=flow_id, run_id=run_id, status=status, reason=reason)
            case EndRun(status, reason):
                jobs, steps = self.state.counts()
                return e.RunFinished(
                    at=at,
                    flow_id=flow_id,
                    run_id=run_id,
                    status=status,
                    reason=reason,
                    jobs=jobs,
                    steps=steps,
                    duration_seconds=round(self.clock.monotonic() - self._started, 3),
                )
            case _:
                return None

    def _job_started(self, instance: JobInstance, items: e.Items | None) -> e.JobStarted:
        """Return the start of a job, with what the flow says of its gate and of its items as they are now."""
        is_decided = instance.item == WHOLE and not is_hook(instance.id)
        is_listed = is_decided and self.state.job(instance.id).items is None
        return e.JobStarted(
            at=self.clock.now(),
            flow_id=self.state.flow_id,
            run_id=self.state.run_id,
            job_id=instance.id,
            items=self._stored(items),
            when=instance.job.gate if is_decided else "",
            for_each=instance.job.listing if is_listed else "",
        )

    def _stored(self, items: e.Items | None) -> e.Items | None:
        """Return the items of a `for_each` as the journal keeps them: masked, a reference if large."""
        if not isinstance(items, list):
            return items  # a resumed run goes on with what was stored
        masked: list[Any] = self._redact(items)
        return masked if self.large is None else self.large.defer_items(masked)

    def _step_started(self, instance: JobInstance, number: int) -> e.StepStarted | None:
        """Return the start of a step; None if it needs slots of a pool, which take waiting."""
        step = instance.job.steps[number]
        self.ready_queue.at_step[instance.id] = number
        if step.spec.pool is not None:
            return None
        return e.StepStarted(
            at=self.clock.now(),
            flow_id=self.state.flow_id,
            run_id=self.state.run_id,
            job_id=instance.id,
            step_id=step.spec.id,
            step_type=step.spec.type,
            definition=step.fingerprint(),
            version=step.version,
        )

    def _step_ended(self, command: EndUnstartedStep | EndInterruptedStep) -> e.StepFinished:
        """Return the end of a step that does not run."""
        instance, error = command.instance, None
        if isinstance(command, EndInterruptedStep):
            step, error = instance.job.steps[command.number], command.error
            attempt = self.state.interrupted[instance.id, step.id].attempt
            self.ready_queue.at_step[instance.id] = command.number
        else:
            step = command.step
            attempt = self._attempts(instance, step)
        return e.StepFinished(
            at=self.clock.now(),
            flow_id=self.state.flow_id,
            run_id=self.state.run_id,
            job_id=instance.id,
            step_id=step.id,
            step_type=step.spec.type,
            status=command.status,
            attempt=attempt,
            reason=command.reason,
            error=error,
        )

    def _attempts(self, instance: JobInstance, step: StepPlan) -> int:
        """Return which attempt of a step was the last; 1 for one that has not begun, as events have it."""
        known = self.state.jobs[instance.id].steps.get(step.id)
        return max(known.attempt, 1) if known else 1
