"""The next ticks of 10,000 schedule items, against cronsim for the same expressions, zones and times."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import cronsim
from measure import Row, Timed, interleaved

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.timetable import Timetable, next_tick
from aetherflow.schedule.zone import load_zone

ITEMS = 10_000
START = datetime(2027, 3, 27, 12, tzinfo=UTC)
"""The next night clocks are put forward in Europe."""

_SHAPES = (
    "*/{n} * * * *", "{m} * * * *", "{m} {h} * * *", "{m} {h} * * mon-fri", "{m} {h} 1,15 * *",
    "{m} {h} L * *",
    "{m} {h} * * 5#2", "{m} {h} {d} {o} *", "*/{n} {h}-23 * * 1-5", "{m} {h} 29 2 *",
)  # fmt: skip
_ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]


class Item(NamedTuple):
    """An expression and a zone."""

    text: str
    zone: str


def items() -> list[Item]:
    """Return the same items every time."""
    rng = random.Random(1)  # noqa: S311 - repeatable, keeps no secret
    found = []
    for number in range(ITEMS):
        values = {"n": rng.randint(2, 30), "m": rng.randint(0, 59), "h": rng.randint(0, 22)}
        values |= {"d": rng.randint(1, 28), "o": rng.randint(1, 12)}
        found.append(Item(_SHAPES[number % len(_SHAPES)].format(**values), rng.choice(_ZONES)))
    return found


def schedule_ticks(_: Path, rounds: int) -> Iterator[Row]:
    """Read the expressions and find the first tick; then, with the expressions read, the next one."""
    drawn = items()
    medians = interleaved(_first_of_ours(drawn), _first_of_cronsim(drawn), rounds)
    yield Row("10,000 items: read, first tick", "cronsim, the same", *medians, "< 2 s")
    medians = interleaved(_next_of_ours(drawn), _next_of_cronsim(drawn), rounds)
    yield Row("10,000 items: next tick", "cronsim, the same", *medians, "< 1 ms each")


def _table(item: Item) -> Timetable:
    return Timetable("item", parse_cron(item.text), load_zone(item.zone))


def _first_of_ours(drawn: list[Item]) -> Timed:
    def run() -> float:
        started = time.perf_counter()
        for item in drawn:
            next_tick(_table(item), START)
        return time.perf_counter() - started

    return run


def _first_of_cronsim(drawn: list[Item]) -> Timed:
    def run() -> float:
        started = time.perf_counter()
        for item in drawn:
            next(cronsim.CronSim(item.text, START.astimezone(load_zone(item.zone).info)))
        return time.perf_counter() - started

    return run


def _next_of_ours(drawn: list[Item]) -> Timed:
    tables = [_table(item) for item in drawn]
    afters = [START] * len(tables)

    def run() -> float:
        started = time.perf_counter()
        for index, table in enumerate(tables):
            found = next_tick(table, afters[index])
            if found is not None:
                afters[index] = found
        return time.perf_counter() - started

    return run


def _next_of_cronsim(drawn: list[Item]) -> Timed:
    iterators = [cronsim.CronSim(item.text, START.astimezone(load_zone(item.zone).info)) for item in drawn]

    def run() -> float:
        started = time.perf_counter()
        for iterator in iterators:
            next(iterator)
        return time.perf_counter() - started

    return run
