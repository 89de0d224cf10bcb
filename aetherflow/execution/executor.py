"""Execute one run: let its state machine react, make the events durable, perform the commands.

Theory of operation
    Three parts work together, and only this one does work that takes time.

    The *machine* (`engine.machine`) is pure: it takes reported events, applies them to the state and answers
    with the events that follow and the commands to perform. The *bus* makes events durable and then shows
    them to the observers. The *executor* joins them: one task, the conductor, takes what the other tasks have
    posted to the inbox, lets the machine react, waits for the commit, and only then performs the commands.

    So nothing begins before its start is on the disk, and nothing follows from an end that is not. While a
    commit waits for the disk, the reports of other tasks gather and go into the next one: the more a run does
    at once, the more events share a commit.

    Each job instance that runs has an `InstanceTask`: it performs one attempt of one step at a time, waits
    for retries and slots, and posts what happened. Attempts run in tasks that are used again
    (`execution.workers`). An attempt is prepared and concluded here; a placement (`execution.ports`) performs
    it, in this process or elsewhere.

    While jobs end quickly the machine starts more of them than may work at the same time, so that many starts
    and ends share a commit and the disk has stored a start before its turn to work comes. The jobs take turns
    (`execution.turns`): no more of them work than if none were started ahead, in the same order, and time
    limits begin with the work.

    A run ends in four ways. Its machine decides so, also after a request to cancel, which it turns into
    cancellations of attempts and the ends that follow. Its journal cannot be written: then `run` raises, and
    what was not stored has not happened. Or `fail` gives it up, because another process has taken it over.
    Or `leave` leaves it to the next server: the attempts end in order, those that succeed are stored, and the
    others are cut off, as after a crash.
    A cancellation from outside becomes a request to cancel; the shield lets the run end in order first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import anyio
import anyio.abc

from aetherflow.engine.commands import (
    CancelAttempt,
    Command,
    JoinAttempt,
    RunAttempt,
    ScheduleRetry,
    StartStep,
)
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.ready_queue import JobInstance
from aetherflow.engine.state import apply
from aetherflow.errors import AetherFlowError
from aetherflow.events import run_events as e
from aetherflow.events.event_words import refused_notice
from aetherflow.execution.attempt import RunFacts, directories_of
from aetherflow.execution.bus import Bus
from aetherflow.execution.inbox import Inbox
from aetherflow.execution.instance_task import InstanceTask, RunParts
from aetherflow.execution.job_locks import JobLocks
from aetherflow.execution.local_placement import LocalPlacement
from aetherflow.execution.ports import Placement, environment_fingerprint
from aetherflow.execution.turns import Turns
from aetherflow.execution.workers import Workers
from aetherflow.sdk.services import RunServices
from aetherflow.task_errors import one_error


class Executor:
    """Executes one run, once.

    Attributes:
        was_cancelled: whether its jobs or its hooks were cancelled.
    """

    def __init__(
        self,
        machine: RunMachine,
        bus: Bus,
        services: RunServices,
        *,
        placements: Mapping[str, Placement] | None = None,
        show_traces: bool = False,
        item_timeout: float | None = None,
    ) -> None:
        """Prepare the run.

        Args:
            machine: decides what is done.
            bus: takes the events.
            services: what the steps share.
            placements: run the attempts of the executors that the machine names, by name.
            show_traces: show the traceback of a failure.
            item_timeout: the time limit of a schedule item, in seconds, beside the one of the flow.
        """
        self._machine = machine
        self._bus = bus
        self._services = services
        self._placements = placements or {}
        self._show_traces = show_traces
        self._item_timeout = item_timeout
        self._inbox = Inbox()
        self._locks = JobLocks(machine.state.flow_id, machine.plan.flow.locks, services.locks)
        self._turns = Turns(machine.ready_queue.limit)
        self._reports_waits = False
        self._tasks: dict[str, InstanceTask] = {}
        self._failure: AetherFlowError | None = None
        self._leaves = ""
        self.was_cancelled = False
        self._parts: RunParts

    async def run(self, first_events: list[e.Event]) -> None:
        """Execute the run to its end.

        The first event begins or resumes the run, and has been applied to the state of the machine. It is
        taken out of the list when it is durable, as the plan in it is large; the others are notices, to be
        shown then.

        A cancellation from outside ends the run as CANCELLED, with its hooks, before it propagates.

        Raises:
            StateError: the journal could not be written; what had not been stored did not happen.
            HeldByAnother: another process took the run over.
        """
        async with one_error() as watch:
            watch.start_soon(self._on_outer_cancel)
            with anyio.CancelScope(shield=True):
                async with one_error() as tasks:
                    self._parts = self._parts_of(tasks)
                    try:
                        await self._conduct(first_events, tasks)
                    except BaseException:  # the journal fails: a resume finds what the workers still have
                        self._leave_workers()
                        raise
                    finally:
                        self._close_inbox()
                    tasks.cancel_scope.cancel()
            watch.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def _close_inbox(self) -> None:
        """Show the results that were refused too late to be stored."""
        for report in self._inbox.close():
            if isinstance(report, e.ResultRefused):
                self._bus.announce(refused_notice(report))

    @property
    def runs_hooks(self) -> bool:
        """Whether all jobs have ended, and the hooks run."""
        return self._machine.state.phase == "RUNNING" and self._machine.state.outcome is not None

    def _is_to_leave(self) -> bool:
        return bool(self._leaves) and self._machine.state.cancelling is None

    def cancel(self, reason: str, cause: e.CancelCause = "request") -> None:
        """Request the run to end: running attempts are cancelled, and no further steps are started.

        Hooks are a part of an orderly end: only `cancel_hooks` ends them.
        """
        if not self.runs_hooks:
            self._request_cancel(reason, cause)

    def cancel_hooks(self, reason: str) -> None:
        """Request the hooks to end too, if they run."""
        if self.runs_hooks:
            self._request_cancel(reason, "request")

    def _request_cancel(self, reason: str, cause: e.CancelCause) -> None:
        self.was_cancelled = True
        state = self._machine.state
        if state.phase == "RUNNING" and state.cancelling is None:
            self._inbox.post(self._machine.events.make(e.CancelRequested, reason=reason, cause=cause))
            self._bus.hurry()

    def leave(self, reason: str) -> None:
        """Request the attempts to end and the run to be left as it is then; hooks that run end first."""
        if not self.runs_hooks and self._machine.state.cancelling is None:
            self.leave_at_once(reason)

    def leave_at_once(self, reason: str) -> None:
        """Request the run to be left, also while its hooks run: the resume runs them."""
        self.was_cancelled = True
        if self._machine.state.phase == "RUNNING" and not self._leaves:
            self._leaves = reason
            self._inbox.wake()
            self._bus.hurry()

    def fail(self, error: AetherFlowError) -> None:
        """Give up the run without writing to its journal, which another process may own now."""
        self._failure = error
        self._leave_workers()
        self._inbox.wake()
        self._bus.hurry()

    def _leave_workers(self) -> None:
        """Leave what workers do to the next process of the run."""
        for placement in self._placements.values():
            placement.leave()

    def _parts_of(self, tasks: anyio.abc.TaskGroup) -> RunParts:
        services, local = self._services, LocalPlacement(self._machine.plan.step_types)
        run = RunFacts(services, directories_of(services), environment_fingerprint(services.env))
        return RunParts(
            machine=self._machine,
            bus=self._bus,
            inbox=self._inbox,
            locks=self._locks,
            turns=self._turns,
            tasks=tasks,
            workers=Workers(tasks),
            run=run,
            placements={"": local, **self._placements},
            show_traces=self._show_traces,
        )

    async def _on_outer_cancel(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.cancel("the program was asked to stop")

    async def _conduct(self, first_events: list[e.Event], tasks: anyio.abc.TaskGroup) -> None:
        machine = self._machine
        self._limit_time(tasks)
        if self._is_to_leave():  # before it began
            await self._begin(first_events)
            await self._leave([])
            return
        reaction = machine.react(self._drop_duplicate_cancels(self._inbox.take_now()))
        await self._begin(first_events)
        await self._publish(reaction.events)
        while True:
            for command in reaction.commands:
                self._perform(command)
            if self._turns.has_waiting and not self._reports_waits:
                self._reports_waits = True
                tasks.start_soon(self._report_waits)
            if machine.state.phase != "RUNNING":
                return
            reports = await self._inbox.take(expects_more=self._turns.has_waiting)
            if self._failure is not None:
                raise self._failure
            if self._is_to_leave():
                await self._leave(reports)
                return
            reaction = machine.react(self._drop_duplicate_cancels(reports))
            await self._publish(reaction.events)
            self._inbox.committed(reports)
            self._forget_ended(reaction.events)

    def _limit_time(self, tasks: anyio.abc.TaskGroup) -> None:
        if (limit := self._machine.plan.flow.timeout_seconds) is not None:
            tasks.start_soon(self._end_run_after, limit, "the run's timeout_seconds")
        if self._item_timeout is not None:
            tasks.start_soon(
                self._end_run_after, self._item_timeout, "the timeout_seconds of the schedule item"
            )

    async def _begin(self, first_events: list[e.Event]) -> None:
        await self._bus.publish([first_events.pop(0)])
        for notice in first_events:
            self._bus.announce(notice)

    async def _leave(self, reports: list[e.Event]) -> None:
        """End the attempts; store what they report, but not that they were cut off, as after a crash."""
        state = self._machine.state
        self._turns.close()
        self._leave_workers()
        reports.append(self._machine.events.make(e.CancelRequested, reason=self._leaves, cause="stop"))
        while True:
            facts = [report for report in reports if not _is_cut_off(report)]
            for fact in facts:
                apply(state, fact)
            await self._publish(facts)
            self._inbox.committed(reports)
            for task in self._tasks.values():
                task.cancel()
            reports = self._inbox.take_now()
            if not reports and not any(task.is_busy for task in self._tasks.values()):
                return
            reports = reports or await self._inbox.take()
            if self._failure is not None:
                raise self._failure

    async def _publish(self, events: Sequence[e.Event]) -> None:
        """Make events durable, and before them the files that they refer to."""
        while self._machine.masked_items:
            job_id = self._machine.masked_items.pop()
            message = (
                f"items of job {job_id} are masked, as they are or hold secrets: "
                "its steps get the mask instead of the value"
            )
            self._bus.announce(self._machine.events.notice("warning", message, "AF751"))
        if self._machine.large is not None:
            await self._machine.large.write()
        await self._bus.publish(events)

    def _drop_duplicate_cancels(self, reports: list[e.Event]) -> list[e.Event]:
        """Drop repeated cancel requests; everything else is a fact."""
        seen = self._machine.state.cancelling is not None
        accepted: list[e.Event] = []
        for report in reports:
            if isinstance(report, e.CancelRequested):
                if seen:
                    continue
                seen = True
            accepted.append(report)
        return accepted

    def _perform(self, command: Command) -> None:
        match command:
            case RunAttempt(instance, step, attempt):
                self._turns.begin(instance, partial(self._task(instance).run, step, attempt))
            case JoinAttempt(instance, number):
                step = instance.job.steps[number]
                attempt = self._machine.state.jobs[instance.id].steps[step.id].attempt
                self._turns.take(instance.id)  # it works already
                self._task(instance).run(step, attempt)
            case ScheduleRetry(instance, step, attempt, seconds):
                self._task(instance).start(step, attempt, seconds)
            case StartStep(instance, number):  # only one that needs slots of a pool: the others start at once
                start = self._task(instance).start
                self._turns.begin(instance, partial(start, instance.job.steps[number], 1))
            case CancelAttempt(instance):
                self._turns.begin_at_once(instance.id)
                if (task := self._tasks.get(instance.id)) is not None:
                    task.cancel()
            case _:
                raise TypeError(f"the executor cannot perform {type(command).__name__}")

    async def _report_waits(self) -> None:
        """Say that jobs which have started do not work yet, if that takes a while."""

        def report(count: int) -> None:
            waiting = "1 job that has started waits" if count == 1 else f"{count} jobs that have started wait"
            most = self._machine.ready_queue.limit
            message = f"{waiting} for a turn: at most {most} work at the same time"
            self._bus.announce(self._machine.events.notice("info", message))

        await self._turns.report_waits(self._services.clock, report)
        self._reports_waits = False

    def _task(self, instance: JobInstance) -> InstanceTask:
        if instance.id not in self._tasks:
            self._tasks[instance.id] = InstanceTask(self._parts, instance)
        return self._tasks[instance.id]

    def _forget_ended(self, events: Sequence[e.Event]) -> None:
        """Drop the instances, end the turns and release the locks of jobs whose end is durable."""
        self._locks.release(events)
        for event in events:
            if isinstance(event, e.JobFinished):
                self._tasks.pop(event.job_id, None)
                self._turns.end(event.job_id)

    async def _end_run_after(self, seconds: float, limit: str) -> None:
        await self._services.clock.sleep(seconds)
        self.cancel(f"{limit} passed after {seconds:g} s", "timeout")


def _is_cut_off(report: e.Event) -> bool:
    """Whether a report of a run that is left says what the next server will find out, or do."""
    match report:
        case e.StepFinished():
            return report.status == "CANCELLED"
        case e.CancelRequested():
            return report.cause != "stop"
        case _:
            return isinstance(report, e.StepStarted)
