"""Request a backfill for `scheduler backfill`: running servers make its firings."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.schedule.instant_text import parse_instant, utc_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import closed_ticks, count_ticks
from aetherflow.schedule.zone import seconds
from aetherflow.scheduler.backfill_feed import is_wanted, ticks_from
from aetherflow.scheduler.backfill_hold import held_by
from aetherflow.server.fire_now import find_item, params_json, unserved
from aetherflow.server.given_params import UnfitRequest
from aetherflow.server.in_force import ask_file, state_path_asked
from aetherflow.server.server_settings import server_environment
from aetherflow.server.this_person import this_person
from aetherflow.store.backfills import (
    Backfill,
    Which,
    backfills,
    cancel_backfill,
    find_backfill,
    insert_backfill,
)
from aetherflow.store.database import Database
from aetherflow.store.filesystem import is_missing
from aetherflow.store.firings import firings_between
from aetherflow.store.projection import timestamp

MOST_TICKS = 100_000
"""How many ticks one backfill may have: more is a mistake in the dates."""


class NoBackfill(UnfitRequest):
    """There is no such backfill, or it is over."""

    default_code = "AF446"


class BackfillRequest(msgspec.Struct, frozen=True):
    """What to backfill, as a person gave it; times without an offset are on the clocks of the item."""

    item: str
    begin: str
    end: str
    which: Which = "missing"
    parallel: int | None = None
    params: Sequence[tuple[str, str]] = ()
    dry_run: bool = False


class BackfillPlan(msgspec.Struct, frozen=True):
    """What a backfill runs; times are RFC 3339 in UTC.

    Attributes:
        backfill: its id; empty after a dry run, and if there is nothing to run.
        ticks: those that run, oldest first.
        succeeded: how many have succeeded, and are not repeated.
        excluded: how many are open, or not among those that `--only` names.
        closed: how many the calendar of the item leaves out.
        held: why nothing of it starts yet, such as a pause of the item; empty if it may start.
        problem: what is wrong with the scheduler file on the disk; the version in force counts.
        state: the path of the state database.
    """

    backfill: str
    scheduler: str
    item: str
    zone: str
    ticks: list[str]
    succeeded: int
    excluded: int
    closed: int
    held: str = ""
    problem: str = ""
    state: str = ""


async def request_backfill(
    request: BackfillRequest, file: Path | None, state: Path | None, clock: Clock | None = None
) -> BackfillPlan:
    """Store a backfill, which the servers of the item execute; a dry run needs no server.

    Raises:
        CannotFire: there is no such item, or no server serves it.
        UnfitRequest: the period has no tick, too many, or is not past; or a param does not fit.
        StateError: the state database cannot be used.
    """
    clock = clock or SystemClock()
    asked = ask_file(file) if file is not None else None
    schedules = asked.schedules if asked is not None else []
    path = state_path_asked(asked, state, os.environ)
    if is_missing(path) and not (request.dry_run and schedules):
        raise unserved(schedules, path, runs_here=False)
    access = server_environment([one.file for one in schedules], os.environ).settings.file_access
    database = await Database.open(path, access=access)
    try:
        found = await find_item(database, request.item, asked, clock, runs_here=False)
        schedule, item = found.schedule, found.item
        if not found.live and not request.dry_run:
            raise unserved([schedule], path, runs_here=False)
        begin, end = _period(request, item, clock.now())
        params = await params_json(item, request.params, begin)
        new = Backfill(
            backfill="" if request.dry_run else f"b{clock.new_id()}",
            scheduler=schedule.id,
            item_id=item.id,
            begins_at=timestamp(begin),
            ends_at=timestamp(end),
            made_to=timestamp(begin),
            which=request.which,
            parallel=request.parallel,
            ticks=0,
            params=params,
            requested_at=timestamp(clock.now()),
            requested_by=this_person(),
        )
        plan = await database.read(partial(_plan, item=item, new=new, now=clock.now()))
        if plan.backfill:  # a transaction of its own: servers must not wait while 100,000 ticks are read
            counted = msgspec.structs.replace(new, ticks=len(plan.ticks))
            await database.transact(partial(insert_backfill, new=counted))
        return msgspec.structs.replace(plan, problem=found.problem, state=str(path))
    finally:
        await database.aclose()


def _period(request: BackfillRequest, item: Item, now: datetime) -> tuple[datetime, datetime]:
    zone = ZoneInfo(item.zone)
    if item.table.trigger.at_boot:
        raise UnfitRequest(
            f"{item.id} has no times to backfill: it fires when the machine has booted",
            hint=f"fire it: aetherflow scheduler fire {item.id}",
        )
    begin, end = parse_instant(request.begin, zone), parse_instant(request.end, zone)
    if end <= begin:
        raise UnfitRequest("--to is not later than --from", hint="give an instant after --from")
    if begin >= now:
        raise UnfitRequest(
            f"--from {request.begin} is not past", hint="ticks to come fire by themselves; give a past period"
        )
    end = min(end, now)
    if (many := count_ticks(item.table, seconds(begin), seconds(end))) > MOST_TICKS:
        raise UnfitRequest(
            f"{item.id} has {many} ticks in that time", hint=f"give a shorter time, of at most {MOST_TICKS}"
        )
    if not many:
        raise UnfitRequest(
            f"{item.id} has no tick in that time", hint="aetherflow scheduler simulate FILE shows its ticks"
        )
    return begin, end


def _plan(raw: sqlite3.Connection, item: Item, new: Backfill, now: datetime) -> BackfillPlan:
    begin, end = datetime.fromisoformat(new.begins_at), datetime.fromisoformat(new.ends_at)
    found = {one.scheduled: one for one in firings_between(raw, item.scheduler, item.id, begin, end)}
    every = list(ticks_from(item, begin, end))
    ticks = [tick for tick in every if is_wanted(found.get(tick), new.which)]
    succeeded = sum(tick in found and found[tick].outcome == "SUCCESS" for tick in every)
    before = timedelta(seconds=1)
    return BackfillPlan(
        backfill=new.backfill if ticks else "",
        scheduler=new.scheduler,
        item=item.id,
        zone=item.zone,
        ticks=[utc_text(tick) for tick in ticks],
        succeeded=succeeded,
        excluded=len(every) - len(ticks) - succeeded,
        closed=sum(1 for _ in closed_ticks(item.table, begin - before, end - before)),
        held=held_by(raw, item, now, item.zone),
    )


def end_backfill(raw: sqlite3.Connection, name: str, by: str, now: datetime) -> Backfill:
    """Cancel a backfill in a transaction of the caller.

    Raises:
        NoBackfill: there is none, or it is over.
    """
    one = find_backfill(raw, name)
    if one is None:
        active = [other.backfill for other in backfills(raw, active=True)]
        names = f"active are {', '.join(active[:20])}" if active else "none is active"
        raise NoBackfill(f"there is no backfill {name!r}", hint=f"{names}: aetherflow scheduler backfills")
    if one.finished_at:
        raise NoBackfill(f"backfill {name} is over", hint="aetherflow scheduler backfills shows how it ended")
    cancel_backfill(raw, name, f"backfill {name} was cancelled by {by}", now)
    return one
