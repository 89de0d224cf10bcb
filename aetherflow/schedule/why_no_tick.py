"""Say why an item does not tick at an instant: the field of its expression, or the clock change. Pure."""

from __future__ import annotations

from datetime import datetime

from aetherflow.schedule.cron import Cron, matches_day
from aetherflow.schedule.shifted import Shifted
from aetherflow.schedule.timetable import Timetable
from aetherflow.schedule.zone import DAY, instant, seconds

_TIME_FIELDS = ("second", "minute", "hour")


def why_no_tick(table: Timetable, at: datetime) -> str:
    """Return why an instant is no tick of a timetable, its calendar aside."""
    trigger, second = table.trigger.local, seconds(at)
    if trigger is None:
        return "no interval of the item ends at this instant"
    local = second + table.zone.period(second).offset
    if trigger.find(local) == local:
        return (
            f"it is the second {instant(local):%H:%M:%S} of that day, and dst_overlap is {table.dst.overlap}"
        )
    if isinstance(trigger, Shifted):
        if trigger.base.find(local) == local:
            return trigger.why_moved(local // DAY)
        trigger = trigger.base
    if isinstance(trigger, Cron):
        return _field_of(trigger, instant(local))
    return "it is none of the item's times"


def why_no_tick_on(table: Timetable, day: datetime) -> str:
    """Return why a local day, as wall time written in UTC, has no tick; its calendar aside."""
    trigger, begin = table.trigger.local, seconds(day)
    if isinstance(trigger, Shifted):
        at = trigger.base.find(begin)
        if at is not None and at < begin + DAY:
            return trigger.why_moved(begin // DAY)
        trigger = trigger.base
    if isinstance(trigger, Cron) and (why := _day_field_of(trigger, day)):
        return why
    return "none of the item's times lies on that day"


def in_the_gap(table: Timetable, wall: datetime) -> str:
    """Return what the item does for a local time that does not exist; `wall` is written as if it were UTC."""
    trigger = table.trigger.local
    if trigger is None or trigger.find(seconds(wall)) != seconds(wall):
        return "and the item names no such time"
    if table.dst.gap == "skip":
        return "and dst_gap is skip: the item does not fire for it"
    return "and dst_gap is run_once: the item fires once, right after the gap"


def _field_of(cron: Cron, local: datetime) -> str:
    """Return which field of an expression does not match a local time."""
    if why := _day_field_of(cron, local):
        return why
    fields = (cron.seconds, local.second), (cron.minutes, local.minute), (cron.hours, local.hour)
    wrong = [
        f"the {name} {number}"
        for name, (allowed, number) in zip(_TIME_FIELDS, fields, strict=True)
        if not allowed >> number & 1
    ]
    return f"cron: {' and '.join(reversed(wrong))} {_verb(wrong)} not match '{cron.text}'"


def _day_field_of(cron: Cron, local: datetime) -> str:
    if not cron.months >> local.month & 1:
        return f"cron: the month {local.month} does not match '{cron.text}'"
    if not matches_day(cron, local.date()):
        return f"cron: {local:%Y-%m-%d}, a {local:%A}, does not match the days of '{cron.text}'"
    return ""


def _verb(names: list[str]) -> str:
    return "does" if len(names) == 1 else "do"
