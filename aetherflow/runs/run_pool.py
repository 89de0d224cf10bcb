"""Execute the runs of many tickets in one process: a queue, slots, cancelling, and draining at the end."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import anyio
import anyio.abc
import msgspec

from aetherflow.clock import Clock, SystemClock, wait_within
from aetherflow.errors import AetherFlowError, UsageError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.runs.ports import ClaimPrecondition, Execute, TicketObserver
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_queue import RunQueue
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus, cancelled, refusal_of
from aetherflow.runs.stop_notices import StopAdvice

QUEUE_CAPACITY = 10_000

ALERT_SLOTS = 4
"""How many alerts run at a time, beside `max_parallel_runs`."""

NOTE_SECONDS = 10.0
"""How long an observer may take to note a change while the pool ends."""

CANCEL_SECONDS = 30.0
"""How long cancelled runs have to end in order before their processes are killed."""

FORCE_SECONDS = 2.0
"""How long to wait before the processes that a run has started meanwhile (in its hooks) are killed too."""

FORCES = 15
"""How often that is done before the pool gives up on a run."""

STOPPING_CODE = "AF652"
INTERNAL_ERROR_CODE = "AF654"


class RunPoolFull(AetherFlowError):
    """The queue is full, or the pool accepts no more tickets."""

    default_code = "AF650"


class RunningRun(msgspec.Struct, frozen=True):
    """A ticket that has a slot; LOADING until the first event of its run is durable."""

    ticket: RunTicket
    status: Literal["LOADING", "RUNNING"]
    seconds: float
    cancel_reason: str


class _Submission(msgspec.Struct, eq=False):
    """A ticket in the pool, from the time it is submitted until its end is noted."""

    ticket: RunTicket
    observer: TicketObserver | None
    precondition: ClaimPrecondition | None
    control: RunControl = msgspec.field(default_factory=RunControl)
    is_noted: anyio.Event = msgspec.field(default_factory=anyio.Event)
    slot_since: float = 0.0
    has_started: bool = False


class RunPool:
    """Executes tickets, at most `max_parallel_runs` at a time, until it is drained."""

    def __init__(
        self,
        execute: Execute,
        *,
        max_parallel_runs: int,
        observer: TicketObserver | None = None,
        on_problem: Callable[[str], None] = lambda _problem: None,
        on_left: Callable[[Sequence[str]], Awaitable[None]] | None = None,
        max_queued: int = QUEUE_CAPACITY,
        clock: Clock | None = None,
    ) -> None:
        """Make a pool without tickets.

        Args:
            execute: executes the run of a ticket.
            max_parallel_runs: how many run at a time.
            observer: of the tickets that are submitted without one of their own.
            on_problem: is called with the traceback of a bug in a run or an observer.
            on_left: is called with the ids of runs that not even force ended; `run` would wait for them for
                ever, so it should end the process.
            max_queued: how many tickets may wait.
            clock: for the times that `drain` waits.
        """
        self._execute = execute
        self._observer = observer
        self._on_problem = on_problem
        self._on_left = on_left
        self._clock = clock or SystemClock()
        self._slots = max_parallel_runs
        self._queue = RunQueue(max_queued)
        self._submissions: dict[str, _Submission] = {}
        self._active: dict[str, _Submission] = {}
        self._changed = anyio.Event()
        self._is_draining = False
        self._is_forced = False
        self._is_over = False

    @property
    def is_draining(self) -> bool:
        """Whether it starts nothing more."""
        return self._is_draining

    @property
    def queued_count(self) -> int:
        """How many tickets wait."""
        return len(self._queue)

    @property
    def running_count(self) -> int:
        """How many tickets have a slot."""
        return len(self._active)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._active and not self._queue

    async def idle(self) -> None:
        """Wait until nothing runs and nothing waits."""
        while not self.is_idle:
            await self._changed.wait()

    def queued(self) -> list[RunTicket]:
        """Return the tickets that wait, in the order in which they will start."""
        return self._queue.waiting()

    def running(self) -> list[RunningRun]:
        """Return the tickets that have a slot, the oldest first."""
        now = self._clock.monotonic()
        return [
            RunningRun(
                active.ticket,
                "RUNNING" if active.has_started else "LOADING",
                now - active.slot_since,
                active.control.reason,
            )
            for active in self._active.values()
        ]

    async def submit(
        self,
        ticket: RunTicket,
        observer: TicketObserver | None = None,
        precondition: ClaimPrecondition | None = None,
    ) -> None:
        """Queue a ticket; its observer has noted it as queued when this returns.

        Args:
            ticket: what to run.
            observer: is called at every change of this ticket, instead of the pool's observer.
            precondition: must hold when the run is claimed.

        Raises:
            RunPoolFull: the queue is full, or the pool is being drained.
            UsageError: the run is queued or executed here already.
        """
        if self._is_draining:
            raise RunPoolFull("the server is shutting down; it starts no more runs", code=STOPPING_CODE)
        if ticket.run_id in self._queue or ticket.run_id in self._active:
            raise UsageError(f"run {ticket.run_id} is queued or executed already", code="AF651")
        if self._queue.is_full:
            raise RunPoolFull(
                f"{len(self._queue)} runs wait already; run {ticket.run_id} is not taken",
                hint="raise max_parallel_runs, or start fewer runs",
            )
        submission = _Submission(ticket, observer or self._observer, precondition)
        self._submissions[ticket.run_id] = submission
        self._queue.push(ticket)
        try:
            await self._note(submission, "queued", None)
        finally:
            submission.is_noted.set()
            self._wake()

    async def cancel(self, run_id: str, reason: str, advice: StopAdvice | None = None) -> bool:
        """Stop a run, or withdraw its ticket; return whether there is one."""
        active = self._active.get(run_id)
        if active is not None:
            active.control.cancel(reason, advice)
            return True
        return await self._withdraw(cancelled(run_id, reason))

    async def run(self) -> None:
        """Execute tickets until `drain` has ended everything; a cancellation drains without grace."""
        async with anyio.create_task_group() as watch:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as workers:
                    watch.start_soon(self._on_outer_cancel, workers)
                    while not (self._is_draining and not self._active):
                        self._fill_slots(workers)
                        await self._changed.wait()
                    await self._withdraw_all()
                    self._is_over = True
            watch.cancel_scope.cancel()

    async def drain(self, grace_seconds: float, cancel_seconds: float = CANCEL_SECONDS) -> bool:
        """Start nothing more; let the runs end, then cancel them, then kill their processes.

        A second call, or `force`, skips the waiting. Returns whether everything has ended: a step
        that swallows its cancellation cannot be ended; `on_left` gets the ids of such runs.
        """
        if self._is_draining:
            self.force()
        self._is_draining = True
        self._wake()
        await self._withdraw_all()
        await self._idle_within(grace_seconds)
        for active in self._active.values():
            _stop(active)
        await self._idle_within(cancel_seconds)
        for _ in range(FORCES):
            if not self._active:
                break
            self.force()
            await self._idle_within(FORCE_SECONDS, although_forced=True)
        if self._active and self._on_left is not None:
            await self._on_left(list(self._active))
        return not self._active

    def force(self) -> None:
        """Cancel the runs and kill their processes, now."""
        self._is_draining = self._is_forced = True
        for active in self._active.values():
            _stop(active)
            active.control.force()
        self._wake()

    async def _on_outer_cancel(self, workers: anyio.abc.TaskGroup) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if not self._is_over:
                workers.start_soon(self.drain, 0.0, CANCEL_SECONDS)

    async def _idle_within(self, seconds: float, *, although_forced: bool = False) -> None:
        """Wait until nothing runs, or the time is over, or the end is forced."""

        async def idle() -> None:
            while self._active and (although_forced or not self._is_forced):
                await self._changed.wait()

        await wait_within(self._clock, seconds, idle)

    def _fill_slots(self, workers: anyio.abc.TaskGroup) -> None:
        for is_alert, slots in ((True, ALERT_SLOTS), (False, self._slots)):
            taken = sum(active.ticket.is_alert is is_alert for active in self._active.values())
            while not self._is_draining and taken < slots:
                ticket = self._queue.pop(is_alert=is_alert)
                if ticket is None:
                    break
                active = self._active[ticket.run_id] = self._submissions[ticket.run_id]
                active.slot_since = self._clock.monotonic()
                workers.start_soon(self._work, active)
                taken += 1

    async def _work(self, active: _Submission) -> None:
        """Execute a ticket; its slot is free once its observer has noted how it ended."""
        run_id = active.ticket.run_id
        try:
            await active.is_noted.wait()
            outcome = await self._outcome(active)
            await self._note(active, "refused" if isinstance(outcome, Refusal) else "ended", outcome)
        finally:
            del self._active[run_id], self._submissions[run_id]
            self._wake()

    async def _outcome(self, active: _Submission) -> RunReport | Refusal:
        run_id = active.ticket.run_id

        async def started() -> None:
            active.has_started = True
            await self._note(active, "started", None)

        try:
            return await self._execute(active.ticket, active.control, started, active.precondition)
        except AetherFlowError as error:
            if not active.has_started:
                return refusal_of(run_id, error)
            reason = active.control.redactor.text(error.message)
            return RunReport(run_id, "INTERRUPTED", error.exit_code, reason=reason, code=error.code)
        except BaseException as error:  # a bug, in a plugin or here, ends one run, not the server
            if is_our_cancellation(error):
                raise
            self._report_bug(active, error)
            reason = active.control.redactor.text(f"an internal error: {type(error).__name__}: {error}")
            if not active.has_started:
                return Refusal(run_id, "error", reason, INTERNAL_ERROR_CODE)
            return RunReport(run_id, "INTERRUPTED", 1, reason=reason, code=INTERNAL_ERROR_CODE)

    def _report_bug(self, submission: _Submission, error: BaseException) -> None:
        self._on_problem(submission.control.redactor.text("".join(traceback.format_exception(error))))

    async def _withdraw(self, refusal: Refusal) -> bool:
        """Remove a ticket from the queue; False if it is not in it."""
        if self._queue.remove(refusal.run_id) is None:
            return False
        submission = self._submissions.pop(refusal.run_id)
        await submission.is_noted.wait()
        await self._note(submission, "refused", refusal)
        return True

    async def _withdraw_all(self) -> None:
        reason = "the server stopped before the run started"
        for ticket in self._queue.waiting():
            await self._withdraw(Refusal(ticket.run_id, "server_stopping", reason, STOPPING_CODE))

    async def _note(
        self, submission: _Submission, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Call the observer, also while the pool is being cancelled; it has a limited time then."""
        if submission.observer is None:
            return
        ticket = submission.ticket
        with anyio.move_on_after(NOTE_SECONDS, shield=True) as scope:
            try:
                await submission.observer.on_change(ticket, status, report)
            except AetherFlowError as error:  # its database cannot be used, as a rule
                why = submission.control.redactor.text(error.message)
                self._on_problem(f"run {ticket.run_id}: its status {status} could not be noted: {why}")
            except Exception as error:  # noqa: BLE001 - an observer must not harm a run
                self._report_bug(submission, error)
        if scope.cancelled_caught:
            self._on_problem(f"run {ticket.run_id}: its status {status} could not be noted in time")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _stop(active: _Submission) -> None:
    """Request a run to end since the server stops: it is cancelled, or left to the next server."""
    if active.ticket.on_stop == "resume":
        active.control.leave("the server stops, and the next one resumes the run")
    else:
        active.control.cancel("the server stops")
