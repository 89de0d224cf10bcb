"""Resume the runs that a dead server left, once the clocks of the servers are compared.

Whether a server is dead is read from its leases: by a wrong clock all of them have run out.
"""

from __future__ import annotations

from functools import partial

from aetherflow.errors import AetherFlowError
from aetherflow.runs.crash_recovery import recovery_tickets
from aetherflow.scheduler.repeated_work import AGAIN_SECONDS
from aetherflow.server.open_server import Server
from aetherflow.store.firings import firing_of_run


async def recover_runs(server: Server) -> None:
    """Submit the runs of dead servers as soon as this one decides; then end.

    The runs of firings are not among them: the server of their file takes them over with the firings.

    Raises:
        StateError: the database cannot be used.
    """
    while server.scheduler.standby.why():
        await server.clock.sleep(AGAIN_SECONDS)
    for ticket in await recovery_tickets(server.states, server.database.path, server.clock):
        if await server.database.read(partial(firing_of_run, run_id=ticket.run_id)) is None:
            try:
                await server.run_pool.submit(ticket)
            except AetherFlowError as error:
                server.report(error.message)
