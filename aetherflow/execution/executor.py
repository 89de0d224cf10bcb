"""The only room that does work: turns the ring, makes its events durable, performs its commands.

One conductor takes what the workers report, lets the ring decide, waits for the commit and starts what
follows. While a commit waits for the disk, the reports of other jobs gather and go into the next one.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from aetherflow.engine.decide import JOB_TIMEOUT, CancelAttempt, Command, RunAttempt, ScheduleRetry, StartStep
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.ready_queue import JobInstance
from aetherflow.engine.template_scope import job_scope
from aetherflow.errors import AetherFlowError, ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.execution.attempt import AttemptOutcome, RunOfSteps, attempt_step, directories_of
from aetherflow.execution.backoff import next_wait
from aetherflow.execution.bus import Bus
from aetherflow.execution.held_resource import HeldResource, job_lock_key
from aetherflow.execution.local_placement import LocalPlacement
from aetherflow.execution.ports import Placement, environment_fingerprint
from aetherflow.execution.step_effects import StepEffects
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import StepPlan
from aetherflow.sdk.context import RunServices, StepContext
from aetherflow.sdk.json_values import plain_text
from aetherflow.sdk.pools import PoolWait
from aetherflow.task_errors import one_error

S = TypeVar("S", bound=e.StepEvent)


class Inbox:
    """What the workers report to the conductor."""

    def __init__(self) -> None:
        self._events: list[e.Event] = []
        self._filled = anyio.Event()

    def post(self, event: e.Event) -> None:
        """Leave a report; never waits: there are no more reports than workers."""
        self._events.append(event)
        self._filled.set()

    def wake(self) -> None:
        """Make a waiting `take` return, with nothing if there is nothing."""
        self._filled.set()

    async def take(self) -> list[e.Event]:
        """Wait for reports and return all there are, in order."""
        await self._filled.wait()
        events, self._events = self._events, []
        self._filled = anyio.Event()
        return events


class Executor:
    """Executes one run, once."""

    def __init__(
        self,
        machine: RunMachine,
        bus: Bus,
        services: RunServices,
        *,
        placement: Placement | None = None,
        show_traces: bool = False,
    ) -> None:
        """Take the run; `placement` runs the steps that may run anywhere, by default also in this process."""
        self._machine = machine
        self._bus = bus
        self._services = services
        self._run_of_steps = RunOfSteps(
            services, directories_of(services), environment_fingerprint(services.env)
        )
        self._local = LocalPlacement(machine.plan.step_types)
        self._anywhere = placement or self._local
        self._show_traces = show_traces
        self._inbox = Inbox()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._deadlines: dict[str, float] = {}
        self._job_locks: dict[str, HeldResource] = {}
        self._slots: dict[str, HeldResource] = {}
        self._unstored: dict[int, anyio.Event] = {}
        self._failure: AetherFlowError | None = None
        self._workers: anyio.abc.TaskGroup

    async def run(self, beginning: e.Event, notices: Sequence[e.Event] = ()) -> None:
        """Execute the run to its end; `beginning` has been applied to the ring's state.

        The `notices` are told when it is on the disk.

        A cancellation from outside ends the run as CANCELLED, in order, before it passes on.

        Raises:
            StateError: the journal could not be written; what had not been stored did not happen.
            HeldByAnother: another process took the run over.
        """
        async with one_error() as watch:
            watch.start_soon(self._on_outer_cancel)
            with anyio.CancelScope(shield=True):
                async with one_error() as self._workers:
                    await self._conduct(beginning, notices)
                    self._workers.cancel_scope.cancel()
            watch.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def cancel(self, reason: str, cause: e.CancelCause = "request") -> None:
        """Ask the run to end; what runs is stopped, what waits is not started."""
        state = self._machine.state
        if state.phase == "RUNNING" and state.cancelling is None:
            self._inbox.post(self._machine.events.make(e.CancelRequested, reason=reason, cause=cause))
            self._bus.hurry()

    def fail(self, error: AetherFlowError) -> None:
        """Give the run up without another word to the journal: it must not be written any more."""
        self._failure = error
        self._inbox.wake()
        self._bus.hurry()

    async def _on_outer_cancel(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.cancel("the program was asked to stop")

    async def _conduct(self, beginning: e.Event, notices: Sequence[e.Event]) -> None:
        machine = self._machine
        if (limit := machine.plan.flow.timeout_seconds) is not None:
            self._workers.start_soon(self._end_run_after, limit)
        react = machine.react(())
        await self._bus.publish([beginning])
        for notice in notices:
            self._bus.announce(notice)
        await self._publish(react.events)
        while True:
            for command in react.commands:
                self._perform(command)
            if machine.state.phase != "RUNNING":
                return
            reports = await self._inbox.take()
            if self._failure is not None:
                raise self._failure
            react = machine.react(self._drop_duplicate_cancels(reports))
            await self._publish(react.events)
            self._release_job_locks(react.events)
            for report in reports if self._unstored else ():
                if (stored := self._unstored.pop(id(report), None)) is not None:
                    stored.set()

    async def _publish(self, events: Sequence[e.Event]) -> None:
        """Make events durable, and before them the files that they refer to."""
        if self._machine.large is not None:
            await self._machine.large.write()
        await self._bus.publish(events)

    async def _store(
        self, instance: JobInstance, step: StepPlan, attempt: int, kind: type[e.StepEvent], **fields: Any
    ) -> None:
        """Report an event of a step that runs; return when it is durable."""
        event = self._make(kind, instance, step, attempt, **fields)
        stored = self._unstored[id(event)] = anyio.Event()
        self._inbox.post(event)
        await stored.wait()

    def _drop_duplicate_cancels(self, reports: list[e.Event]) -> list[e.Event]:
        """Drop a second wish to cancel; everything else is a fact."""
        seen = self._machine.state.cancelling is not None
        kept: list[e.Event] = []
        for report in reports:
            if isinstance(report, e.CancelRequested):
                if seen:
                    continue
                seen = True
            kept.append(report)
        return kept

    def _perform(self, command: Command) -> None:
        match command:
            case RunAttempt(instance, step, attempt):
                self._lock_job(instance)
                scope = self._scopes[instance.id] = anyio.CancelScope()
                self._workers.start_soon(self._work, instance, step, attempt, scope)
            case ScheduleRetry(instance, step, attempt, seconds):
                scope = self._scopes[instance.id] = anyio.CancelScope()
                self._workers.start_soon(self._wait_and_start, instance, step, attempt, seconds, scope)
            case StartStep(instance, number):  # only one that needs slots of a pool: the others start at once
                scope = self._scopes[instance.id] = anyio.CancelScope()
                step = instance.job.steps[number]
                self._workers.start_soon(self._wait_and_start, instance, step, 1, 0, scope)
            case CancelAttempt(instance):
                if (running := self._scopes.get(instance.id)) is not None:
                    running.cancel()
            case _:
                raise TypeError(f"the executor cannot perform {type(command).__name__}")

    def _lock_job(self, instance: JobInstance) -> None:
        """Let a task take the lock of the unit's job before the job's first step, if the flow wants that.

        Instances of a `for_each` share the lock of their job, and what becomes of it. While a step that did
        not get it may be retried, the next attempt asks again. Once a step has failed for want of it, or it
        was lost, nobody does: another run may have been in between.
        """
        locks, job_id = self._machine.plan.flow.locks, instance.job.id
        if locks.scope != "job" or is_hook(instance.id):
            return
        known = self._job_locks.get(job_id)
        if known is not None and (known.error is None or known.is_lost):
            return
        lock = self._job_locks[job_id] = HeldResource()
        holding = self._services.locks.hold(
            job_lock_key(self._machine.state.flow_id, job_id),
            ttl_seconds=locks.ttl_seconds,
            wait_seconds=0,
            job_id=job_id,
            step_id="",
        )
        self._workers.start_soon(lock.hold, holding)

    def _release_job_locks(self, events: Sequence[e.Event]) -> None:
        """Give back the locks of jobs whose end is durable."""
        if not self._job_locks:
            return
        for event in events:
            if isinstance(event, e.JobFinished) and (lock := self._job_locks.pop(event.job_id, None)):
                lock.give_back()

    async def _work(
        self, instance: JobInstance, step: StepPlan, attempt: int, scope: anyio.CancelScope
    ) -> None:
        """Run one attempt and report how it ended."""
        clock = self._services.clock
        started = clock.monotonic()
        effects = StepEffects(
            self._machine.state.jobs[instance.id].steps[step.id].effects,
            partial(self._store, instance, step, attempt),
        )
        context = StepContext(
            self._services,
            job_id=instance.id,
            step_id=step.spec.id,
            step_type=step.spec.type,
            attempt=attempt,
            effects=effects,
        )
        outcome: AttemptOutcome | None = None
        with scope:
            if self._machine.state.cancelling is not None:
                scope.cancel()
            await anyio.lowlevel.checkpoint_if_cancelled()  # what was cancelled already does not begin
            work: Callable[[], Awaitable[AttemptOutcome]] = partial(self._attempt, context, instance, step)
            for held in (self._slots.get(instance.id), self._job_locks.get(instance.job.id)):
                work = work if held is None else partial(held.work, work)
            outcome = await work()
        effects.close()
        self._scopes.pop(instance.id, None)
        self._give_back_slots(instance)
        cancelled = scope.cancel_called and (outcome is None or outcome.result is None)
        duration = round(clock.monotonic() - started, 6)
        if outcome is None or cancelled:
            reason = self._machine.state.cancel_reason
            if self._machine.state.cancelling == "timeout":
                reason = _with_last_words(reason, context)
            self._post_finished(instance, step, attempt, "CANCELLED", duration, reason=reason)
        elif outcome.error is not None:
            self._report_failure(instance, step, attempt, outcome, duration)
        elif outcome.result is not None:
            self._post(
                e.StepFinished,
                instance,
                step,
                attempt,
                status=outcome.result.status,
                duration_seconds=duration,
                outputs=outcome.result.outputs,
                job_outputs=outcome.job_outputs,
                reason=outcome.result.reason,
            )

    async def _attempt(self, context: StepContext, instance: JobInstance, step: StepPlan) -> AttemptOutcome:
        scope = job_scope(self._machine.names, self._machine.state, instance, self._machine.resolve)
        limit, over = self._time_limit(instance, step)
        step_type = self._machine.plan.step_types.get(step.spec.type)
        goes_anywhere = step_type is not None and step_type.placement == "anywhere"
        placement = self._anywhere if goes_anywhere else self._local
        perform = partial(attempt_step, self._run_of_steps, context, step, scope, placement, limit)
        if limit is None:
            return await perform()
        outcome: AttemptOutcome | None = None
        with anyio.CancelScope() as timed:
            if not limit:
                timed.cancel()
                await anyio.lowlevel.checkpoint()  # no time is left: it does not begin
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._expire, limit, timed)
                outcome = await perform()
                tasks.cancel_scope.cancel()
        if outcome is None or (timed.cancel_called and outcome.result is None):
            message = _with_last_words(over.message, context)
            return AttemptOutcome(error=msgspec.structs.replace(over, message=message))
        return outcome

    def _time_limit(self, instance: JobInstance, step: StepPlan) -> tuple[float | None, ErrorInfo]:
        """Return how many seconds an attempt may take, and the error when they are over."""
        own, left = step.spec.timeout_seconds, self._time_left(instance)
        if left < (math.inf if own is None else own):
            message = f"the job's timeout_seconds passed after {instance.job.timeout_seconds:g} s"
            hint = "raise timeout_seconds of the job if its steps need that long"
            return left, ErrorInfo(code=JOB_TIMEOUT, message=message, kind="timeout", hint=hint)
        message = f"the step's timeout_seconds passed after {own or 0:g} s"
        hint = "raise timeout_seconds if the work needs that long"
        return own, ErrorInfo(code="AF710", message=message, kind="timeout", hint=hint)

    def _time_left(self, instance: JobInstance) -> float:
        """Return how many seconds the job still has; they count from its first step on."""
        if instance.job.timeout_seconds is None:
            return math.inf
        now = self._services.clock.monotonic()
        return max(self._deadlines.setdefault(instance.id, now + instance.job.timeout_seconds) - now, 0)

    async def _expire(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self._services.clock.sleep(seconds)
        scope.cancel()

    def _report_failure(
        self, instance: JobInstance, step: StepPlan, attempt: int, outcome: AttemptOutcome, duration: float
    ) -> None:
        error = outcome.error
        if error is None:
            raise TypeError("a failure has an error")
        if self._show_traces and outcome.trace:
            trace = self._make(e.Notice, instance, step, attempt, level="error", message=outcome.trace)
            self._bus.announce(trace)
        wait, lock = None, self._lock_that_failed(instance, error)
        is_final = error.code == JOB_TIMEOUT or (lock is not None and lock.is_lost)
        if not is_final and self._machine.state.cancelling is None:
            wait = next_wait(step.retry, attempt, error, self._services.clock.random)
        if wait is not None and wait >= self._time_left(instance):
            wait, error = None, _not_tried_again(error)
        if wait is None:
            if lock is not None:
                lock.refuse(error)
            self._post_finished(instance, step, attempt, "FAILED", duration, error=error)
            return
        self._post(e.StepRetrying, instance, step, attempt, wait_seconds=round(wait, 3), error=error)

    def _lock_that_failed(self, instance: JobInstance, error: ErrorInfo) -> HeldResource | None:
        """Return the lock of the unit's job if the error is that it is not held."""
        key = job_lock_key(self._machine.state.flow_id, instance.job.id)
        return self._job_locks.get(instance.job.id) if error.detail.get("lock_key") == key else None

    async def _wait_and_start(
        self, instance: JobInstance, step: StepPlan, attempt: int, seconds: float, scope: anyio.CancelScope
    ) -> None:
        """Wait, for slots too if the step needs some; then report that the next attempt begins."""
        waited = False
        with scope:
            if seconds:
                await self._services.clock.sleep(seconds)
            if step.spec.pool is not None:
                await self._take_slots(instance, step, attempt, step.spec.pool)
            waited = True
        self._scopes.pop(instance.id, None)
        if not waited or self._machine.state.cancelling is not None:
            self._give_back_slots(instance)
            before = max(attempt - 1, 1)
            self._post_finished(
                instance, step, before, "CANCELLED", 0, reason=self._machine.state.cancel_reason
            )
            return
        self._post(
            e.StepStarted, instance, step, attempt, definition=step.fingerprint(), version=step.version
        )

    async def _take_slots(self, instance: JobInstance, step: StepPlan, attempt: int, pool: str) -> None:
        """Let a task take slots of a pool for one attempt, and wait for them; why there are none is kept.

        The wait counts for the time of the job and of the run, not for that of the step.
        """
        slots = self._slots[instance.id] = HeldResource()

        def tell(wait: PoolWait) -> None:
            if not slots.is_over:
                self._post(
                    e.StepWaiting,
                    instance,
                    step,
                    attempt,
                    pool=wait.pool,
                    slots=wait.slots,
                    size=wait.size,
                    held_by=list(wait.held_by),
                    ahead=wait.ahead,
                )

        holding = self._services.pools.hold(
            pool, step.spec.slots, job_id=instance.id, step_id=step.id, on_wait=tell
        )
        self._workers.start_soon(slots.hold, holding)
        left = self._time_left(instance)
        if left == math.inf:
            await slots.settled()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._expire, left, tasks.cancel_scope)
            await slots.settled()
            tasks.cancel_scope.cancel()
        if not slots.is_settled:
            slots.fail(self._time_limit(instance, step)[1])
            slots.give_back()

    def _give_back_slots(self, instance: JobInstance) -> None:
        if (slots := self._slots.pop(instance.id, None)) is not None:
            slots.give_back()

    def _post_finished(
        self,
        instance: JobInstance,
        step: StepPlan,
        attempt: int,
        status: e.StepEnd,
        duration: float,
        *,
        reason: str = "",
        error: ErrorInfo | None = None,
    ) -> None:
        self._post(
            e.StepFinished,
            instance,
            step,
            attempt,
            status=status,
            duration_seconds=duration,
            reason=reason,
            error=error,
        )

    def _post(
        self, kind: type[e.StepEvent], instance: JobInstance, step: StepPlan, attempt: int, **fields: Any
    ) -> None:
        self._inbox.post(self._make(kind, instance, step, attempt, **fields))

    def _make(self, kind: type[S], instance: JobInstance, step: StepPlan, attempt: int, **fields: Any) -> S:
        """Return an event of an attempt of a step, which happens now."""
        return self._machine.events.make(
            kind, job_id=instance.id, step_id=step.id, step_type=step.spec.type, attempt=attempt, **fields
        )

    async def _end_run_after(self, seconds: float) -> None:
        await self._services.clock.sleep(seconds)
        self.cancel(f"the run's timeout_seconds passed after {seconds:g} s", "timeout")


def _with_last_words(why: str, context: StepContext) -> str:
    """Return why a step was ended, and how far it came, if it had told that."""
    words = context.redactor.text(plain_text(context.progress_note))
    return f"{why}: {words}" if words else why


def _not_tried_again(error: ErrorInfo) -> ErrorInfo:
    """Return the error of an attempt whose repetition would begin after its job's time is over."""
    why = "not tried again: the job's timeout_seconds would be over by then"
    return msgspec.structs.replace(error, message=f"{error.message} ({why})")
