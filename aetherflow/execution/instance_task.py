"""The task of one job instance: performs its attempts, or waits for the next one, and reports what happened.

It never touches the state: it reads it, and posts events to the inbox of the executor.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec

from aetherflow.clock import wait_within
from aetherflow.engine.decide import interrupted_end
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.ready_queue import JobInstance
from aetherflow.engine.state import StepState
from aetherflow.engine.template_scope import job_scope
from aetherflow.errors import ErrorInfo
from aetherflow.event_loop import protect_task
from aetherflow.events import run_events as e
from aetherflow.events.event_words import refused_notice
from aetherflow.execution.attempt import NO_TOKEN, AttemptOutcome, AttemptPlace, RunFacts, Token, attempt_step
from aetherflow.execution.backoff import next_wait
from aetherflow.execution.bus import Bus
from aetherflow.execution.held_resource import HeldResource
from aetherflow.execution.inbox import Inbox
from aetherflow.execution.job_locks import JobLocks
from aetherflow.execution.job_timer import JobTimer, whose_time
from aetherflow.execution.message_attempt import attempt_message
from aetherflow.execution.ports import Placement
from aetherflow.execution.step_effects import StepEffects
from aetherflow.execution.step_marks import MarkUsers, StepMarks
from aetherflow.execution.turns import Turns
from aetherflow.execution.workers import Report, Workers
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import StepPlan
from aetherflow.plan.readers import reader_of_job_output, reader_of_output
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.redaction import names_a_secret
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.lock_wait import LockWait
from aetherflow.sdk.pools import PoolWait
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_failure import failure_of, stored_text
from aetherflow.spec.messages import MessageStep
from aetherflow.task_errors import one_error

S = TypeVar("S", bound=e.StepEvent)


class RunParts(msgspec.Struct, frozen=True):
    """The parts that the tasks of all job instances of a run share.

    Attributes:
        tasks: the task group in which tasks are started.
        workers: run the attempts.
        placements: run the attempts, by executor; the empty name is the process of the run.
        show_traces: whether the traceback of a failure is shown.
        masks_reported: the masked outputs that were reported: job, step, output; the instances of a mapped
            job have theirs in common.
        mark_users: the steps that use high-water marks.
    """

    machine: RunMachine
    bus: Bus
    inbox: Inbox
    locks: JobLocks
    turns: Turns
    tasks: anyio.abc.TaskGroup
    workers: Workers
    run: RunFacts
    placements: Mapping[str, Placement]
    show_traces: bool = False
    masks_reported: set[tuple[str, str, str]] = msgspec.field(default_factory=set)
    mark_users: MarkUsers = msgspec.field(default_factory=dict)


class InstanceTask:
    """The work of one job instance: one attempt, or the wait for the next, never two at the same time.

    Attributes:
        instance: the job, or the instance of a mapped job.
        is_busy: whether it performs an attempt or waits for one; when it no longer does, it has reported how
            that ended.
    """

    def __init__(self, parts: RunParts, instance: JobInstance) -> None:
        self.instance = instance
        self.is_busy = False
        self._parts = parts
        self._machine = parts.machine
        self._services = parts.run.services
        self._clock = parts.run.services.clock
        self._scope = anyio.CancelScope()
        self._timer = JobTimer(instance.job, self._clock)
        self._slots: HeldResource | None = None
        self._lineage: dict[str, Any] = {}
        self._stored: Callable[[], None] | None = None

    def run(self, step: StepPlan, attempt: int) -> None:
        """Run an attempt; its start must be durable."""
        # A job that is cancelled before its turn needs no lock.
        if not is_hook(self.instance.id) and self._machine.state.cancelling is None:
            self._parts.locks.request(self.instance.job.id, self._parts.tasks)
        self._scope, self.is_busy = anyio.CancelScope(), True
        self._parts.workers.start(partial(self._work, step, attempt, self._scope))

    def start(self, step: StepPlan, attempt: int, wait_seconds: float = 0) -> None:
        """Report the start of an attempt, after a wait and when the step has its slots."""
        self._scope, self.is_busy = anyio.CancelScope(), True
        self._parts.tasks.start_soon(self._wait_and_start, step, attempt, wait_seconds, self._scope)

    def cancel(self) -> None:
        """Cancel what runs."""
        self._scope.cancel()

    async def _work(self, step: StepPlan, attempt: int, scope: anyio.CancelScope) -> Report:
        """Run one attempt; return the report how it ended."""
        known = self._machine.state.jobs[self.instance.id].steps[step.id]
        place = self._place_of(known, step, attempt)
        started = self._clock.monotonic()
        effects = StepEffects(
            known.effects,
            partial(self._commit, step, attempt),
        )
        state, users = self._machine.state, self._parts.mark_users
        marks = StepMarks(state, self._services.marks, users, self.instance.id, step.id)
        context = StepContext(
            self._services,
            job_id=self.instance.id,
            step_id=step.spec.id,
            step_type=step.spec.type,
            attempt=attempt,
            effects=effects,
            marks=marks,
            on_lock_wait=partial(self._report_lock_wait, step, attempt),
            on_placed=place.begin,
            on_refused=partial(self._report_refused, step, attempt, place.executor),
            is_foreign=_is_foreign(self._machine.plan.step_types.get(step.spec.type)),
            on_interrupt=step.spec.on_interrupt,
        )
        outcome: AttemptOutcome | None = None
        with scope:
            if self._machine.state.cancelling is not None:
                scope.cancel()
            if not place.is_reattached:  # that must be joined, to be ended
                await anyio.lowlevel.checkpoint_if_cancelled()  # what was cancelled already does not begin
            work: Callable[[], Awaitable[AttemptOutcome]] = partial(self._attempt, context, step, place)
            for held in (self._slots, self._parts.locks.of(self.instance.job.id)):
                work = work if held is None else partial(held.work, work, at_once=place.is_reattached)
            outcome = await work()
        effects.close()
        place.close()
        self._lineage = context.noted_lineage.fields(context.redactor)
        if outcome is None or outcome.result is None:
            marks.release()
        self._give_back_slots()
        duration = round(self._clock.monotonic() - (started if place.began is None else place.began), 6)
        if (end := self._end_of_lost(step, attempt, place)) is not None:
            return partial(self._finish, step, attempt, duration=duration, **end)
        if outcome is None or (scope.cancel_called and outcome.result is None):
            reason = self._machine.state.cancel_reason
            if self._machine.state.cancelling == "timeout":
                reason = _with_progress(reason, context)
            return partial(self._finish, step, attempt, "CANCELLED", duration, reason=reason)
        return partial(self._report, step, attempt, outcome, duration)

    def _place_of(self, known: StepState, step: StepPlan, attempt: int) -> AttemptPlace:
        """Return where an attempt runs; one that is taken up again needs the slots of its pool again."""
        report = partial(self._report_place, step, attempt)
        if (self.instance.id, step.id) not in self._machine.state.reattached:
            return AttemptPlace(known.executor, report)
        if step.spec.pool is not None:
            self._hold_slots(step, step.spec.pool, _ignore)
        spent = (self._clock.now() - known.place.since).total_seconds() if known.place else 0.0
        return AttemptPlace(known.executor, report, is_reattached=True, spent_seconds=max(spent, 0.0))

    def _end_of_lost(self, step: StepPlan, attempt: int, place: AttemptPlace) -> dict[str, Any] | None:
        """Return the end of a step whose attempt is lost and which must not run twice; None if it may.

        It ends as after a crash of this process: then nobody knows either what the attempt did.
        """
        if place.lost is None or not place.may_have_run:
            return None
        end = interrupted_end(step, self.instance.id, attempt, place.how_lost, "lost")
        if end is None:
            return None
        return {**end._asdict(), "was_interrupted": True}

    async def _attempt(self, context: StepContext, step: StepPlan, place: AttemptPlace) -> AttemptOutcome:
        """Run one attempt, within its time limit."""
        machine = self._machine
        scope = job_scope(machine.names, machine.state, self.instance, machine.resolve)
        limit, _ = self._timer.limit(step)
        placement = self._parts.placements[place.executor]
        token = self._token(step, is_reattached=place.is_reattached) if place.executor else NO_TOKEN
        if place.executor:
            self._stored = partial(placement.stored, token.key)
        attempt = partial(attempt_step, self._parts.run, context, step, scope, placement, limit, token)
        if isinstance(step.spec, MessageStep):
            attempt = partial(
                attempt_message, self._parts.run, context, step, step.spec, scope, placement, limit
            )
        if place.executor:
            attempt = partial(place.watch, attempt)
        protect_task("engine")
        async with context.recording_output():
            if limit is None and not context.is_foreign:
                return await attempt()
            return await self._in_own_task(attempt, step, place, context)

    def _token(self, step: StepPlan, *, is_reattached: bool) -> Token:
        from aetherflow.engine.attempt_keys import attempt_key  # noqa: PLC0415 - only with an executor

        return Token(attempt_key(self._machine.state, self.instance.id, step.id), is_reattached)

    async def _in_own_task(
        self,
        attempt: Callable[[], Awaitable[AttemptOutcome]],
        step: StepPlan,
        place: AttemptPlace,
        context: StepContext,
    ) -> AttemptOutcome:
        """Run an attempt in a task of its own, within its time limit.

        If the step cancels its task, or awaits a future that raises GeneratorExit, which closes the
        coroutines that wait for it, only that task ends.
        """
        outcome: AttemptOutcome | None = None
        timer = anyio.CancelScope()
        limit, over = self._timer.limit(step)

        async def perform() -> None:
            nonlocal outcome
            protect_task("step")
            outcome = await attempt()
            timer.cancel()

        async def expire() -> None:
            nonlocal over
            with timer:
                over = await self._timer.expire(step, place)
                timed.cancel()

        with anyio.CancelScope() as timed:
            try:
                async with one_error() as tasks:
                    if limit is not None:
                        if not limit:
                            timed.cancel()
                            await anyio.lowlevel.checkpoint()  # no time is left: it does not begin
                        tasks.start_soon(expire)
                    tasks.start_soon(perform)
            except BaseException as error:
                if outcome is None and is_our_cancellation(error):
                    raise
                # An outcome counts although the step was cancelled, by the engine or by itself; not if its
                # task could not end in order, as a step left a cancel scope open.
                if outcome is None or isinstance(error, Exception):
                    outcome = _failed(error, context)
        if timed.cancel_called and (outcome is None or outcome.result is None):
            message = _with_progress(over.message, context)
            return AttemptOutcome(error=msgspec.structs.replace(over, message=message))
        return outcome or _failed(anyio.get_cancelled_exc_class()(), context)

    def _report(self, step: StepPlan, attempt: int, outcome: AttemptOutcome, duration: float) -> None:
        """Report how an attempt ended that was not cancelled."""
        if outcome.error is not None:
            self._report_failure(step, attempt, outcome.error, outcome.trace, duration)
        elif outcome.result is not None:
            self._report_masked(step, attempt, outcome)
            self._finish(
                step,
                attempt,
                outcome.result.status,
                duration,
                outputs=outcome.result.outputs,
                job_outputs=outcome.job_outputs,
                reason=outcome.result.reason,
                marks=outcome.marks,
            )

    def _report_masked(self, step: StepPlan, attempt: int, outcome: AttemptOutcome) -> None:
        """Warn, once in a run, of each masked output that something else reads: it does not see the value."""
        if not (outcome.masked or outcome.masked_of_job):
            return
        job, plan = self.instance.job, self._machine.plan
        readers: dict[str, str | None] = {key: reader_of_output(job, step, key) for key in outcome.masked}
        readers |= {key: reader_of_job_output(plan, job, key) for key in outcome.masked_of_job}
        for key, reader in readers.items():
            name = self._services.redactor.text(key)
            if reader is None or (job.id, step.id, key) in self._parts.masks_reported:
                continue
            self._parts.masks_reported.add((job.id, step.id, key))
            why = "it is named like a secret" if names_a_secret(key) else "it is or holds a secret"
            message = (
                f"the output {name!r} of step {job.id}.{step.id} is masked, as {why}: "
                f"{reader} gets the mask instead of the value"
            )
            self._parts.bus.announce(
                self._make(e.Notice, step, attempt, level="warning", message=message, code="AF750")
            )

    def _report_failure(
        self, step: StepPlan, attempt: int, error: ErrorInfo, trace: str, duration: float
    ) -> None:
        """Report a failure: the end of the step, or another attempt after a wait."""
        if self._parts.show_traces and trace:
            self._parts.bus.announce(self._make(e.Notice, step, attempt, level="error", message=trace))
        wait, lock = None, self._parts.locks.of(self.instance.job.id) if error.cause == "job_lock" else None
        is_final = error.cause == "job_timeout" or (lock is not None and lock.is_lost)
        if not is_final and self._machine.state.cancelling is None:
            wait = next_wait(step.retry, attempt, error, self._clock.random)
        if wait is not None and wait >= self._timer.left():
            wait, error = None, _not_retried(error, step)
        if wait is None:
            if lock is not None:
                lock.refuse(error)
            self._finish(step, attempt, "FAILED", duration, error=error)
            return
        most = step.retry.max_attempts
        self._end(e.StepRetrying, step, attempt, wait_seconds=round(wait, 3), error=error, max_attempts=most)

    async def _wait_and_start(
        self, step: StepPlan, attempt: int, seconds: float, scope: anyio.CancelScope
    ) -> None:
        """Wait, for slots too if the step needs some; then report that the attempt begins."""
        waited = False
        with scope:
            if seconds:
                await self._clock.sleep(seconds)
            if step.spec.pool is not None:
                await self._take_slots(step, attempt, step.spec.pool)
            waited = True
        if not waited or self._machine.state.cancelling is not None:
            self._give_back_slots()
            before = max(attempt - 1, 1)
            self._finish(step, before, "CANCELLED", 0, reason=self._machine.state.cancel_reason)
            return
        self._end(
            e.StepStarted,
            step,
            attempt,
            definition=step.fingerprint(),
            version=step.version,
            executor=self._machine.executor_of(self.instance, step),
        )

    async def _take_slots(self, step: StepPlan, attempt: int, pool: str) -> None:
        """Let a task take slots of a pool for one attempt, and wait until it has them or failed to get them.

        The wait counts for the time of the job and of the run, not for that of the step.
        """

        def report(wait: PoolWait) -> None:
            if not slots.is_over:
                fields = {"slots": wait.slots, "size": wait.size, "held_by": list(wait.held_by)}
                self._post(e.StepWaiting, step, attempt, pool=wait.pool, ahead=wait.ahead, **fields)

        slots = self._hold_slots(step, pool, report)
        left = self._timer.left()
        if left == math.inf:
            await slots.wait_until_settled()
        else:
            await wait_within(self._clock, left, slots.wait_until_settled)
        if not slots.is_settled:
            slots.fail(self._timer.limit(step)[1])
            slots.give_back()

    def _hold_slots(self, step: StepPlan, pool: str, on_wait: Callable[[PoolWait], None]) -> HeldResource:
        slots = self._slots = HeldResource()
        holding = self._services.pools.hold(
            pool, step.spec.slots, job_id=self.instance.id, step_id=step.id, on_wait=on_wait
        )
        self._parts.tasks.start_soon(slots.hold, holding)
        return slots

    def _report_place(self, step: StepPlan, attempt: int, place: AttemptPlace) -> None:
        """Report that a worker begins an attempt."""
        place.began = self._clock.monotonic() - place.spent_seconds
        fields = {"executor": place.executor, "worker": place.worker, "host": place.host}
        self._post(e.StepPlaced, step, attempt, **fields, is_reattached=place.is_reattached)

    def _report_refused(
        self, step: StepPlan, attempt: int, executor: str, worker: str, host: str, why: str
    ) -> None:
        """Report that a worker has sent a result that does not count; only show it if the run has ended."""
        fields = {"executor": executor, "worker": worker, "host": host, "reason": why}
        event = self._make(e.ResultRefused, step, attempt, **fields)
        if not self._parts.inbox.post_first(event):
            self._parts.bus.announce(refused_notice(event))

    def _report_lock_wait(self, step: StepPlan, attempt: int, wait: LockWait) -> None:
        """Report that a step which runs waits for a lock, or has it now."""
        if wait.waited_seconds is not None:
            self._post(
                e.LockTaken, step, attempt, lock=wait.lock, waited_seconds=round(wait.waited_seconds, 3)
            )
        else:
            fields = {"held_by": wait.held_by, "since": wait.since, "wait_seconds": wait.wait_seconds}
            self._post(e.LockAwaited, step, attempt, lock=wait.lock, **fields)

    def _give_back_slots(self) -> None:
        if self._slots is not None:
            self._slots.give_back()
            self._slots = None

    def _finish(
        self, step: StepPlan, attempt: int, status: e.StepEnd, duration: float, **fields: Any
    ) -> None:
        fields |= self._lineage
        self._lineage = {}
        self._end(e.StepFinished, step, attempt, status=status, duration_seconds=duration, **fields)
        if step is self.instance.job.steps[-1]:
            self._parts.turns.end(self.instance.id)

    def _end(self, kind: type[e.StepEvent], step: StepPlan, attempt: int, **fields: Any) -> None:
        """Report how an attempt, or the wait for it, ended."""
        self.is_busy = False
        stored, self._stored = self._stored, None
        self._parts.inbox.post(self._make(kind, step, attempt, **fields), stored)

    def _post(self, kind: type[e.StepEvent], step: StepPlan, attempt: int, **fields: Any) -> None:
        self._parts.inbox.post(self._make(kind, step, attempt, **fields))

    async def _commit(self, step: StepPlan, attempt: int, kind: type[e.StepEvent], **fields: Any) -> None:
        """Report an event of a step that runs; return when it is durable."""
        await self._parts.inbox.commit(self._make(kind, step, attempt, **fields))

    def _make(self, kind: type[S], step: StepPlan, attempt: int, **fields: Any) -> S:
        """Return an event of an attempt of a step, which happens now."""
        return self._machine.events.make(
            kind,
            job_id=self.instance.id,
            step_id=step.id,
            step_type=step.spec.type,
            attempt=attempt,
            **fields,
        )


def _ignore(_wait: PoolWait) -> None:
    """Report no wait for slots: the step works already."""


def _is_foreign(step_type: StepType | None) -> bool:
    return step_type is not None and step_type.is_foreign


def _failed(error: BaseException, context: StepContext) -> AttemptOutcome:
    info, trace = failure_of(error, context.redactor)
    return AttemptOutcome(error=info, trace=trace)


def _with_progress(why: str, context: StepContext) -> str:
    """Return why a step was ended, and how far it came, if it has noted that."""
    note = context.redactor.text(stored_text(context.progress_note))
    return f"{why}: {note}" if note else why


def _not_retried(error: ErrorInfo, step: StepPlan) -> ErrorInfo:
    """Return the error of an attempt whose repetition would begin after its job's time is over."""
    return error.with_remark(f"not tried again: {whose_time(step)} timeout_seconds would be over by then")
