"""Resume the runs that a dead server left, once the clocks of the servers are compared.

Whether a server is dead is read from its leases: by a wrong clock all of them have run out.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import msgspec

from aetherflow.errors import AetherFlowError, StateError
from aetherflow.runs.crash_recovery import recovery_tickets
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from aetherflow.scheduler.repeated_work import AGAIN_SECONDS
from aetherflow.server.firing_runs import first_error
from aetherflow.server.open_server import Server
from aetherflow.store.firings import firing_of_run
from aetherflow.working_directory import absolute


async def recover_runs(server: Server) -> None:
    """Submit the runs of dead servers as soon as this one decides and can read them; then end.

    A database that fails for a while is tried again; the scheduler, which needs it too, reports it.
    """
    submitted: set[str] = set()
    while True:
        with suppress(StateError):
            if not server.scheduler.standby.why():
                await _submit(server, submitted)
                return
        await server.clock.sleep(AGAIN_SECONDS)


async def _submit(server: Server, submitted: set[str]) -> None:
    """Submit the runs that are not among those `submitted`, each once.

    The runs of firings are not among them: the server of their file takes them over with the firings.

    Raises:
        StateError: the database cannot be used.
    """
    for ticket in await recovery_tickets(server.states, server.database.path, server.clock):
        if ticket.run_id in submitted:
            continue
        if await server.database.read(partial(firing_of_run, run_id=ticket.run_id)) is None:
            submitted.add(ticket.run_id)
            try:
                await server.run_pool.submit(_of_alert(server, ticket), _Resumed(server))
            except AetherFlowError as error:
                server.report(error.message)


def _of_alert(server: Server, ticket: RunTicket) -> RunTicket:
    """Return the ticket; a run of a scheduler file is one of `on_late` steps, and waits for no usual slot."""
    files = {absolute(one.file) for one in server.scheduler.schedules.values()}
    return msgspec.structs.replace(ticket, is_alert=absolute(ticket.flow_file) in files)


class _Resumed(msgspec.Struct, frozen=True, eq=False):
    """Reports that a run cannot be resumed; how one ends is reported by its own events."""

    server: Server

    async def on_change(
        self,
        ticket: RunTicket,
        status: TicketStatus,  # noqa: ARG002 - the report has the outcome
        report: RunReport | Refusal | None,
    ) -> None:
        """Report a refusal, unless another process has the run or has ended it."""
        match report:
            case None | RunReport() | Refusal(kind="run_in_use" | "run_ended" | "server_stopping"):
                return
            case Refusal():
                why = first_error(report) if report.diagnostics else report.reason
                message = f"run {ticket.run_id}, which a dead server left, is not resumed: {why}"
                self.server.report(message, level="warning", code=report.code)
