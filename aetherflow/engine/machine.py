"""The state machine of a run: apply each reported event to the state, and return the next commands.

It does no work and waits for nothing; with a scripted clock it is deterministic.
May import only the pure packages `plan`, `events` and `engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from aetherflow.clock import Clock
from aetherflow.engine.commands import (
    CancelAttempt,
    CancelRun,
    Command,
    EndInterruptedStep,
    EndJob,
    EndRun,
    EndUnstartedStep,
    JobCommand,
    JoinAttempt,
    RunAttempt,
    ScheduleRetry,
    StartHooks,
    StartJob,
    StartStep,
)
from aetherflow.engine.decide import decide, next_start, unmasked
from aetherflow.engine.ready_queue import WHOLE, JobInstance, ReadyQueue, whole_job
from aetherflow.engine.resume import refused_readers
from aetherflow.engine.stale_results import stale_results
from aetherflow.engine.state import RunState, apply
from aetherflow.engine.template_scope import Resolve, item_of, run_scope, same_outputs
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.language.seen import Mask
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.items import in_short
from aetherflow.plan.plan import JobPlan, Plan, StepPlan
from aetherflow.ports import OutputStore

E = TypeVar("E", bound=e.Event)

ExecutorOf = Callable[[JobPlan, StepPlan], str]
"""Returns the name of the executor that attempts of a step are given to; empty: they run in this process."""


def in_process(_job: JobPlan, _step: StepPlan) -> str:
    """Let every step run in the process of the run."""
    return ""


class Reaction(NamedTuple):
    """The result of `react`: events to make durable, then commands to perform."""

    events: list[e.Event]
    commands: list[Command]


class RunMachine:
    """The state of a run and the decisions about it.

    Attributes:
        names: the scope of templates and conditions, as far as it is the same for the whole run.
        events: creates the events of this run.
        masked_items: the mapped jobs with items that masking changed, to be reported.
    """

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        *,
        env: Mapping[str, str],
        clock: Clock,
        limit: int,
        most_ahead: int = 0,
        selected: Collection[int] | None = None,
        scheduled_at: str | None = None,
        redact: Mask = unmasked,
        large: OutputStore | None = None,
        executor_of: ExecutorOf = in_process,
    ) -> None:
        """Begin with a run whose RunStarted or RunResumed has been applied to `state`.

        Args:
            plan: the flow.
            state: the run so far; the machine changes it.
            env: the environment of the run.
            clock: dates the events.
            limit: the most jobs and instances that may work at the same time.
            most_ahead: how many more may have started, and wait for their turn.
            selected: indexes of the jobs that take part; None means all.
            scheduled_at: the time that the run was scheduled for (RFC 3339).
            redact: masks secrets in the items of mapped jobs and in reasons, which are stored.
            large: stores outputs that are too large for the journal.
            executor_of: names the executor of a step that may run anywhere.
        """
        self.plan = plan
        self.state = state
        self.clock = clock
        self.ready_queue = ReadyQueue(plan, state, selected, limit, most_ahead)
        self._selected = selected
        self.large = large
        self.resolve: Resolve = large.resolve if large is not None else same_outputs
        self.names: dict[str, Any] = run_scope(
            state, self.ready_queue.index, env, scheduled_at, self.resolve, plan.flow_names
        )
        self.events = EventFactory(clock, state.flow_id, state.run_id)
        self.masked_items: list[str] = []
        self._redact = redact
        self._executor_of = executor_of
        self._started = clock.monotonic()
        self._has_continued = not state.reattached
        self._common: dict[str, Any] = {}  # what every event of a reaction has

    def react(self, reported: Iterable[e.Event]) -> Reaction:
        """Apply reported events and all events that follow without work; all get the same time.

        Raises:
            IllegalEvent: a reported event is not allowed in the current state.
        """
        state = self.state
        self._common = {"at": self.clock.now(), "flow_id": state.flow_id, "run_id": state.run_id}
        reaction = Reaction([], [])
        if not self._has_continued:
            self._has_continued = True
            self._continue_reattached(reaction)
        for event in reported:
            self.ready_queue.note_pace(event)
            instance = self.ready_queue.instance(event.job_id) if isinstance(event, e.JobEvent) else None
            self._follow(event, instance, reaction)
        while (command := self._next_start()) is not None:
            made = self._event_of(command)
            if made is None:
                raise TypeError(f"{type(command).__name__} does not begin or end anything")
            self._follow(made, _instance_of(command), reaction)
        return reaction

    def _continue_reattached(self, reaction: Reaction) -> None:
        """Continue the jobs whose attempts workers still have, before anything else, and out of turn.

        They work, so no limit keeps them waiting, and whatever is requested next finds them RUNNING.
        """
        for job_id, step_id in sorted(self.state.reattached):
            instance = self.ready_queue.instance(job_id)
            if instance.item != WHOLE and self.state.job(instance.job.id).status == "PENDING":
                mapped = whole_job(instance.job)
                started = self._job_started(StartJob(mapped, self.state.jobs[mapped.id].items))
                self._follow(started, mapped, reaction)
            numbers = {step.id: number for number, step in enumerate(instance.job.steps)}
            self.ready_queue.at_step[job_id] = numbers[step_id]
            self._follow(self._job_started(StartJob(instance)), instance, reaction)

    def executor_of(self, instance: JobInstance, step: StepPlan) -> str:
        """Return the executor that an attempt of a step is given to; empty: it runs in this process."""
        if self._executor_of is in_process or not self.plan.may_leave(step):
            return ""
        return self._executor_of(instance.job, step)

    def _next_start(self) -> Command | None:
        return next_start(self.plan, self.state, self.ready_queue, self.names, self._redact)

    def _follow(self, event: e.Event, instance: JobInstance | None, reaction: Reaction) -> None:
        """Apply an event, of this instance if it is a job's, and in order all events that follow from it."""
        following = [(event, instance)]
        for current, of in following:  # which grows meanwhile
            apply(self.state, current)
            reaction.events.append(current)
            self.ready_queue.advance(self.state, current, of)
            for command in decide(self.plan, self.state, self.ready_queue, current, of):
                made = self._event_of(command)
                if made is None:
                    reaction.commands.append(command)
                else:
                    following.append((made, _instance_of(command)))

    def _make(self, kind: type[E], **fields: Any) -> E:
        """Return an event of this reaction."""
        return kind(**self._common, **fields)

    def _event_of(self, command: Command) -> e.Event | None:
        """Return the event for a command that needs no work, or None."""
        match command:  # the most frequent ones first
            case RunAttempt() | JoinAttempt() | ScheduleRetry() | CancelAttempt():
                return None
            case StartStep():
                return self._step_started(command)
            case EndJob():
                return self._job_finished(command)
            case StartJob():
                return self._job_started(command)
            case EndUnstartedStep() | EndInterruptedStep():
                return self._step_finished(command)
            case CancelRun():
                return self._make(e.CancelRequested, reason=command.reason, cause=command.cause)
            case StartHooks():
                return self._make(e.HooksStarted, status=command.status, reason=command.reason)
            case EndRun():
                return self._run_finished(command)
            case _:
                raise TypeError(f"{type(command).__name__} is unknown")

    def _run_finished(self, command: EndRun) -> e.RunFinished:
        jobs, instances, steps = self.state.counts()
        return self._make(
            e.RunFinished,
            status=command.status,
            reason=command.reason,
            jobs=jobs,
            instances=instances,
            steps=steps,
            duration_seconds=round(self.clock.monotonic() - self._started, 3),
            stale=stale_results(self.plan, self.state) if self.state.attempt > 1 else {},
            resume_from=[] if command.status == "SUCCESS" else self._refused(),
        )

    def _refused(self) -> list[str]:
        return refused_readers(self.plan, self.state, self._selected)

    def _job_started(self, command: StartJob) -> e.JobStarted:
        """Return the start event of a job, with the current fingerprints of its gate and items."""
        instance = command.instance
        is_decided = instance.item == WHOLE and not is_hook(instance.id)
        known = self.state.jobs.get(instance.id)
        is_listed = is_decided and (known is None or known.items is None)
        return self._make(
            e.JobStarted,
            job_id=instance.id,
            items=self._stored(instance.id, command.items),
            item=self._item_in_short(instance),
            when=instance.job.gate if is_decided else "",
            for_each=instance.job.listing if is_listed else "",
            saw=command.saw and self._redact(command.saw),  # a condition may hold a secret
        )

    def _item_in_short(self, instance: JobInstance) -> str:
        """Return the item of an instance in few characters; empty for a whole job."""
        return "" if instance.item == WHOLE else in_short(item_of(self.state, instance, self.resolve))

    def _job_finished(self, command: EndJob) -> e.JobFinished:
        """Return the end of a job; large outputs of a mapped job become references."""
        instance, outputs = command.instance, command.outputs
        is_mapped = instance.job.for_each is not None and instance.item == WHOLE
        if outputs and is_mapped and self.large is not None:
            outputs = self.large.defer(outputs)
        return self._make(
            e.JobFinished,
            job_id=instance.id,
            status=command.status,
            reason=command.reason and self._redact(command.reason),  # a condition may hold a secret
            error=command.error,
            outputs=outputs or self.state.job(instance.id).outputs,
            when=instance.job.gate if command.decided_by else "",
            for_each=instance.job.listing if command.decided_by == "for_each" else "",
        )

    def _stored(self, job_id: str, items: e.Items | None) -> e.Items | None:
        """Return the items of a mapped job in stored form: masked, or a reference if they are large."""
        if not isinstance(items, list):
            return items  # a resumed run continues with what was stored
        masked: list[Any] = self._redact(items)
        if masked != items:
            self.masked_items.append(job_id)
        return masked if self.large is None else self.large.defer_items(masked)

    def _step_started(self, command: StartStep) -> e.StepStarted | None:
        """Return the start of a step; None if it needs slots of a pool: the executor waits for them."""
        instance, step = command.instance, command.instance.job.steps[command.number]
        self.ready_queue.at_step[instance.id] = command.number
        if step.spec.pool is not None:
            return None
        return self._make(
            e.StepStarted,
            job_id=instance.id,
            step_id=step.id,
            step_type=step.spec.type,
            definition=step.fingerprint(),
            version=step.version,
            executor=self.executor_of(instance, step),
        )

    def _step_finished(self, command: EndUnstartedStep | EndInterruptedStep) -> e.StepFinished:
        """Return the end of a step that does not run."""
        instance, error = command.instance, None
        if isinstance(command, EndInterruptedStep):
            step, error = instance.job.steps[command.number], command.error
            attempt = self.state.interrupted[instance.id, step.id].attempt
            self.ready_queue.at_step[instance.id] = command.number
        else:
            step = command.step
            attempt = self._attempts(instance, step)
        return self._make(
            e.StepFinished,
            job_id=instance.id,
            step_id=step.id,
            step_type=step.spec.type,
            status=command.status,
            attempt=attempt,
            reason=command.reason,
            error=error,
            was_interrupted=isinstance(command, EndInterruptedStep),
        )

    def _attempts(self, instance: JobInstance, step: StepPlan) -> int:
        """Return the number of the last attempt of a step; 1 if it has not begun, as in events."""
        known = self.state.jobs[instance.id].steps.get(step.id)
        return max(known.attempt, 1) if known else 1


def _instance_of(command: Command) -> JobInstance | None:
    """Return the instance that a command is about; None if it is about the run."""
    return command.instance if isinstance(command, JobCommand) else None
