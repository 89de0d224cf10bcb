"""Pause and resume items for `scheduler pause` and `scheduler resume`, with a server or without one."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import UsageError
from aetherflow.schedule.instant_text import local_text, on_clocks
from aetherflow.schedule.item import Schedule
from aetherflow.server.in_force import AskedFile, ask_file, in_force, served_files, state_path_asked
from aetherflow.server.server_settings import server_environment
from aetherflow.server.this_person import this_person
from aetherflow.spec.duration import parse_duration
from aetherflow.spec.suggest import did_you_mean
from aetherflow.store.database import Database
from aetherflow.store.filesystem import is_missing
from aetherflow.store.pauses import EVERY_ITEM, Pause, end_pause, put_pause, read_pauses
from aetherflow.store.projection import timestamp
from aetherflow.store.schedule_items import known_items

_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class CannotPause(UsageError):
    """There is no such item, or it is not paused."""

    default_code = "AF447"


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of `scheduler pause`.

    Attributes:
        names: items, as ITEM or FILE_ID/ITEM; empty: whole files.
        until: a date, a date and a time, or a time of day; without an offset on the clocks of each item, or
            of the file if it is about all items.
        duration: how long, as `2h`; None without.
    """

    names: tuple[str, ...]
    reason: str
    until: str | None = None
    duration: str | None = None
    file: Path | None = None
    state: Path | None = None


class PauseShown(msgspec.Struct, frozen=True):
    """A pause, and the zone in which people read its times: that of its item, or of its file."""

    pause: Pause
    zone: str


class _Known(msgspec.Struct, frozen=True):
    """A scheduler file that can be paused: its items with their zones, and the zone of the file."""

    items: Mapping[str, str]
    zone: str

    def shown(self, pause: Pause) -> PauseShown:
        """Return a pause with the zone of its item, or of the file."""
        return PauseShown(pause, self.zone_of(pause.item_id))

    def zone_of(self, item_id: str) -> str:
        """Return the zone of an item, or of the file for all items."""
        return self.items.get(item_id, self.zone)


async def pause(request: PauseRequest, clock: Clock | None = None) -> list[PauseShown]:
    """Store pauses, and return them; those that hold already get the new end and reason.

    Raises:
        UsageError: there is no such item, or the end is no time in the future.
        StateError: the state database cannot be used.
    """
    clock = clock or SystemClock()
    if not request.reason.strip():
        raise UsageError("the reason is empty", hint="say why: --reason 'migration of the warehouse'")
    asked = ask_file(request.file) if request.file is not None else None
    database = await _open(asked, request.state, must_exist=asked is None)
    try:
        known = await _known(database, asked, clock)
        chosen = _chosen(request.names, known, database.path)
        now, by = clock.now(), this_person()
        pauses = [
            Pause(
                scheduler=scheduler,
                item_id=item,
                paused_at=timestamp(now),
                until=_end(request, ZoneInfo(known[scheduler].zone_of(item)), now),
                reason=" ".join(request.reason.split()),
                paused_by=by,
            )
            for scheduler, item in chosen
        ]
        stored = await database.transact(lambda raw: [put_pause(raw, one, now) for one in pauses])
        return [known[one.scheduler].shown(one) for one in stored]
    finally:
        await database.aclose()


async def resume(
    names: Sequence[str], file: Path | None, state: Path | None, clock: Clock | None = None
) -> list[PauseShown]:
    """End pauses, all of them without names, and return what has ended.

    Raises:
        UsageError: there is no such item, or it is not paused.
        StateError: the state database cannot be used.
    """
    clock = clock or SystemClock()
    asked = ask_file(file) if file is not None else None
    database = await _open(asked, state, must_exist=True)
    try:
        known = await _known(database, asked, clock)
        chosen = _chosen(names, known, database.path)
        now, by = clock.now(), this_person()

        def work(raw: sqlite3.Connection) -> list[Pause]:
            ended: list[Pause] = []
            for scheduler, item in chosen:
                holding = [one for one in read_pauses(raw, scheduler) if one.holds(now)]
                found = [one for one in holding if item in (EVERY_ITEM, one.item_id)]
                if item != EVERY_ITEM and not found:
                    raise _not_paused(item, holding)
                for one in found:
                    end_pause(raw, one, by, now)
                ended += found
            if not ended:
                raise CannotPause("nothing is paused", hint="aetherflow scheduler status shows the items")
            return ended

        return [known[one.scheduler].shown(one) for one in await database.transact(work)]
    finally:
        await database.aclose()


def _not_paused(item: str, holding: Sequence[Pause]) -> CannotPause:
    if any(one.item_id == EVERY_ITEM for one in holding):
        return CannotPause(
            f"item {item!r} is paused with all items of its file",
            hint="resume them all: aetherflow scheduler resume --all",
        )
    paused = ", ".join(one.item_id for one in holding)
    hint = f"paused now: {paused}" if paused else "no item is paused"
    return CannotPause(f"item {item!r} is not paused", hint=hint)


async def _open(asked: AskedFile | None, state: Path | None, *, must_exist: bool) -> Database:
    path = state_path_asked(asked, state, os.environ)
    if must_exist and is_missing(path):
        raise CannotPause(
            f"there is no state database {path}, so no scheduler file is known",
            hint="name the scheduler file: --file FILE; or another database: --state FILE",
        )
    access = server_environment([asked.file] if asked else [], os.environ).settings.file_access
    return await Database.open(path, access=access)


async def _known(database: Database, asked: AskedFile | None, clock: Clock) -> dict[str, _Known]:
    """Return the scheduler files by id: the one that is given, else those that servers serve or served."""

    def read(raw: sqlite3.Connection) -> dict[str, _Known]:
        served = in_force(served_files(raw, clock.now()), asked)
        found = {name: one.schedule for name, one in served.items()}
        if asked is None:
            rows = raw.execute("SELECT DISTINCT scheduler FROM schedule_items").fetchall()
            found |= {name: None for (name,) in rows if name not in found}
        return {name: _of(schedule, list(known_items(raw, name))) for name, schedule in found.items()}

    return await database.read(read)


def _of(schedule: Schedule | None, stored: Sequence[str]) -> _Known:
    """Return what is known of a file: what servers have stored, where it cannot be read now."""
    if schedule is not None:
        zones = {name: item.zone for name, item in schedule.items.items()}
        return _Known(zones, schedule.spec.timezone or "UTC")
    return _Known(dict.fromkeys(stored, "UTC"), "UTC")


def _chosen(names: Sequence[str], known: Mapping[str, _Known], state: Path) -> list[tuple[str, str]]:
    """Return the items of those names with their files; without names, every file as a whole."""
    if not known:
        raise CannotPause(
            f"no server has used the state database {state}", hint="name the scheduler file: --file FILE"
        )
    if not names:
        return [(scheduler, EVERY_ITEM) for scheduler in known]
    return list(dict.fromkeys(_find(name, known) for name in names))


def _find(name: str, known: Mapping[str, _Known]) -> tuple[str, str]:
    scheduler, _, item = name.rpartition("/")
    having = [one for one, found in known.items() if item in found.items and scheduler in ("", one)]
    if len(having) == 1:
        return having[0], item
    if having:
        listed = ", ".join(f"{one}/{item}" for one in having)
        raise CannotPause(f"several scheduler files have an item {item!r}", hint=f"name one of {listed}")
    every = [one for found in known.values() for one in found.items]
    hint = did_you_mean(item, every) or f"the items are {', '.join(every[:20])}"
    raise CannotPause(f"there is no item {name!r}", hint=hint)


def _end(request: PauseRequest, zone: ZoneInfo, now: datetime) -> str | None:
    """Return when the pause ends by itself, in UTC.

    Raises:
        UsageError: it is no time, or not in the future.
    """
    if request.until is not None and request.duration is not None:
        raise UsageError("--until and --for say the same thing", hint="give one of them", code="AF448")
    if request.until is None and request.duration is None:
        return None
    try:
        if request.duration is not None:
            end = now + timedelta(seconds=parse_duration(request.duration))
        else:
            end = _read_time(request.until or "", zone, now)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"the pause has no end that can be read: {error}",
            hint="write --for 2h, or --until 2026-12-31T06:00, or --until 06:00 for the next one",
            code="AF448",
        ) from None
    if end <= now:
        raise UsageError(
            f"the pause would be over already: {local_text(end, zone.key)} is not in the future",
            hint="give a later end, or none: then it holds until aetherflow scheduler resume",
            code="AF448",
        )
    return timestamp(end)


def _read_time(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Return an instant; a time of day is the next one on the clocks of the zone."""
    if (found := _TIME_OF_DAY.fullmatch(text.strip())) is not None:
        local = now.astimezone(zone)
        at = local.replace(
            hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0, fold=0, tzinfo=None
        )
        today = on_clocks(at, zone)
        return today if today > now else on_clocks(at + timedelta(days=1), zone)
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no date and no time of day") from None
    return read.astimezone(UTC) if read.tzinfo else on_clocks(read, zone)
