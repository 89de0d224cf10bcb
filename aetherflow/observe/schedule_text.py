"""Render the events of schedulers for people; the times of ticks are in UTC, so that they name a firing."""

from __future__ import annotations

from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleNotice,
)
from aetherflow.observe.event_record import LATE_SECONDS
from aetherflow.observe.event_text import duration, indented, one_line, sentence

MOST_NAMES = 10


@sentence.register
def _(event: FiringScheduled) -> str:
    what = f"{_firing(event)}  "
    what += "waits" if event.outcome == "WAITING" else f"fires as run {one_line(event.run_id)}"
    if event.cause != "tick":
        what += ", caught up" if event.cause == "catch_up" else ", manual"
    if event.late_seconds >= LATE_SECONDS:
        what += f", late by {duration(event.late_seconds)}"
    return f"{what}: {indented(event.reason)}" if event.reason else what


@sentence.register
def _(event: FiringMissed) -> str:
    ticks = f"{event.ticks} ticks up to " if event.ticks > 1 else ""
    return f"{ticks}{_firing(event)}  {event.outcome}: {indented(event.reason)}"


@sentence.register
def _(event: FiringTakenOver) -> str:
    from_whom = f" from {one_line(event.previous_server)}" if event.previous_server else ""
    return f"{_firing(event)}  taken over{from_whom}, {event.outcome}: run {one_line(event.run_id)}"


@sentence.register
def _(event: FiringFinished) -> str:
    why = f": {indented(event.reason)}" if event.reason else ""
    return f"{_firing(event)}  {event.outcome} (run {one_line(event.run_id)}){why}"


@sentence.register
def _(event: ScheduleLoaded) -> str:
    if event.is_first:
        number = f"{event.item_count} item{'' if event.item_count == 1 else 's'}"
        return f"schedule {one_line(event.file)}  loaded: {number}"
    changes = [
        f"{word} {one_line(_listed(names))}"
        for word, names in (("added", event.added), ("removed", event.removed), ("changed", event.changed))
        if names
    ]
    return f"schedule {one_line(event.file)}  reloaded: {'; '.join(changes) or 'no item has changed'}"


@sentence.register
def _(event: ScheduleInvalid) -> str:
    return (
        f"schedule {one_line(event.file)}  is invalid now; the previous version stays in force: "
        f"{indented(event.problem)}"
    )


@sentence.register
def _(event: ScheduleNotice) -> str:
    where = f"item {one_line(event.item_id)}  " if event.item_id else ""
    code = f"{one_line(event.code)}: " if event.code else ""
    return f"{where}{code}{indented(event.message)}"


def _firing(event: FiringScheduled | FiringMissed | FiringTakenOver | FiringFinished) -> str:
    return f"item {one_line(event.item_id)} of {event.scheduled_at:%Y-%m-%dT%H:%M:%SZ}"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
