"""The items of a checked scheduler file, with their timetables, policies and flows. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.schedule.calendar import local_date
from aetherflow.schedule.catch_up import CatchUpPolicy
from aetherflow.schedule.deadline import Deadline
from aetherflow.schedule.followed import Followed, followed, usual_tick
from aetherflow.schedule.timetable import Timetable
from aetherflow.schedule.window import Window, Windows, window_at
from aetherflow.schedule.windowed import ticks_in, ticks_outside
from aetherflow.schedule.zone import seconds
from aetherflow.spec.schedule import CalendarSpec, ItemSpec, OnStop, ScheduleFile


class Item(msgspec.Struct, frozen=True):
    """One item of a scheduler file.

    Attributes:
        scheduler: the name of its scheduler file in the state database.
        zone: the IANA name of its time zone.
        flow_file: the flow it runs; None if a bundle says which.
        manifest: the bundle's manifest; None without one.
        definition: a fingerprint of when it ticks; when that changes, it starts afresh.
        missing: where its flow or manifest was looked for, if it does not exist.
        folder: that of its scheduler file, where relative paths among its params start.
        follows: when the items tick that it follows, by their names; those that are enabled.
        deadline: when its runs are late; None without one.
        windows: when it starts nothing: its own, and those of its calendar.
        on_stop: what happens to its runs that do not end in time when the server stops.
    """

    scheduler: str
    spec: ItemSpec
    table: Timetable
    policy: CatchUpPolicy
    zone: str
    flow_file: Path | None
    manifest: Path | None
    definition: str
    folder: Path | None = None
    missing: tuple[Path, ...] = ()
    follows: dict[str, Timetable] = {}
    deadline: Deadline | None = None
    windows: Windows = ()
    on_stop: OnStop = "cancel"

    @property
    def id(self) -> str:
        """Its name in its file."""
        return self.spec.id

    @property
    def has_own_times(self) -> bool:
        """Whether it says when it fires, and does not only follow other items."""
        return not self.policy.until_day_ends

    @property
    def skips_in_windows(self) -> bool:
        """Whether its ticks in windows are skipped; what catches up, or only follows others, starts later."""
        return bool(self.windows) and self.policy.catch_up == "none" and self.has_own_times

    @property
    def ticks_in_windows(self) -> Timetable:
        """The ticks in windows."""
        return ticks_in(self.table, self.windows)

    @property
    def ticks_that_run(self) -> Timetable:
        """Its ticks without those that are skipped since they are in a window."""
        return ticks_outside(self.table, self.windows) if self.skips_in_windows else self.table

    def window_at(self, at: datetime) -> Window | None:
        """Return the window that an instant is in; None if it is in none."""
        return window_at(self.windows, self.table.zone, seconds(at)) if self.windows else None

    @property
    def after(self) -> tuple[Followed, ...]:
        """The items that it follows, and which of their runs."""
        return followed(self.spec.after)

    def span_of(self, one: Followed, tick: datetime) -> tuple[datetime, datetime]:
        """Return the beginning and the end, in UTC, of the period whose runs a tick follows."""
        return one.span(local_date(self.table.zone, seconds(tick)), ZoneInfo(self.zone))

    def when(self, one: Followed, tick: datetime) -> str:
        """Return that period in words."""
        return one.when(local_date(self.table.zone, seconds(tick)))

    def beginning(self, now: datetime) -> datetime:
        """Return up to when an item that is seen for the first time counts as decided.

        A single moment in the past still counts: it runs or is reported as missed, never forgotten.
        """
        if self.table.trigger.counts_when_past:
            return datetime.min.replace(year=1971, tzinfo=UTC)
        return now

    def day_of(self, at: datetime) -> tuple[datetime, datetime]:
        """Return the beginning and the end, in UTC, of the local day in which an instant lies."""
        day = local_date(self.table.zone, seconds(at))
        zone = ZoneInfo(self.zone)
        begin, end = (
            datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (day, day + timedelta(1))
        )
        return begin, end


Signature = tuple[int, int, int, int] | None
"""What changes when a file is written or replaced: its times, size and inode; None for no file."""


class Schedule(msgspec.Struct, frozen=True):
    """A scheduler file without errors.

    Attributes:
        signature: that of the file just before it was read, so that no change after that is missed.
        beside: the signatures of other files, just before they were looked for: files of holidays, and flows
            and manifests that do not exist. When one changes, the file is read again.
        source: the text of the file.
    """

    id: str
    file: Path
    spec: ScheduleFile
    items: dict[str, Item]
    signature: Signature = None
    beside: dict[Path, Signature] = {}
    source: bytes = b""

    @property
    def enabled(self) -> list[Item]:
        """The items that tick."""
        return [item for item in self.items.values() if item.spec.enabled]


class Changes(msgspec.Struct, frozen=True):
    """How a scheduler file differs from the version before; ids in the order of the file."""

    added: list[str]
    removed: list[str]
    changed: list[str]


def changes(old: Schedule | None, new: Schedule) -> Changes:
    """Compare a file with the version before."""
    before = old.items if old is not None else {}
    return Changes(
        added=[name for name in new.items if name not in before],
        removed=[name for name in before if name not in new.items],
        changed=[name for name, item in new.items.items() if name in before and _differ(before[name], item)],
    )


def _differ(old: Item, new: Item) -> bool:
    """Whether the definition of an item has changed; the items that it follows are compared by themselves."""
    return msgspec.structs.replace(old, follows=new.follows) != new


def fingerprint(spec: ItemSpec, zone: str, calendar: CalendarSpec | None, holidays: str = "") -> str:
    """Return a fingerprint of when an item ticks, but not of what it runs or how it treats late ticks.

    `holidays` is that of the file of holidays of its calendar.
    """
    dates = msgspec.to_builtins(calendar)
    if calendar is not None and calendar.shift == "skip":
        del dates["shift"]  # a key without effect leaves the fingerprint of earlier versions
    if calendar is not None:
        del dates["not_between"]  # ticks in a window have a row too: the item continues
    if calendar is not None:
        dates["holidays"] = holidays
        if not holidays:
            del dates["holidays"]
    has_times = any((spec.cron, spec.interval_seconds, spec.at, spec.interval, spec.rrule))
    tick = "" if has_times else usual_tick(followed(spec.after))
    definition = [
        *(spec.cron, spec.interval_seconds, spec.at, zone, dates, spec.enabled),
        *(spec.dst_gap, spec.dst_overlap, bool(spec.after)),
        *(value for value in (spec.interval, spec.rrule) if value is not None),  # the same
        *([] if has_times or tick == usual_tick(()) else [tick]),  # the same
    ]
    return sha256(msgspec.json.encode(definition)).hexdigest()[:16]
