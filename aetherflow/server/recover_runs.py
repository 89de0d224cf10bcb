"""Resume the runs that a dead server left, once the clocks of the servers are compared.

Whether a server is dead is read from its leases: by a wrong clock all of them have run out.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from aetherflow.errors import AetherFlowError, StateError
from aetherflow.runs.crash_recovery import recovery_tickets
from aetherflow.scheduler.repeated_work import AGAIN_SECONDS
from aetherflow.server.open_server import Server
from aetherflow.store.firings import firing_of_run


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
                await server.run_pool.submit(ticket)
            except AetherFlowError as error:
                server.report(error.message)
