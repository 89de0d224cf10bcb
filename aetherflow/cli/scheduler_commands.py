"""`aetherflow serve` and `aetherflow scheduler ...`: parse and call; nothing heavy is imported before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aetherflow.cli.options import Events, Json, LogFormat

scheduler_app = typer.Typer(
    help="Scheduler files: run them, look ahead, look back.", no_args_is_help=True, rich_markup_mode=None
)

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[SCHEDULER.yaml]...", help="The scheduler files.")
]
OneFile = Annotated[Path, typer.Argument(metavar="SCHEDULER.yaml", help="The scheduler file.")]
State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The scheduler's state database; default: the file's, else the usual."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Also show debug records.")]


def serve(
    *,
    files: Files = None,
    state: State = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: Debug = False,
) -> None:
    """Run the flows of scheduler files when they are due. SIGTERM or Ctrl-C ends it."""
    from aetherflow.cli import serve as command  # noqa: PLC0415 - imports the engine

    options = command.ServeOptions(tuple(files or ()), state, events, log_format, debug)
    raise typer.Exit(command.serve(options))


@scheduler_app.command("run")
def scheduler_run(
    *,
    file: OneFile,
    state: State = None,
    events: Events = "",
    log_format: LogFormat = "",
    debug: Debug = False,
) -> None:
    """Run the flows of a scheduler file when they are due. The same as `aetherflow serve FILE`."""
    serve(files=[file], state=state, events=events, log_format=log_format, debug=debug)


@scheduler_app.command("next")
def scheduler_next(
    *,
    file: OneFile,
    count: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many firings.")] = 10,
    json: Json = False,
) -> None:
    """Show the next firings of a scheduler file."""
    from aetherflow.cli import scheduling  # noqa: PLC0415 - imports the scheduler

    scheduling.show_next(file, count, as_json=json)


@scheduler_app.command("simulate")
def scheduler_simulate(
    *,
    file: OneFile,
    begin: Annotated[str, typer.Option("--from", metavar="DATE[TIME]", help="The first instant.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE[TIME]", help="The instant after the last.")],
    state: State = None,
    json: Json = False,
) -> None:
    """Show every firing of a time. DST, calendars, and overlaps if runs take as long as they did."""
    from aetherflow.cli import scheduling  # noqa: PLC0415 - imports the scheduler

    scheduling.show_simulation(file, begin, end, state, as_json=json)


@scheduler_app.command("status")
def scheduler_status(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="[SCHEDULER.yaml]", help="Default: what servers serve.")
    ] = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Show servers and items. The last firing and its outcome, the next, what runs and waits."""
    from aetherflow.cli import scheduling  # noqa: PLC0415 - imports the scheduler

    scheduling.show_status(file, state, as_json=json)


@scheduler_app.command("fire")
def scheduler_fire(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The id of the item, or FILE_ID/ITEM.")],
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="SCHEDULER.yaml", help="Its file; default: what servers serve."),
    ] = None,
    state: State = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run it in this process, whether a server runs or not.")
    ] = False,
    log_format: LogFormat = "",
    debug: Debug = False,
    json: Json = False,
) -> None:
    """Fire an item now. Its times, its calendar and what it follows do not matter; the overlap rule holds."""
    from aetherflow.cli import scheduling  # noqa: PLC0415 - imports the scheduler

    options = scheduling.FireOptions(item, file, state, here, log_format, debug, json)
    raise typer.Exit(scheduling.fire_item(options))
