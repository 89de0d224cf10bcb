"""Render the events of schedulers for people.

The times of firings are in UTC, so that they name a firing, and so are those of the lines in the log of a
server; what comes next is in the zone of its item, with its offset, on a line of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringLate,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleNotice,
    ScheduleUpcoming,
    UpcomingItem,
)
from aetherflow.observe.event_level import LATE_SECONDS
from aetherflow.observe.event_text import duration, flat, moment, one_line, safe_lines, sentence
from aetherflow.observe.time_words import distance

MOST_NAMES = 10

_CAUSES = {
    "tick": "",
    "catch_up": ", caught up",
    "manual": ", manual",
    "backfill": ", backfilled",
    "event": "",
}


@sentence.register
def _(event: FiringScheduled) -> str:
    what = f"{_firing(event)}  "
    what += event.outcome if event.outcome == "WAITING" else f"fires as run {one_line(event.run_id)}"
    what += _CAUSES[event.cause]
    if event.late_seconds >= LATE_SECONDS:
        what += f", late by {duration(event.late_seconds)}"
    return f"{what}: {flat(event.reason)}" if event.reason else what


@sentence.register
def _(event: FiringMissed) -> str:
    if event.first_at is not None:
        which = f"{event.ticks} ticks from {_tick(event.first_at)} to {_tick(event.scheduled_at)}"
        return (
            f"item {one_line(event.item_id)}  {which} {event.outcome}: {flat(event.reason)}; "
            f"{event.runs or 'none'} of those due then run{'s' if event.runs == 1 else ''}"
        )
    ticks = f"{event.ticks} ticks up to " if event.ticks > 1 else ""
    return f"{ticks}{_firing(event)}  {event.outcome}: {flat(event.reason)}"


@sentence.register
def _(event: FiringTakenOver) -> str:
    from_whom = f" from {one_line(event.previous_server)}" if event.previous_server else ""
    return f"{_firing(event)}  taken over{from_whom}, {event.outcome}: run {one_line(event.run_id)}"


@sentence.register
def _(event: FiringFinished) -> str:
    why = f": {flat(event.reason)}" if event.reason else ""
    return f"{_firing(event)}  {event.outcome} (run {one_line(event.run_id)}){why}"


@sentence.register
def _(event: FiringLate) -> str:
    ticks = f"{event.ticks} ticks up to " if event.ticks > 1 else ""
    what = f"{ticks}{_firing(event)}  {event.alert}: {flat(event.reason)}"
    return f"{what}; run {one_line(event.on_late_run)} reports it" if event.on_late_run else what


@sentence.register
def _(event: ScheduleLoaded) -> str:
    if event.is_first:
        number = f"{event.item_count} item{'' if event.item_count == 1 else 's'}"
        return f"schedule {one_line(event.file)}  loaded: {number}{_upcoming(event)}"
    changes = [
        f"{word} {one_line(_listed(names))}"
        for word, names in (("added", event.added), ("removed", event.removed), ("changed", event.changed))
        if names
    ]
    said = "; ".join(changes) or "no item has changed"
    return f"schedule {one_line(event.file)}  reloaded: {said}{_upcoming(event)}"


@sentence.register
def _(event: ScheduleUpcoming) -> str:
    last = event.first + len(event.upcoming) - 1
    which = f"items {event.first} to {last} of {event.listed}"
    return f"schedule {one_line(event.file)}  {which}{_upcoming(event)}"


@sentence.register
def _(event: ScheduleInvalid) -> str:
    return (
        f"schedule {one_line(event.file)}  is invalid now; the previous version stays in force: "
        f"{safe_lines(event.problem)}"
    )


@sentence.register
def _(event: ScheduleNotice) -> str:
    where = f"item {one_line(event.item_id)}  " if event.item_id else ""
    code = f"{one_line(event.code)}: " if event.code else ""
    return f"{where}{code}{safe_lines(event.message)}"


def _upcoming(event: ScheduleLoaded | ScheduleUpcoming) -> str:
    """Return a line for each item with its next time in its own zone, as a person on call reads it."""
    width = max((len(item.item_id) for item in event.upcoming), default=0)
    lines = [f"{one_line(item.item_id):{width}}  {_next(item, event.at)}" for item in event.upcoming]
    return "".join(f"\n  {line}" for line in lines)


def _next(item: UpcomingItem, now: datetime) -> str:
    parts = [_when(item, now)]
    parts += [f"after {one_line(_listed(item.after))}"] if item.after and item.enabled else []
    if item.overdue_since:
        since = item.overdue_since
        parts.append(f"overdue since {since.isoformat(' ', 'seconds')} ({distance(since, now)})")
    for one in item.left:
        run = f"run {one_line(one.run_id)}" if one.run_id else "the firing"
        parts.append(f"to take over: {run} of {one.scheduled_at.isoformat(' ', 'seconds')}, {one.outcome}")
    more = item.left_count - len(item.left)
    parts += [f"and {more} more to take over"] if more > 0 else []
    parts += [f"cannot run: there is no file {one_line(item.missing)}"] if item.missing else []
    parts += [one_line(item.paused)] if item.paused else []
    return ", ".join(parts)


def _when(item: UpcomingItem, now: datetime) -> str:
    if not item.enabled:
        return "disabled"
    if item.at_boot:
        return "fires now, as the machine has booted" if item.fires_now else "at the next boot"
    if item.next_at is None:
        return "no firing is ahead"
    return f"next {item.next_at.isoformat(' ', 'seconds')} ({distance(item.next_at, now)})"


def _firing(event: FiringScheduled | FiringMissed | FiringTakenOver | FiringFinished | FiringLate) -> str:
    return f"item {one_line(event.item_id)} of {_tick(event.scheduled_at)}"


def _tick(at: datetime) -> str:
    return moment(at.astimezone(UTC))


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
