"""`aetherflow scheduler pause|resume`: keep items from ticking for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio
import typer

from aetherflow.cli import completers
from aetherflow.cli.item_words import local_time
from aetherflow.cli.options import Json, SchedulerFile, StateOfScheduler
from aetherflow.cli.printing import print_line, print_note
from aetherflow.cli.report import print_report
from aetherflow.clock import SystemClock
from aetherflow.errors import UsageError
from aetherflow.observe.time_words import distance
from aetherflow.server import pause_items
from aetherflow.store.pauses import Pause

Items = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ITEM]...", help="The ids of items, or FILE_ID/ITEM.", autocompletion=completers.items
    ),
]
All = Annotated[bool, typer.Option("--all", help="All items of the file.")]


def pause_items_now(
    *,
    items: Items = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is stored with each skipped tick.")],
    all_items: All = False,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="The end: 2026-12-31T06:00, or 06:00; default: until it is resumed."
        ),
    ] = None,
    for_how_long: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long instead: 90m, 2h.")
    ] = None,
    file: SchedulerFile = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Pause items: they do not tick. Backfills wait; what runs or is queued continues; `fire` works."""
    request = pause_items.PauseRequest(
        names=_names(items, all_items=all_items),
        reason=reason,
        until=until,
        duration=for_how_long,
        file=file,
        state=state,
    )
    paused = anyio.run(pause_items.pause, request)
    if json:
        print_report("scheduler.pause", {"pauses": [_reported(one.pause) for one in paused]})
        return
    now = SystemClock().now()
    for shown in paused:
        one, end = shown.pause, "until it is resumed"
        if one.end is not None:
            end = f"until {local_time(one.end, shown.zone)} ({distance(one.end, now)})"
        print_line(f"{_what(one)}: paused {end}: {one.reason}")
    print_note("a pause stops ticks and backfills, not runs: what runs, is queued or waits already continues")


def resume_items(
    *,
    items: Items = None,
    all_items: All = False,
    file: SchedulerFile = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Resume paused items. What they missed runs only if their catch_up says so."""
    names = _names(items, all_items=all_items)
    ended = anyio.run(pause_items.resume, names, file, state)
    if json:
        print_report("scheduler.resume", {"pauses": [_reported(one.pause) for one in ended]})
        return
    now = SystemClock().now()
    for shown in ended:
        one = shown.pause
        since = f"{local_time(one.begin, shown.zone)} ({distance(one.begin, now)})"
        print_line(f"{_what(one)}: resumed; it was paused since {since}: {one.reason}")


def _names(items: Sequence[str] | None, *, all_items: bool) -> tuple[str, ...]:
    if bool(items) == all_items:
        raise UsageError(
            "items and --all exclude each other" if items else "no item is named",
            hint="name the items, or all of the file with --all",
        )
    return tuple(items or ())


def _what(pause: Pause) -> str:
    return pause.item_id or f"all items of {pause.scheduler}"


def _reported(pause: Pause) -> dict[str, str | None]:
    """Return a pause for a report; `item` is null if it is about all items of the file."""
    return {
        "scheduler": pause.scheduler,
        "item": pause.item_id or None,
        "since": pause.paused_at,
        "until": pause.until,
        "by": pause.paused_by,
        "reason": pause.reason,
    }
