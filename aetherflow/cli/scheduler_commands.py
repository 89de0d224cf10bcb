"""`aetherflow scheduler next|simulate|status`: show future and past firings of scheduler files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from aetherflow.admin.forecast import Forecast, next_firings, simulate, zone_of
from aetherflow.admin.state_path import refuse_missing
from aetherflow.cli import completers
from aetherflow.cli.item_words import item_words, wrong_file
from aetherflow.cli.options import Json, StateOfScheduler
from aetherflow.cli.printing import print_line, print_note
from aetherflow.cli.report import print_long_report, print_report
from aetherflow.cli.scheduler_backfill import described
from aetherflow.cli.server_words import server_words
from aetherflow.cli.state_access import ask_state
from aetherflow.clock import SystemClock
from aetherflow.errors import AetherFlowError
from aetherflow.observe.time_words import distance
from aetherflow.schedule.instant_text import parse_instant, utc_text
from aetherflow.schedule.item import Schedule
from aetherflow.server.in_force import ask_file, state_path_asked
from aetherflow.server.schedule_files import load_schedule
from aetherflow.server.scheduler_status import SchedulerStatus
from aetherflow.server.server_settings import state_path_of
from aetherflow.store.filesystem import is_missing
from aetherflow.store.pauses import Pause

MOST_MISSING = 10
"""How many items without a flow are named; `aetherflow validate FILE` shows them all."""

OneFile = Annotated[Path, typer.Argument(metavar="SCHEDULER.yaml", help="The scheduler file.")]


def show_next(
    *,
    file: OneFile,
    count: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="The number of firings.")] = 10,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Show the next firings of a scheduler file."""
    now = SystemClock().now()
    schedule = _schedule(file, state)
    path = state_path_of([schedule], state, os.environ)
    found = next_firings(schedule, now, count, _pauses(path, schedule))
    _print_forecasts("scheduler.next", found, as_json=json, nothing="no item fires again", now=now)
    _print_notes(schedule)


def show_simulation(
    *,
    file: OneFile,
    begin: Annotated[str, typer.Option("--from", metavar="DATE[TIME]", help="The beginning of the period.")],
    end: Annotated[
        str, typer.Option("--to", metavar="DATE[TIME]", help="The end of the period (exclusive).")
    ],
    item: Annotated[
        list[str] | None,
        typer.Option(
            "--item",
            metavar="ITEM",
            help="Only this item; repeatable.",
            autocompletion=completers.items_of_argument,
        ),
    ] = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Show every firing of a period. With DST, calendars, and overlaps if runs take as long as they did."""
    schedule = _schedule(file, state)
    zone = zone_of(schedule)
    path = state_path_of([schedule], state, os.environ)
    durations: dict[str, list[float]] = {}
    if not is_missing(path):
        durations = ask_state(path, lambda ask: ask.run_seconds(schedule))
    period = parse_instant(begin, zone), parse_instant(end, zone)
    found = simulate(schedule, *period, durations, item or [], _pauses(path, schedule))
    _print_forecasts("scheduler.simulate", found, as_json=json, nothing="no item fires in that period")
    _print_notes(schedule)


def _pauses(path: Path, schedule: Schedule) -> list[Pause]:
    """Return the pauses of a schedule; none if there is no state database."""
    return [] if is_missing(path) else ask_state(path, lambda ask: ask.pauses(schedule))


def _schedule(file: Path, state: Path | None) -> Schedule:
    """Return a scheduler file; of one that is wrong, with a note, the version that a server has in force.

    Raises:
        AetherFlowError: the file is wrong, and no server has it in force.
    """
    try:
        return load_schedule(file)
    except AetherFlowError:
        asked = ask_file(file)
        path = state_path_asked(asked, state, os.environ)
        (found,) = ask_state(path, lambda ask: ask.in_force(asked))
        if found.schedule is None:
            raise
        print_note(wrong_file(found.problem_text))
        return found.schedule


def _print_notes(schedule: Schedule) -> None:
    """Note the items that fire when the machine has booted, and those whose flow does not exist."""
    names = [item.id for item in schedule.enabled if item.table.trigger.at_boot]
    if names:
        print_note(f"at the next boot: {', '.join(names)}")
    missing = [item for item in schedule.enabled if item.missing]
    if missing:
        names = [item.id for item in missing[:MOST_MISSING]]
        more = f" and {len(missing) - len(names)} more" if len(missing) > len(names) else ""
        print_note(f"their flow or manifest does not exist: {', '.join(names)}{more}")


def show_status(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SCHEDULER.yaml]", help="The scheduler file; default: the files that servers serve."
        ),
    ] = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Show servers and items. The last firing and its outcome, the next, what runs and waits."""
    asked = ask_file(file) if file is not None else None
    path = state_path_asked(asked, state, os.environ)
    is_new = state is None and is_missing(path)
    if not is_new:
        refuse_missing(path, "a server creates it; name another one: --state FILE")
    found = [] if is_new else ask_state(path, lambda ask: ask.schedulers(asked))
    if json:
        print_report("scheduler.status", {"state": path, "schedulers": found})
        return
    if is_new:
        print_line(f"no item has run yet: there is no state database {path}")
    elif not found:
        print_line(f"no server uses {path}")
        print_note("aetherflow scheduler status SCHEDULER.yaml shows what its items did")
    for one in found:
        _print_status(one, SystemClock().now())


def _print_forecasts(
    command: str, found: Iterable[Forecast], *, as_json: bool, nothing: str, now: datetime | None = None
) -> None:
    """Print firings as they come; with `now`, how far each is from it."""
    if as_json:
        print_long_report(command, "firings", found)
        return
    is_empty = True
    for one in found:
        is_empty = False
        noted = f"  ({'; '.join(one.notes)})" if one.notes else ""
        runs = "" if one.runs else "not run: "
        away = f"  {distance(one.scheduled, now)}" if now else ""
        print_line(f"{one.local}  {utc_text(one.scheduled)}  {runs}{one.item}{away}{noted}")
    if is_empty:
        print_note(nothing)


def _print_status(one: SchedulerStatus, now: datetime) -> None:
    print_line(f"{one.scheduler}" + (f" ({one.file})" if one.file != one.scheduler else ""))
    zone = next((item.zone for item in one.items if item.zone), None)
    for server in one.servers:
        print_line(f"  server {server.server}: {server_words(server, zone, now)}")
    if not one.servers:
        print_line("  no server")
    if one.problem:
        is_served = any(server.validity == "live" for server in one.servers)
        print_line(f"  {wrong_file(one.problem, is_served=is_served)}")
    for backfill in one.backfills:
        print_line(f"  backfill {backfill.backfill}: {described(backfill)}")
    for item in one.items:
        print_line(f"  {item.item}: {', '.join(item_words(item, now))}")
