"""Execute the runs of tickets in this process; they share only the open state databases."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from aetherflow.cli_hints import retry_command
from aetherflow.clock import Clock, SystemClock
from aetherflow.events.run_events import Event
from aetherflow.runs.crash_recovery import MOST_RECOVERIES, end_as_failed, was_left
from aetherflow.runs.execute_run import execute_run
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.ports import ClaimPrecondition, ObserverSpec
from aetherflow.runs.resolved_run import ResolvedRun, resolve_run
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_output import run_output
from aetherflow.runs.run_pool import STOPPING_CODE
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, cancelled
from aetherflow.spec.flow import OnCrash
from aetherflow.store.database_pool import DatabasePool

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle

LOADING_THREADS = 8
"""How many flows are read at a time; one whose secrets provider hangs holds only its own thread."""


def _load(
    ticket: RunTicket, process_env: Mapping[str, str], bundle: OpenBundle | None, clock: Clock
) -> ResolvedRun:
    """Read and check the flow of a ticket in its own environment, and resolve the ticket.

    Raises:
        InvalidInput: the flow is wrong.
        ConfigError: a setting, a path, the profiles file or the secrets provider cannot be used.
        UsageError: the parameters do not fit the flow, or it does not have the job that was named.
    """
    flow = ticket.flow_file if bundle is None else bundle.flow_file(ticket.flow_file)
    checked = load_checked_flow(flow, process_env, bundle, job=ticket.flow_job, text=ticket.flow_text)
    checked.raise_if_invalid()
    return resolve_run(checked, ticket, clock)


class RunHost:
    """Executes runs beside each other in this process; `execute` is what a `RunPool` needs.

    Attributes:
        states: the open state databases; everything in this process that needs one takes it from here.
    """

    def __init__(
        self,
        *,
        observers: Sequence[ObserverSpec] = (),
        on_crash: OnCrash = "resume",
        pools: Mapping[str, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a host without runs.

        Args:
            observers: get the events of every run.
            on_crash: what recovery does with a run whose flow does not say it.
            pools: the sizes of pools that every opened database gets.
            clock: of the runs.
        """
        self.states = DatabasePool(pools, clock)
        self._observers = observers
        self._on_crash = on_crash
        self._clock = clock or SystemClock()
        self._loading = anyio.CapacityLimiter(LOADING_THREADS)

    async def execute(
        self,
        ticket: RunTicket,
        control: RunControl,
        started: Callable[[], Awaitable[None]],
        precondition: ClaimPrecondition | None = None,
    ) -> RunReport | Refusal:
        """Load the current flow file, and start or resume its run; a bundle is synced first.

        Raises:
            AetherFlowError: the run could not be started, or its state could not be stored.
        """
        control.redactor.add_named([dict(os.environ), ticket.params])
        with run_output(), await self._bundle(ticket) as bundle:
            load = partial(_load, ticket, dict(os.environ), bundle, self._clock)
            run = await anyio.to_thread.run_sync(load, abandon_on_cancel=True, limiter=self._loading)
            control.redactor = run.checked.redactor
            if control.leaves:
                return Refusal(ticket.run_id, "server_stopping", control.reason, STOPPING_CODE)
            if control.is_cancelled:
                return cancelled(ticket.run_id, control.reason)
            if ticket.is_recovery:
                ended = await self._end_instead(run)
                if isinstance(ended, RunReport):
                    await started()
                if ended is not None:
                    return ended
            first = ObserverSpec("start", partial(_FirstEvents, started))
            return await execute_run(
                run,
                [first, *self._observers],
                states=self.states,
                control=control,
                clock=self._clock,
                precondition=precondition,
            )

    async def _bundle(self, ticket: RunTicket) -> AbstractContextManager[OpenBundle | None]:
        if ticket.bundle_manifest is None:
            return nullcontext()
        from aetherflow.runs.bundle_sync import open_bundle  # noqa: PLC0415 - only for bundles

        stale, env = ticket.allow_stale_bundle, dict(os.environ)
        return await open_bundle(ticket.bundle_manifest, env, allow_stale=stale, clock=self._clock)

    async def _end_instead(self, run: ResolvedRun) -> RunReport | Refusal | None:
        """Leave or end a run to recover, if its `on_crash` says so or it was recovered too often.

        A run that its server left when it stopped is resumed: nothing has crashed.
        """
        policy = run.checked.plan.flow.on_crash or self._on_crash
        if await was_left(self.states, run):
            return None
        if policy == "leave":
            reason = "its server died; it is left as it is (on_crash: leave)"
            hint = f"resume it: {retry_command(run.run_id, run.state)}"
            return Refusal(run.run_id, "left_as_it_is", reason, "AF657", hint)
        at_least = 0 if policy == "fail" else MOST_RECOVERIES
        return await end_as_failed(self.states, run, self._clock, at_least=at_least)


class _FirstEvents:
    """Calls `started` when the first events of a run are durable."""

    def __init__(self, started: Callable[[], Awaitable[None]]) -> None:
        self._started: Callable[[], Awaitable[None]] | None = started

    async def __call__(self, events: Sequence[Event]) -> None:
        del events
        started, self._started = self._started, None
        if started is not None:
            await started()

    async def aclose(self) -> None:
        """Do nothing."""
