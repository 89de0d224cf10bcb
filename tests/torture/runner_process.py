"""A server's runner without its scheduler, as a process that a test may kill.

    python -m tests.torture.runner_process SLOTS [FLOW RUN_ID]...

It resumes what a dead one left behind, runs the flows, prints every change as a JSON line, and ends when
nothing is left. FLOW may be a bundle's manifest `bundle.yaml`: then it is the bundle's entry flow.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from aetherflow.clock import SystemClock
from aetherflow.config.environment import load_environment
from aetherflow.runs.crash_recovery import recovery_tickets
from aetherflow.runs.run_host import RunHost
from aetherflow.runs.run_pool import RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus


class Printer:
    """Prints each change of a ticket, a line at a time."""

    async def on_change(
        self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Print it."""
        change = {"run_id": ticket.run_id, "status": status, "report": report}
        sys.stdout.write(msgspec.json.encode(change).decode() + "\n")
        sys.stdout.flush()


def complain(problem: str) -> None:
    """Print what went wrong."""
    sys.stderr.write(problem)


def ticket_for(file: Path, run_id: str) -> RunTicket:
    """Return what the runner is asked to do for a flow, or a bundle's entry flow."""
    if file.name == "bundle.yaml":
        return RunTicket(run_id=run_id, flow_file=Path(), bundle_manifest=file)
    return RunTicket(run_id=run_id, flow_file=file)


async def main(slots: int, wanted: list[tuple[str, str]]) -> None:
    """Run everything to its end."""
    host, clock = RunHost(), SystemClock()
    state = load_environment(dict(os.environ)).settings.state_root / "aetherflow.sqlite"
    run_pool = RunPool(
        host.execute,
        max_parallel_runs=slots,
        observer=Printer(),
        on_problem=complain,
    )
    async with host.states.use(state), anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        for ticket in await recovery_tickets(host.states, state, clock):
            await run_pool.submit(ticket)
        for flow, run_id in wanted:
            await run_pool.submit(ticket_for(Path(flow), run_id))
        await run_pool.idle()
        await run_pool.drain(0)


if __name__ == "__main__":
    faulthandler.enable()
    names = sys.argv[2:]
    anyio.run(main, int(sys.argv[1]), list(zip(names[::2], names[1::2], strict=True)))
