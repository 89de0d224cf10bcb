"""Many runs in one process: what they share (open state databases), and how each is executed on its own."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from aetherflow.cli_hints import retry_command
from aetherflow.clock import Clock, SystemClock
from aetherflow.events.run_events import Event
from aetherflow.runs.crash_recovery import MOST_RECOVERIES, end_as_failed
from aetherflow.runs.execute_run import ClaimPrecondition, ObserverSpec, execute_run
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.runs.run_request import RunRequest
from aetherflow.runs.run_ticket import Refusal, RunControl, RunReport, RunTicket
from aetherflow.spec.flow import OnCrash
from aetherflow.store.database_pool import DatabasePool

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle

ObserverSpecs = Callable[[RunTicket, CheckedFlow], Sequence[ObserverSpec]]
Load = Callable[[RunTicket, Mapping[str, str], "OpenBundle | None"], CheckedFlow]

LOADING_THREADS = 8
"""How many flows are read at a time; one whose secrets provider hangs keeps no more than its own thread."""


def load_flow_of(ticket: RunTicket, process_env: Mapping[str, str], bundle: OpenBundle | None) -> CheckedFlow:
    """Read and check the flow of a ticket, with an environment of its own; `bundle` is the one it is in.

    Raises:
        InvalidInput: the flow is wrong.
        ConfigError: a setting, the profiles file or the secrets provider cannot be used.
    """
    flow = ticket.flow_file if bundle is None else bundle.flow_file(ticket.flow_file)
    checked = load_checked_flow(flow, process_env, bundle)
    checked.raise_if_invalid()
    return checked


class RunHost:
    """Executes runs beside each other in this process; `execute` is what a `Runner` needs.

    Attributes:
        states: the open state databases; whoever needs one of them in this process uses it from here.
    """

    def __init__(
        self,
        *,
        load: Load = load_flow_of,
        observers: ObserverSpecs = lambda _ticket, _examined: (),
        guard: Callable[[RunTicket], ClaimPrecondition | None] = lambda _ticket: None,
        on_crash: OnCrash = "resume",
        pools: Mapping[str, int] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take how a flow is loaded (in a thread), who watches a run and what guards it.

        `on_crash` is for flows that do not say it; every database that is opened has the `pools`.
        """
        self.states = DatabasePool(pools, clock)
        self._load = load
        self._watchers = observers
        self._guard = guard
        self._on_crash = on_crash
        self._clock = clock or SystemClock()
        self._loading = anyio.CapacityLimiter(LOADING_THREADS)

    async def execute(
        self, ticket: RunTicket, control: RunControl, started: Callable[[], Awaitable[None]]
    ) -> RunReport | Refusal:
        """Load the flow as it is now, and run it, or go on with its run; a bundle is synced first.

        Raises:
            AetherFlowError: the run could not be begun, or its state not be kept.
        """
        if ticket.bundle_manifest is None:
            return await self._execute(ticket, control, started, None)
        from aetherflow.runs.bundle_sync import open_bundle  # noqa: PLC0415 - only for bundles

        with await open_bundle(
            ticket.bundle_manifest,
            dict(os.environ),
            allow_stale=ticket.allow_stale_bundle,
            clock=self._clock,
        ) as bundle:
            return await self._execute(ticket, control, started, bundle)

    async def _execute(
        self,
        ticket: RunTicket,
        control: RunControl,
        started: Callable[[], Awaitable[None]],
        bundle: OpenBundle | None,
    ) -> RunReport | Refusal:
        checked = await anyio.to_thread.run_sync(
            self._load, ticket, dict(os.environ), bundle, abandon_on_cancel=True, limiter=self._loading
        )
        if control.is_cancelled:
            return Refusal(ticket.run_id, control.reason, "AF653")
        request = _request(ticket)
        if ticket.is_recovery:
            policy = checked.plan.flow.on_crash or self._on_crash
            if policy == "leave":
                reason = "its server died; it is left as it is (on_crash: leave)"
                state = ticket.state or run_paths_of(checked, ticket.params).state
                hint = f"{retry_command(ticket.run_id, state)} goes on with it"
                return Refusal(ticket.run_id, reason, "AF657", hint)
            ended = await end_as_failed(
                self.states,
                checked,
                request,
                self._clock,
                at_least=0 if policy == "fail" else MOST_RECOVERIES,
            )
            if ended is not None:
                await started()
                return ended
        observers = [
            ObserverSpec("beginning", partial(_Beginning, started)),
            *self._watchers(ticket, checked),
        ]
        return await execute_run(
            checked,
            request,
            observers,
            states=self.states,
            control=control,
            clock=self._clock,
            guard=self._guard(ticket),
        )


class _Beginning:
    """Tells that the first events of a run are durable."""

    def __init__(self, started: Callable[[], Awaitable[None]]) -> None:
        self._started: Callable[[], Awaitable[None]] | None = started

    async def __call__(self, events: Sequence[Event]) -> None:
        del events
        started, self._started = self._started, None
        if started is not None:
            await started()

    async def aclose(self) -> None:
        """Do nothing."""


def _request(ticket: RunTicket) -> RunRequest:
    at = ticket.scheduled_at
    return RunRequest(
        run_id=ticket.run_id,
        flow_job=ticket.flow_job,
        params=ticket.params,
        state=ticket.state,
        origin="serve",
        scheduled_at=at.isoformat().replace("+00:00", "Z") if at else "",
        is_recovery=ticket.is_recovery,
    )
