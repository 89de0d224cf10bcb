"""`aetherflow serve` and `aetherflow scheduler run`: run the flows of scheduler files when they are due."""

from __future__ import annotations

import gc
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aetherflow.cli.observers import ShowOptions, chosen_observers, print_lost_output
from aetherflow.cli.options import Events, LogFormat, PlainLines, StateOfScheduler
from aetherflow.cli.printing import print_note
from aetherflow.errors import UsageError
from aetherflow.event_loop import run_loop
from aetherflow.runs.ports import ObserverSpec
from aetherflow.server.open_server import Server
from aetherflow.server.server import SERVICES, ServeRequest
from aetherflow.server.server import serve as run_server
from aetherflow.server.server_settings import server_environment

if TYPE_CHECKING:
    from aetherflow.server.metrics_service import MetricsService

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[SCHEDULER.yaml]...", help="The scheduler files.")
]
Metrics = Annotated[
    str,
    typer.Option(
        "--metrics",
        help="Serve metrics for Prometheus there; a port alone: to this machine only.",
        metavar="[HOST:]PORT",
    ),
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
    metrics: Metrics = "",
    plain: PlainLines = False,
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
    return run_loop(_serve, request, ShowOptions(events, log_format, debug, plain=plain), metrics)


def serve_one(
    *,
    file: Annotated[Path, typer.Argument(metavar="SCHEDULER.yaml", help="The scheduler file.")],
    state: StateOfScheduler = None,
    events: Events = "",
    log_format: LogFormat = "",
    metrics: Metrics = "",
    plain: PlainLines = False,
    debug: ServerDebug = False,
    strict: Strict = False,
) -> int:
    """Run the flows of a scheduler file when they are due. The same as `aetherflow serve FILE`."""
    return serve(
        files=[file],
        state=state,
        events=events,
        log_format=log_format,
        metrics=metrics,
        plain=plain,
        debug=debug,
        strict=strict,
    )


async def _serve(request: ServeRequest, show: ShowOptions, metrics: str) -> int:
    settings = server_environment(request.files, os.environ, warn=print_note).settings
    observers = await chosen_observers(show, settings, many_runs=True, in_order=True)
    names = ", ".join(map(str, request.files))
    detached: dict[str, str] = {}

    def on_ready(server: Server) -> None:
        nonlocal detached
        detached = server.bus.detached
        print_note(f"serving {names} on {server.database.path}")
        if request.state is not None and server.database.path != settings.state_database:
            usual = settings.state_database
            print_note(f"--state is for the schedule: a flow without a state.path has its runs in {usual}")

    async with AsyncExitStack() as stack:
        services = list(SERVICES)
        if address := metrics or settings.metrics_address:
            service, observer = await _metrics_of(address, stack)
            services.append(service.run)
            observers.append(observer)
        code = await run_server(request, observers, services=services, on_ready=on_ready)
    print_lost_output(detached)
    return code


async def _metrics_of(address: str, stack: AsyncExitStack) -> tuple[MetricsService, ObserverSpec]:
    """Listen on the address, and return the service for it and its observer.

    Raises:
        UsageError: it is no address, or cannot be listened on.
        MissingExtra: the library prometheus-client is not installed.
    """
    from aetherflow.observe.metric_fold import MetricsFold  # noqa: PLC0415 - few servers have metrics
    from aetherflow.server.metrics_address import listening, read_address  # noqa: PLC0415 - as above
    from aetherflow.server.metrics_service import MetricsService  # noqa: PLC0415 - as above

    found = await stack.enter_async_context(listening(read_address(address)))
    fold = MetricsFold()
    return MetricsService(found, fold), ObserverSpec("metrics for Prometheus", lambda: fold, "drop")
