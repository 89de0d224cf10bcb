"""Drain a server that stops: let its runs end, and show until when they may take and what follows.

It is shown in the log, in the state database (for `scheduler status`) and to systemd.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import anyio

from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.observe.event_text import moment
from aetherflow.runs.run_pool import CANCEL_SECONDS, FORCE_SECONDS, FORCES, RunningRun
from aetherflow.runs.stop_notices import advice_for
from aetherflow.server.open_server import Server, run_last_work

LOOK_SECONDS = 1.0
"""How often systemd gets to know how many runs are left, if that has changed."""

SPARE_SECONDS = 15.0
"""How long a server takes at most to close everything when its runs have ended."""


async def drain(server: Server, number: int) -> None:
    """Let the runs end; after `shutdown_grace_seconds` cancel them, or leave them to the next server.

    `number` is the signal that asked for it.
    """
    grace, running = server.settings.shutdown_grace_seconds, server.run_pool.running()
    until = server.clock.now() + timedelta(seconds=grace)
    seconds = grace + CANCEL_SECONDS + FORCES * FORCE_SECONDS + SPARE_SECONDS
    server.notifier.send(
        "STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={_status(running, until)}"
    )
    say(server, _beginning(running, grace, until, advice_for(number).again))
    async with anyio.create_task_group() as showing:
        if running:
            showing.start_soon(_show, server, until, server.clock.monotonic() + grace)
        await server.run_pool.drain(grace)
        showing.cancel_scope.cancel()
    server.notifier.send(f"STATUS={_status([], None)}")


async def _show(server: Server, until: datetime, over: float) -> None:
    """Store until when the runs may take, and show how many are left and that the time is over."""
    store = partial(server.lease.store_drain, until)
    await run_last_work(store, partial(server.report, level="warning", code="AF600"))
    shown, is_reported = "", False
    while True:
        running, is_over = server.run_pool.running(), server.clock.monotonic() >= over
        if is_over and running and not is_reported:
            is_reported = True
            say(server, f"the time is over: {what_happens(running)}")
        status = f"STATUS={_status(running, None if is_over else until)}"
        if status != shown:
            shown = status
            server.notifier.send(status)
        await server.clock.sleep(LOOK_SECONDS)


def say(server: Server, message: str) -> None:
    """Report something about the end of the server."""
    server.bus.announce(ScheduleNotice(at=server.clock.now(), scheduler="", message=message, level="info"))


def what_happens(running: Sequence[RunningRun]) -> str:
    """Return what becomes of runs that do not end in time: `2 runs are cancelled, 1 run is left to ...`."""
    left = sum(one.ticket.on_stop == "resume" for one in running)
    parts = []
    for count, what in ((len(running) - left, "cancelled"), (left, "left to the next server")):
        if count:
            parts.append(f"{_runs(count)} {'is' if count == 1 else 'are'} {what}")
    return ", ".join(parts) or "nothing runs"


def _beginning(running: Sequence[RunningRun], grace: float, until: datetime, again: str) -> str:
    if not running:
        return "the server stops: nothing runs"
    if not grace:
        return f"the server stops: {what_happens(running)}; {again} kills the programs at once"
    return (
        f"the server stops: {_runs(len(running))} may take {grace:g} s to end, until {moment(until)}, "
        f"then {what_happens(running)}; {again} does it at once and kills the programs"
    )


def _status(running: Sequence[RunningRun], until: datetime | None) -> str:
    if not running or until is None:
        return f"stopping: {what_happens(running)}"
    return f"stopping: {_runs(len(running))} may take until {moment(until)}"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
