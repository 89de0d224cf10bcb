"""`aetherflow scheduler history|explain`: what became of past ticks, and why."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from aetherflow.admin.explain_tick import TickExplanation
from aetherflow.admin.forecast import zone_of
from aetherflow.admin.item_history import OUTCOMES, HistoryEntry
from aetherflow.admin.state_path import refuse_missing
from aetherflow.cli import completers
from aetherflow.cli.item_words import local_time, wrong_file
from aetherflow.cli.options import Json, SchedulerFile, StateOfScheduler
from aetherflow.cli.printing import print_line, print_note
from aetherflow.cli.report import print_long_report, print_report
from aetherflow.cli.state_access import ask_state
from aetherflow.clock import SystemClock
from aetherflow.errors import UsageError
from aetherflow.observe.event_text import duration
from aetherflow.observe.time_words import in_zone
from aetherflow.schedule.instant_text import parse_past
from aetherflow.server.in_force import AskedFile, ask_file, first_problem, state_path_asked
from aetherflow.store.filesystem import is_missing


def show_history(
    *,
    item: Annotated[
        str,
        typer.Argument(
            metavar="[ITEM]",
            help="The id of the item, or FILE_ID/ITEM; default: all.",
            autocompletion=completers.items,
        ),
    ] = "",
    file: SchedulerFile = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="A date, an instant, yesterday, today, or an age: 36h, 7d.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="The end of the period (exclusive).")] = "",
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME",
            help="Only this outcome, such as FAILED, MISSED or CLOSED; repeatable.",
            autocompletion=completers.outcomes,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="The newest so many.")] = 50,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Show what became of every tick, and why. The newest comes last; closed days are included."""
    chosen = [one.upper() for one in outcome or []]
    if wrong := next((one for one in chosen if one not in OUTCOMES), ""):
        raise UsageError(f"there is no outcome {wrong!r}", hint=f"the outcomes are {', '.join(OUTCOMES)}")
    asked, path = _asked(file, state)
    is_new = state is None and is_missing(path)
    now = SystemClock().now()
    zone = zone_of(asked.schedule) if asked and asked.schedule else ZoneInfo("UTC")
    period: list[str] = []

    def read_period(own: ZoneInfo | None) -> tuple[datetime | None, ...]:
        at = [parse_past(text, own or zone, now) if text else None for text in (since, until)]
        if at[0] is not None and at[1] is not None and at[1] <= at[0]:
            raise UsageError("--until is not later than --since", hint="give an instant after --since")
        words = ("since", "until")
        period[:] = [
            f" {word} {local_time(one, (own or zone).key)}"
            for word, one in zip(words, at, strict=True)
            if one is not None
        ]
        return tuple(at)

    found = []
    if not is_new:
        _refuse_missing(path)
        found = ask_state(path, lambda ask: ask.schedule_history(asked, item, read_period, chosen, limit))
    _note_wrong(asked)
    if json:
        print_long_report("scheduler.history", "firings", found)
        return
    if is_new:
        print_note(f"no item has run yet: there is no state database {path}")
        return
    _print_entries(found, limit)
    if not found:
        outcomes = f" with the outcome {' or '.join(chosen)}" if chosen else ""
        print_note(f"no tick of {item or 'any item'} is known{''.join(period)}{outcomes}")


def _print_entries(found: list[HistoryEntry], limit: int) -> None:
    for one in found:
        print_line(_line(one))
    if len(found) == limit:
        print_note(f"the newest {limit}; --limit shows more")
    if any(one.zone is None for one in found):
        print_note(
            "items that no server serves now are shown in UTC, without the days that a calendar closed"
        )


def explain_time(
    *,
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM", help="The id of the item, or FILE_ID/ITEM.", autocompletion=completers.items
        ),
    ],
    time: Annotated[
        str,
        typer.Argument(
            metavar="TIME", help="A local time or an instant; a date, yesterday or today: each tick of it."
        ),
    ],
    file: SchedulerFile = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Explain why an item ran, or did not run, at a time. A date alone explains each tick of that day."""
    asked, path = _asked(file, state)
    _refuse_missing(path)
    found = ask_state(path, lambda ask: ask.explain_tick(asked, item, time))
    _note_wrong(asked)
    if json:
        print_report("scheduler.explain", {"item": item, "ticks": found})
        return
    for number, one in enumerate(found):
        _print_explanation(one, is_last=number == len(found) - 1)


def _asked(file: Path | None, state: Path | None) -> tuple[AskedFile | None, Path]:
    asked = ask_file(file) if file is not None else None
    return asked, state_path_asked(asked, state, os.environ)


def _refuse_missing(path: Path) -> None:
    refuse_missing(path, "a server creates it; name another one: --state FILE")


def _note_wrong(asked: AskedFile | None) -> None:
    if asked is not None and asked.error is not None:
        print_note(wrong_file(first_problem(asked.error), is_served=False))


def _line(one: HistoryEntry) -> str:
    parts = [f"{one.local}  {one.item}  {one.outcome}"]
    parts += [f"run {one.run_id}"] if one.run_id else []
    parts += [one.cause] if one.cause != "tick" else []
    zone = one.zone or "UTC"
    parts += [in_zone(one.reason, zone)] if one.reason else []
    parts += [f"{one.ticks} ticks"] if one.ticks > 1 else []
    parts += [f"lag {duration(one.lag_seconds)}"] if one.lag_seconds is not None else []
    parts += [f"took {duration(one.duration_seconds)}"] if one.duration_seconds is not None else []
    parts += [f"{alert.kind}: {in_zone(alert.message, zone)}" for alert in one.alerts]
    return "  ".join(parts)


def _print_explanation(one: TickExplanation, *, is_last: bool) -> None:
    print_line(f"{one.local}  {one.answer}")
    for detail in one.details:
        print_line(f"    {detail}")
    if is_last:
        print_line(f"    the tick before: {one.before or 'none'}; the tick after: {one.after or 'none'}")
