"""Every tick round transitions is what walking every minute finds, in any zone, under any rule."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.zone import Zone, load_zone
from tests.schedule.brute_force import (
    Change,
    Expression,
    Window,
    brute_ticks,
    changes_of_all,
    generate,
    window,
)
from tests.schedule.seeds import drawn_seed
from tests.sizes import LARGE

FIRST_YEAR, LAST_YEAR = 2027, 2037
HOUR = 3600
REACH = 26 * HOUR if LARGE else 8 * HOUR
"""How far a window reaches on both sides of a transition."""

RULES = [DstRule(gap, overlap) for gap in ("run_once", "skip") for overlap in ("first", "both")]
NAMED = [
    ("Europe/Berlin", 2024, 3, 31, "an hour, forward"),
    ("Europe/Berlin", 2024, 10, 27, "an hour, back"),
    ("America/New_York", 2024, 3, 10, "an hour, forward"),
    ("America/New_York", 2024, 11, 3, "an hour, back"),
    ("Australia/Lord_Howe", 2024, 4, 6, "30 minutes, back"),
    ("Australia/Lord_Howe", 2024, 10, 5, "30 minutes, forward"),
    ("Africa/Cairo", 2024, 4, 25, "midnight does not exist"),
    ("Africa/Cairo", 2024, 10, 31, "back over midnight"),
    ("Asia/Beirut", 2024, 3, 30, "midnight does not exist"),
    ("Asia/Beirut", 2024, 10, 26, "back over midnight"),
    ("Antarctica/Troll", 2024, 3, 31, "two hours, forward"),
    ("Antarctica/Troll", 2024, 10, 27, "two hours, back"),
    ("America/Havana", 2024, 3, 10, "midnight does not exist"),
    ("Africa/Casablanca", 2024, 3, 10, "back for Ramadan"),
    ("Atlantic/Azores", 2024, 3, 31, "at 00:00"),
    ("America/Nuuk", 2024, 3, 30, "at 22:00 the day before"),
    ("Pacific/Apia", 2011, 12, 30, "a whole day left out"),
    ("Pacific/Kwajalein", 1993, 8, 21, "a whole day left out"),
    ("Asia/Pyongyang", 2018, 5, 4, "30 minutes at 23:30"),
    ("America/Caracas", 2016, 5, 1, "30 minutes"),
    ("Asia/Kathmandu", 1985, 12, 31, "15 minutes at New Year"),
    ("America/Toronto", 1987, 4, 5, "an hour"),
    ("Antarctica/Casey", 2010, 3, 4, "three hours, back"),
]
"""All of them past: what is to come changes with the database."""


def expressions(rng: random.Random, count: int) -> Iterator[Expression]:
    """Return so many expressions that have dates."""
    drawn = (generate(rng) for _ in itertools.repeat(None))
    return itertools.islice((expression for expression in drawn if has_dates(expression.text)), count)


def has_dates(text: str) -> bool:
    """Whether an expression is taken; one of those generated here is refused for one reason only."""
    try:
        parse_cron(text)
    except ScheduleProblem as problem:
        if "no date ever matches" not in problem.message:
            raise
        return False
    return True


def compare(seen: Window, expression: Expression, zone: Zone, rng: random.Random) -> int:
    """Compare the ticks of a window under every rule, from random instants too; return how many there are."""
    cron, oracle, total = parse_cron(expression.text), brute_ticks(seen, expression), 0
    start, end = seen.minutes[0].at, seen.minutes[-1].at + 60
    for rule in RULES:
        expected, found, at = oracle[rule.gap, rule.overlap], [], start - 1
        while (tick := cron.next_after(zone, rule, at)) is not None and tick < end:
            assert tick > at
            found.append(tick)
            at = tick
        context = (expression.text, zone.name, rule, datetime.fromtimestamp(start, UTC))
        assert found == expected, context
        for _ in range(3):
            after = rng.randrange(start, end)
            index = bisect_right(expected, after)
            if index < len(expected):
                assert cron.next_after(zone, rule, after) == expected[index], (context, after)
            assert cron.count_between(zone, rule, after + 1, end) == len(expected) - index, (context, after)
        total += len(expected)
    return total


def round_change(zone: Zone, change: Change) -> Window:
    """Return the window round a transition."""
    return window(zone.info, change.at - REACH, change.at + REACH)


@pytest.mark.parametrize(("name", "year", "month", "day", "what"), NAMED)
def test_named_cases(name: str, year: int, month: int, day: int, what: str) -> None:
    rng, zone = random.Random(f"{name} {what}"), load_zone(name)  # noqa: S311 - repeatable, keeps no secret
    middle = int(datetime(year, month, day, 12, tzinfo=UTC).timestamp())
    seen = window(zone.info, middle - 40 * HOUR, middle + 40 * HOUR)
    assert seen.left_out or any(minute.is_repeated for minute in seen.minutes)
    ticks = sum(compare(seen, expression, zone, rng) for expression in expressions(rng, 16))
    assert ticks > 0


@pytest.mark.torture
def test_every_pattern_of_the_next_ten_years(record_property: Callable[[str, object], None]) -> None:
    number, per_transition = drawn_seed(), 20 if LARGE else 1
    rng = random.Random(number)  # noqa: S311 - repeatable, keeps no secret
    patterns: dict[tuple[Change, ...], str] = {}
    for name, changes in changes_of_all(FIRST_YEAR, LAST_YEAR).items():
        patterns.setdefault(changes, name)
    assert len(patterns) >= 20
    chosen = list(patterns.items()) if LARGE else rng.sample(list(patterns.items()), 6)
    transitions = ticks = 0
    for changes, name in chosen:
        zone = load_zone(name)
        for change in changes:
            seen = round_change(zone, change)
            assert seen.left_out or any(minute.is_repeated for minute in seen.minutes)
            ticks += sum(
                compare(seen, expression, zone, rng) for expression in expressions(rng, per_transition)
            )
            transitions += 1
    rich = sum(len(changes) >= 20 for changes, _ in chosen)
    record_property(
        "torture",
        f"ticks against brute force: seed {number}, {len(chosen)} of {len(patterns)} patterns, {rich} "
        f"of them of 20 transitions or more, {transitions} transitions x {per_transition} expressions x 4 "
        f"rules, {ticks} ticks, 0 differences",
    )


@pytest.mark.torture
def test_every_zone_that_has_transitions(record_property: Callable[[str, object], None]) -> None:
    number, per_zone = drawn_seed(), 50 if LARGE else 2
    rng, ticks = random.Random(number), 0  # noqa: S311 - repeatable, keeps no secret
    zones = changes_of_all(FIRST_YEAR, LAST_YEAR)
    for name, changes in zones.items():
        zone = load_zone(name)
        forward = [change for change in changes if change.after > change.before]
        back = [change for change in changes if change.after < change.before]
        chosen = [round_change(zone, rng.choice(some)) for some in (forward, back) if some]
        for expression in expressions(rng, per_zone):
            ticks += compare(rng.choice(chosen), expression, zone, rng)
    record_property(
        "torture",
        f"ticks against brute force: seed {number}, {len(zones)} zones x {per_zone} expressions x 4 rules, "
        f"{ticks} ticks, 0 differences",
    )


def test_seconds_round_a_transition() -> None:
    """Six fields: each second of three hours is walked, round a gap and round an overlap."""
    for name, at in (("Europe/Berlin", datetime(2027, 3, 28, 1, tzinfo=UTC)),
                     ("Australia/Lord_Howe", datetime(2027, 4, 3, 15, tzinfo=UTC))):  # fmt: skip
        zone, info, middle = load_zone(name), ZoneInfo(name), int(at.timestamp())
        for text, seconds in (("*/7 * * * * *", range(0, 60, 7)), ("5,59 0/10 * * * *", (5, 59))):
            cron, minutes = parse_cron(text), range(0, 60, 1 if text[0] == "*" else 10)
            for rule in RULES:
                expected = []
                for tick in range(middle - 5400, middle + 5400):
                    local = datetime.fromtimestamp(tick, info)
                    if local.second in seconds and local.minute in minutes:
                        expected += [tick] if rule.overlap == "both" or not local.fold else []
                    elif tick == middle and at.month == 3 and rule.gap == "run_once":
                        expected.append(tick)
                found, after = [], middle - 5401
                while (after := cron.next_after(zone, rule, after) or 0) < middle + 5400:
                    found.append(after)
                assert found == expected, (name, text, rule)
