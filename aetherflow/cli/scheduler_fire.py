"""`aetherflow scheduler fire`: fire an item of a scheduler file by hand."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import anyio
import typer

from aetherflow.cli.options import Json, LogFormat, StateOfScheduler
from aetherflow.cli.printing import print_json, print_text
from aetherflow.cli.serve import ServerDebug, chosen_observers
from aetherflow.errors import HeldByAnother, UsageError
from aetherflow.server.fire_now import Fired, fire

EXIT_CODES = {"SUCCESS": 0, "FAILED": 1, "CANCELLED": 128 + signal.SIGINT, "SKIPPED": HeldByAnother.exit_code}


def fire_item(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The id of the item, or FILE_ID/ITEM.")],
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="SCHEDULER.yaml", help="Its file; default: what servers serve."),
    ] = None,
    state: StateOfScheduler = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run it in this process, whether a server runs or not.")
    ] = False,
    log_format: LogFormat = "",
    debug: ServerDebug = False,
    json: Json = False,
) -> int:
    """Fire an item now. Its times, its calendar and what it follows do not matter; the overlap rule holds."""
    if json and log_format == "json":
        raise UsageError(
            "--json and --log-format json would both write to standard output", hint="leave one of them out"
        )
    if json:
        log_format = "text"  # also where the settings say json: standard output is the report's

    async def do() -> Fired:
        observers = await chosen_observers(log_format, debug=debug) if here else []
        return await fire(item, file, state, here=here, observers=observers)

    fired = anyio.run(do)
    if json:
        print_json(fired)
    elif fired.outcome in ("QUEUED", "WAITING"):
        why = f", it waits: {fired.reason}" if fired.reason else ""
        print_text(f"{fired.item}: run {fired.run_id} is taken up by {fired.server}{why}")
    else:
        of_run = f" (run {fired.run_id})" if fired.run_id else ""
        print_text(f"{fired.item}: {fired.outcome}{of_run}" + (f": {fired.reason}" if fired.reason else ""))
    if fired.outcome == "CANCELLED" and fired.reason == signal.SIGTERM.name:
        return 128 + signal.SIGTERM
    return EXIT_CODES.get(fired.outcome, 0)
