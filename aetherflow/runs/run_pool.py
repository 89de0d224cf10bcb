"""Worker slots for runs: tickets wait in a queue, run side by side, and end without touching each other."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import anyio
import anyio.abc
import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import AetherFlowError, InvalidInput, UsageError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.runs.run_queue import RunQueue
from aetherflow.runs.run_ticket import (
    Execute,
    Refusal,
    RunControl,
    RunReport,
    RunTicket,
    TicketObserver,
    TicketStatus,
)

QUEUE_CAPACITY = 10_000

TELL_SECONDS = 10.0
"""How long a change may take to be noted while the runner ends."""

CANCEL_SECONDS = 30.0
"""How long cancelled runs have to end in order before the rest is killed."""

FORCE_SECONDS = 2.0
"""How long to wait before what a run has started meanwhile (its ending steps) is killed too."""

FORCES = 15
"""How often that is done before the runner gives up on a run."""

SERVER_STOPS = "AF652"


class RunPoolFull(AetherFlowError):
    """No further ticket has room in the queue, or the runner takes none any more."""

    default_code = "AF650"


class RunningRun(msgspec.Struct, frozen=True):
    """A ticket that has a worker slot; LOADING until the beginning of its run is durable."""

    ticket: RunTicket
    status: Literal["LOADING", "RUNNING"]
    seconds: float
    cancel_reason: str


class _Active:
    """A ticket that has a worker slot."""

    def __init__(self, ticket: RunTicket, since: float) -> None:
        self.ticket = ticket
        self.since = since
        self.control = RunControl()
        self.has_started = False


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
        """Take what executes a run, the observer of its ticket, and the callbacks for problems.

        `on_problem` gets errors that belong to no run, `on_left` the ids of runs that not even force ended:
        `run` waits for them for ever, so `on_left` should end the process.
        """
        self._execute = execute
        self._observer = observer
        self._on_problem = on_problem
        self._on_left = on_left
        self._clock = clock or SystemClock()
        self._slots = max_parallel_runs
        self._queue = RunQueue(max_queued)
        self._active: dict[str, _Active] = {}
        self._announcing: dict[str, anyio.Event] = {}
        self._changed = anyio.Event()
        self._is_draining = False
        self._is_forced = False
        self._is_over = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._active and not self._queue

    async def idle(self) -> None:
        """Wait until nothing runs and nothing waits."""
        while not self.is_idle:
            await self._changed.wait()

    def queued(self) -> list[RunTicket]:
        """Return what waits, in the order in which it will start."""
        return self._queue.waiting()

    def running(self) -> list[RunningRun]:
        """Return what has a worker slot, the oldest first."""
        now = self._clock.monotonic()
        return [
            RunningRun(
                active.ticket,
                "RUNNING" if active.has_started else "LOADING",
                now - active.since,
                active.control.reason,
            )
            for active in self._active.values()
        ]

    async def submit(self, ticket: RunTicket) -> None:
        """Let a ticket wait for its turn; the observer knows it as queued when this returns.

        Raises:
            RunnerFull: the queue is full, or the runner is being shut down.
            UsageError: the run is queued or executed here already.
        """
        if self._is_draining:
            raise RunPoolFull("the server is shutting down; no run begins any more", code=SERVER_STOPS)
        if ticket.run_id in self._queue or ticket.run_id in self._active:
            raise UsageError(f"run {ticket.run_id} is queued or executed already", code="AF651")
        if self._queue.is_full:
            raise RunPoolFull(
                f"{len(self._queue)} runs wait already; run {ticket.run_id} is not taken",
                hint="raise max_parallel_runs, or start fewer runs",
            )
        self._queue.push(ticket)
        told = self._announcing[ticket.run_id] = anyio.Event()
        try:
            await self._tell(ticket, "queued", None)
        finally:
            self._announcing.pop(ticket.run_id, None)
            told.set()
            self._wake()

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Stop a run, or withdraw its ticket; return whether there was one."""
        active = self._active.get(run_id)
        if active is not None:
            active.control.cancel(reason)
            return True
        return await self._withdraw(run_id, reason, "AF653")

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
        """Start nothing more; let what runs end, then cancel it, then kill what resists.

        A second call, or `force`, skips what patience is left. Returns whether everything has ended: a step
        that swallows its cancellation cannot be ended; `on_left` gets the ids of such runs.
        """
        if self._is_draining:
            self.force()
        self._is_draining = True
        self._wake()
        await self._withdraw_all()
        await self._idle_within(grace_seconds)
        for active in self._active.values():
            active.control.cancel("the server stops")
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
        """Cancel what runs and kill what resists, now."""
        self._is_draining = self._is_forced = True
        for active in self._active.values():
            active.control.cancel("the server stops")
            active.control.force()
        self._wake()

    async def _on_outer_cancel(self, workers: anyio.abc.TaskGroup) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if not self._is_over:
                workers.start_soon(self.drain, 0.0, CANCEL_SECONDS)

    async def _idle_within(self, seconds: float, *, although_forced: bool = False) -> None:
        """Wait until nothing runs, or the time is over, or somebody forces the end."""

        async def idle() -> None:
            while self._active and (although_forced or not self._is_forced):
                await self._changed.wait()
            scope.cancel()

        async with anyio.create_task_group() as waiting:
            scope = waiting.cancel_scope
            waiting.start_soon(idle)
            await self._clock.sleep(seconds)
            scope.cancel()

    def _fill_slots(self, workers: anyio.abc.TaskGroup) -> None:
        while not self._is_draining and len(self._active) < self._slots:
            ticket = self._queue.pop()
            if ticket is None:
                return
            active = self._active[ticket.run_id] = _Active(ticket, self._clock.monotonic())
            workers.start_soon(self._work, active)

    async def _work(self, active: _Active) -> None:
        """Execute a ticket; the slot is free when the observer knows how it ended."""
        ticket = active.ticket
        try:
            if (announcing := self._announcing.get(ticket.run_id)) is not None:
                await announcing.wait()
            outcome = await self._outcome(active)
            await self._tell(ticket, "refused" if isinstance(outcome, Refusal) else "ended", outcome)
        finally:
            del self._active[ticket.run_id]
            self._wake()

    async def _outcome(self, active: _Active) -> RunReport | Refusal:
        ticket = active.ticket

        async def started() -> None:
            active.has_started = True
            await self._tell(ticket, "started", None)

        try:
            return await self._execute(ticket, active.control, started)
        except InvalidInput as error:
            return Refusal(ticket.run_id, str(error), error.code, diagnostics=error.diagnostics)
        except AetherFlowError as error:
            if not active.has_started:
                return Refusal(ticket.run_id, error.message, error.code, error.hint)
            return RunReport(
                ticket.run_id, "INTERRUPTED", error.exit_code, reason=error.message, code=error.code
            )
        except BaseException as error:  # a bug, in a plugin or here, ends one run, not the server
            if is_our_cancellation(error):
                raise
            self._on_problem("".join(traceback.format_exception(error)))
            reason = f"an internal error: {type(error).__name__}: {error}"
            if not active.has_started:
                return Refusal(ticket.run_id, reason, "AF654")
            return RunReport(ticket.run_id, "INTERRUPTED", 1, reason=reason, code="AF654")

    async def _withdraw(self, run_id: str, reason: str, code: str) -> bool:
        announcing = self._announcing.get(run_id)
        ticket = self._queue.remove(run_id)
        if ticket is None:
            return False
        if announcing is not None:
            await announcing.wait()
        await self._tell(ticket, "refused", Refusal(run_id, reason, code))
        return True

    async def _withdraw_all(self) -> None:
        for ticket in self._queue.waiting():
            await self._withdraw(ticket.run_id, "the server stopped before the run began", SERVER_STOPS)

    async def _tell(
        self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Tell the observer, also while the runner is being cancelled; it has a limited time then."""
        if self._observer is None:
            return
        with anyio.move_on_after(TELL_SECONDS, shield=True) as scope:
            try:
                await self._observer.on_change(ticket, status, report)
            except Exception as error:  # noqa: BLE001 - whoever watches must not hurt a run
                self._on_problem("".join(traceback.format_exception(error)))
        if scope.cancelled_caught:
            self._on_problem(f"run {ticket.run_id}: that it is {status} could not be noted in time")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
