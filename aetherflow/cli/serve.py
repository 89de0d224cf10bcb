"""`aetherflow serve`: the observers that the options ask for, and the server."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from pathlib import Path

import anyio
import msgspec

from aetherflow.cli.output import say
from aetherflow.config.environment import load_environment
from aetherflow.errors import UsageError
from aetherflow.observe.log import LogObserver
from aetherflow.observe.sink import Sink
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.server.server import ServeRequest
from aetherflow.server.server import serve as run_server


class ServeOptions(msgspec.Struct, frozen=True):
    """The options of the command as they were typed."""

    files: tuple[Path, ...]
    state: Path | None
    events: str
    log_format: str
    debug: bool


def serve(options: ServeOptions) -> int:
    """Serve until a signal, and return the exit code.

    Raises:
        AetherFlowError: the server could not begin.
    """
    if not options.files:
        raise UsageError(
            "name what to serve: aetherflow serve SCHEDULER.yaml",
            hint="a scheduler file says what runs when; see README, «Schedules»",
        )
    gc.enable()
    return anyio.run(_serve, options)


async def _serve(options: ServeOptions) -> int:
    observers = await chosen_observers(options.log_format, options.events, debug=options.debug)
    names = ", ".join(map(str, options.files))
    request = ServeRequest(files=options.files, state=options.state)
    return await run_server(
        request, observers, on_ready=lambda server: say(f"serving {names} on {server.database.path}")
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
