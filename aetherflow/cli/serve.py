"""`aetherflow serve` and `aetherflow scheduler run`: run the flows of scheduler files when they are due."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from aetherflow.cli.observers import ShowOptions, chosen_observers, print_lost_output
from aetherflow.cli.options import Events, LogFormat, StateOfScheduler
from aetherflow.cli.printing import print_note
from aetherflow.errors import UsageError
from aetherflow.event_loop import run_loop
from aetherflow.server.open_server import Server
from aetherflow.server.server import ServeRequest
from aetherflow.server.server import serve as run_server
from aetherflow.server.server_settings import server_environment

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[SCHEDULER.yaml]...", help="The scheduler files.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a file with items whose flow is missing or wrong.")
]
ServerDebug = Annotated[bool, typer.Option("--debug", help="Also show debug records.")]


def serve(
    *,
    files: Files = None,
    state: StateOfScheduler = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: ServerDebug = False,
    strict: Strict = False,
) -> int:
    """Run the flows of scheduler files when they are due. SIGTERM or Ctrl-C stops it; SIGHUP reloads it."""
    if not files:
        raise UsageError(
            "name what to serve: aetherflow serve SCHEDULER.yaml",
            hint="a scheduler file says what runs when: aetherflow help schedules",
        )
    gc.enable()
    request = ServeRequest(files=tuple(files), state=state, strict=strict)
    return run_loop(_serve, request, ShowOptions(events, log_format, debug))


def serve_one(
    *,
    file: Annotated[Path, typer.Argument(metavar="SCHEDULER.yaml", help="The scheduler file.")],
    state: StateOfScheduler = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: ServerDebug = False,
    strict: Strict = False,
) -> int:
    """Run the flows of a scheduler file when they are due. The same as `aetherflow serve FILE`."""
    return serve(files=[file], state=state, events=events, log_format=log_format, debug=debug, strict=strict)


async def _serve(request: ServeRequest, show: ShowOptions) -> int:
    settings = server_environment(request.files, os.environ, warn=print_note).settings
    observers = await chosen_observers(show, settings, many_runs=True, in_order=True)
    names = ", ".join(map(str, request.files))
    detached: dict[str, str] = {}

    def on_ready(server: Server) -> None:
        nonlocal detached
        detached = server.bus.detached
        print_note(f"serving {names} on {server.database.path}")

    code = await run_server(request, observers, on_ready=on_ready)
    print_lost_output(detached)
    return code
