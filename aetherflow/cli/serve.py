"""`aetherflow serve` and `aetherflow scheduler run`: run the flows of scheduler files when they are due."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from aetherflow.cli.options import Events, LogFormat, StateOfScheduler
from aetherflow.cli.printing import print_note
from aetherflow.config.environment import load_environment
from aetherflow.errors import UsageError
from aetherflow.observe.log import LogObserver
from aetherflow.observe.sink import Sink
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.server.server import ServeRequest
from aetherflow.server.server import serve as run_server

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[SCHEDULER.yaml]...", help="The scheduler files.")
]
ServerDebug = Annotated[bool, typer.Option("--debug", help="Also show debug records.")]


def serve(
    *,
    files: Files = None,
    state: StateOfScheduler = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: ServerDebug = False,
) -> int:
    """Run the flows of scheduler files when they are due. SIGTERM or Ctrl-C ends it."""
    if not files:
        raise UsageError(
            "name what to serve: aetherflow serve SCHEDULER.yaml",
            hint="a scheduler file says what runs when; see aetherflow help schedules",
        )
    gc.enable()
    request = ServeRequest(files=tuple(files), state=state)
    return anyio.run(_serve, request, log_format, events, debug)


def serve_one(
    *,
    file: Annotated[Path, typer.Argument(metavar="SCHEDULER.yaml", help="The scheduler file.")],
    state: StateOfScheduler = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: ServerDebug = False,
) -> int:
    """Run the flows of a scheduler file when they are due. The same as `aetherflow serve FILE`."""
    return serve(files=[file], state=state, events=events, log_format=log_format, debug=debug)


async def _serve(request: ServeRequest, log_format: str, events: str, debug: bool) -> int:  # noqa: FBT001 - anyio.run
    observers = await chosen_observers(log_format, events, debug=debug)
    names = ", ".join(map(str, request.files))
    return await run_server(
        request, observers, on_ready=lambda server: print_note(f"serving {names} on {server.database.path}")
    )


async def chosen_observers(log_format: str, events: str = "", *, debug: bool = False) -> list[ObserverSpec]:
    """Return who shows what happens: the log, as text on standard error or JSON on standard output.

    Raises:
        UsageError: the options contradict each other, or a file cannot be opened.
    """
    if log_format not in ("", "text", "json"):
        raise UsageError(f"--log-format {log_format}: it is text or json")
    settings = load_environment(os.environ).settings
    is_json = (log_format or settings.log_format) == "json"
    if events == "-" and is_json:
        raise UsageError(
            "--events - and the JSON log would both write to standard output", hint="give --events a file"
        )
    level = "debug" if debug else settings.log_level.lower()
    level = "error" if level == "critical" else level  # no event is graver than an error
    if is_json:
        log = partial(LogObserver, sys.stdout, sink=Sink(), format="json", level=level)
    else:
        log = partial(LogObserver, sys.stderr, sink=Sink(), format="text", level=level, many_runs=True)
    chosen = [ObserverSpec("log", log, "wait")]
    if events:
        from aetherflow.observe.event_stream import EventStreamObserver  # noqa: PLC0415 - rarely asked for

        stream = EventStreamObserver("-" if events == "-" else Path(events))
        await stream.open()
        chosen.append(ObserverSpec("events", stream.join, "wait"))
    return chosen
