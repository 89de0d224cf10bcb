"""`aetherflow scheduler fire`: fire an item of a scheduler file by hand."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from aetherflow import exit_codes
from aetherflow.cli import completers
from aetherflow.cli.item_words import local_time, wrong_file
from aetherflow.cli.metrics_options import metrics_file as adding_metrics
from aetherflow.cli.observers import ShowOptions, chosen_observers
from aetherflow.cli.options import (
    Json,
    LogFormat,
    MetricsFile,
    ParamsOfItem,
    PlainLines,
    SchedulerFile,
    StateOfScheduler,
    split_param,
)
from aetherflow.cli.printing import print_line, print_note
from aetherflow.cli.report import print_report
from aetherflow.cli.serve import ServerDebug
from aetherflow.errors import UsageError
from aetherflow.event_loop import run_loop
from aetherflow.observe.event_text import one_line
from aetherflow.observe.time_words import in_zone
from aetherflow.server.fire_now import Fired, fire
from aetherflow.server.server_settings import server_environment
from aetherflow.stop_signals import end_with

EXIT_CODES = {
    "SUCCESS": exit_codes.SUCCESS,
    "FAILED": exit_codes.FAILURE,
    "CANCELLED": exit_codes.of_signal(signal.SIGINT),
    "SKIPPED": exit_codes.HELD,
}


def fire_item(
    *,
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM", help="The id of the item, or FILE_ID/ITEM.", autocompletion=completers.items
        ),
    ],
    file: SchedulerFile = None,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="DATE[TIME]", help="The scheduled time that it has, in the past; default: now."
        ),
    ] = "",
    param: ParamsOfItem = None,
    state: StateOfScheduler = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run it in this process, even if a server is running.")
    ] = False,
    log_format: LogFormat = "",
    metrics_file: MetricsFile = "",
    plain: PlainLines = False,
    debug: ServerDebug = False,
    json: Json = False,
) -> int:
    """Fire an item now. Its times, calendar and dependencies are ignored; its overlap rule applies.

    With `--at` the run has the dates of that time. If that is a tick that has failed, its run is resumed; one
    that has succeeded is not repeated.
    """
    params = [split_param(text) for text in param or []]
    show = ShowOptions(
        log_format=log_format, debug=debug, report=json, metrics_file=metrics_file, plain=plain
    )
    if metrics_file and not here:
        raise UsageError(
            "--metrics-file needs --here: a server runs the item, and serves its metrics",
            hint="add --here, or scrape the server: aetherflow help monitoring",
        )

    async def do() -> Fired:
        settings = server_environment([file] if file else [], os.environ).settings
        if not here:
            fired = await fire(item, file, state, here=False, at=at, params=params)
        else:
            async with adding_metrics(show, settings) as metrics:
                observers = [*await chosen_observers(show, settings, many_runs=True), *metrics]
                fired = await fire(item, file, state, here=True, at=at, params=params, observers=observers)
        end_with(_exit_code(fired))
        return fired

    fired = run_loop(do)
    code = _exit_code(fired)
    if fired.problem:
        print_note(wrong_file(fired.problem))
    if fired.paused:
        print_note(one_line(f"{fired.item} is {fired.paused}; a firing by hand runs all the same"))
    if not fired.is_tick:
        time = local_time(fired.scheduled_at, fired.zone)
        shows = f"aetherflow scheduler explain {fired.item} DATE shows its ticks"
        print_note(f"{time} is no tick of {fired.item}: a backfill does not count this run ({shows})")
    if json:
        print_report("scheduler.fire", fired, code=code)
    elif fired.outcome in ("QUEUED", "WAITING"):
        why = f"; it waits: {in_zone(fired.reason, fired.zone)}" if fired.reason else ""
        of_time = f" of {local_time(fired.scheduled_at, fired.zone)}" if at else ""
        print_line(f"{fired.item}: run {fired.run_id}{of_time} was accepted by {fired.server}{why}")
    else:
        why = in_zone(fired.reason, fired.zone)
        of_run = f" (run {fired.run_id})" if fired.run_id else ""
        print_line(f"{fired.item}: {fired.outcome}{of_run}" + (f": {why}" if why else ""))
    return code


def _exit_code(fired: Fired) -> int:
    if fired.outcome == "CANCELLED" and fired.received is not None:
        return exit_codes.of_signal(fired.received)
    return EXIT_CODES.get(fired.outcome, exit_codes.SUCCESS)
