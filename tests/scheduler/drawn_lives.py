"""Draw lives of schedulers from numbers: an item, and what happens to its servers, clocks and pauses.

Time is counted in seconds of true time since midnight.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tests.scheduler.scheduler_parts import MIDNIGHT

Kind = Literal["start", "kill", "power", "stop", "suspend", "wake", "jump", "pause", "resume"]

CALENDARS = "calendars: {until: {exclude: ['2026-01-01']}, since: {exclude: ['2025-12-31']}}"
"""Dates that are open until, or since, the midnight of the zone of an item."""


class Spec(NamedTuple):
    """An item: its keys as in a scheduler file, and what they mean to the model.

    Attributes:
        jitter: the most by which its ticks fire late.
        calendar: one of `CALENDARS`; empty without one.
        day_begins: at which hour the day of 2026-01-01 begins in its zone.
    """

    minutes: tuple[int, ...]
    every: int
    grace: int
    catch_up: str
    window: int | None
    most: int
    coalesce: bool
    overlap: str
    instances: int
    jitter: int = 0
    calendar: str = ""
    day_begins: int = 0

    def ticks(self, begin: int, end: int) -> list[int]:
        """Return the ticks in (begin, end], in seconds since midnight: one look at every second."""
        midnight = 3600 * self.day_begins
        if self.calendar == "until":
            end = min(end, midnight - 1)
        elif self.calendar == "since":
            begin = max(begin, midnight - 1)
        seconds = range(begin + 1, end + 1)
        if self.minutes:
            return [at for at in seconds if at % 60 == 0 and at // 60 % 60 in self.minutes]
        since = int(MIDNIGHT.timestamp())
        return [at for at in seconds if (since + at) % self.every == 0]

    def line(self, name: str) -> str:
        """Return the item as a line of a scheduler file."""
        minutes = ",".join(str(minute) for minute in self.minutes)
        return ", ".join(
            [
                f"id: {name}, "
                + (f"cron: '{minutes} * * * *'" if minutes else f"interval_seconds: {self.every}"),
                f"misfire_grace_time: {self.grace}, catch_up: {self.catch_up}, catch_up_maximum: {self.most}",
                *([f"catch_up_window: {self.window}"] if self.window and self.catch_up != "none" else []),
                f"coalesce: {str(self.coalesce).lower()}, overlap: {self.overlap}",
                f"max_instances: {self.instances}",
                *([f"jitter_seconds: {self.jitter}"] if self.jitter else []),
                *([f"calendar: {self.calendar}"] if self.calendar else []),
                *([f"timezone: Etc/GMT+{self.day_begins}"] if self.day_begins else []),
            ]
        )


class Event(NamedTuple):
    """Something that happens to a server at a true time; one that makes no sense then does nothing.

    Attributes:
        seconds: for `start` how far its clock is ahead, for `jump` how far its clock is moved, for `pause`
            how long it takes at most, or 0; pauses are of the item, or of all.
    """

    at: int
    kind: Kind
    server: int
    seconds: int = 0


@dataclass(frozen=True)
class Life:
    """What is drawn from a number: the item, what happens, and how long runs take, in turn."""

    number: int
    spec: Spec
    events: tuple[Event, ...]
    durations: tuple[int, ...]
    end: int


def draw_life(number: int, offsets: tuple[int, ...], jumps: tuple[int, ...]) -> Life:
    """Draw a life; the clock of a server that starts is ahead by an offset, and may jump by a jump."""
    rng = random.Random(number)  # noqa: S311 - chance, not secrets
    step = rng.choice((5, 10, 15, 20))
    is_cron = rng.random() < 0.6
    spec = Spec(
        minutes=tuple(range(0, 60, step)) if is_cron else (),
        every=step * 60 if is_cron else rng.choice((300, 420, 900, 1000)),
        grace=rng.choice((0, 60, 300, 3600)),
        catch_up=rng.choice(("none", "latest", "all", "all")),
        window=rng.choice((None, None, 1800)),
        most=rng.choice((2, 100)),
        coalesce=rng.random() < 0.5,
        overlap=rng.choice(("skip", "skip", "queue", "cancel_running")),
        instances=rng.choice((1, 1, 2, 3)),
    )
    end = spec.every * rng.randint(4, 14)
    kinds: tuple[Kind, ...] = (
        "start",
        "start",
        "start",
        "kill",
        "kill",
        "power",
        "stop",
        "suspend",
        "wake",
        "jump",
    )
    events = [Event(0, "start", 0)]
    for _ in range(rng.randint(1, 8)):
        kind = rng.choice(kinds)
        seconds = rng.choice(offsets) if kind == "start" else rng.choice(jumps) if kind == "jump" else 0
        events.append(Event(rng.randrange(1, end), kind, rng.choice((0, 0, 1)), seconds))
    long = (5, 60, spec.every // 2, spec.every + 30, spec.every * 5 // 2)
    durations = tuple(rng.choice(long) for _ in range(8))
    return Life(number, spec, tuple(sorted(events)), durations, end)


def draw_rich_life(number: int, offsets: tuple[int, ...], jumps: tuple[int, ...]) -> Life:
    """Draw a life with jitter, a calendar and pauses beside what `draw_life` draws."""
    life, rng = draw_life(number, offsets, jumps), random.Random(-number)  # noqa: S311 - as above
    spec = life.spec._replace(
        jitter=rng.choice((0, 0, 20, 90, life.spec.every // 2, life.spec.every * 2)),
        calendar=rng.choice(("", "", "until", "since")),
        day_begins=rng.choice((1, 2)),
    )
    paused = []
    for _ in range(rng.choice((0, 1, 1, 2))):
        begin, length = rng.randrange(1, life.end), rng.randrange(1, life.end)
        paused.append(Event(begin, "pause", 0, rng.choice((0, length))))
        paused.append(Event(begin + rng.randrange(1, life.end), "resume", 0))
    return replace(life, spec=spec, events=tuple(sorted([*life.events, *paused])))


def draw_pair(number: int, offsets: tuple[int, ...], jumps: tuple[int, ...]) -> Life:
    """Draw a life in which a second server starts whose clock is wrong, or the first one's is by then."""
    life, rng = draw_life(number, offsets, jumps), random.Random(-number)  # noqa: S311 - as above
    events = [event._replace(server=rng.choice((0, 1))) for event in life.events[1:]]
    begin = rng.randrange(1, life.end // 2)
    if rng.random() < 0.3:
        events.append(Event(rng.randrange(begin), "jump", 0, rng.choice(jumps)))
    events.append(Event(begin, "start", 1, rng.choice(offsets)))
    return replace(life, events=(life.events[0], *sorted(events)))


def without(life: Life, place: int) -> Life:
    """Return a life without one of its events."""
    return replace(life, events=life.events[:place] + life.events[place + 1 :])
