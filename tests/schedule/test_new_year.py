"""Zones that change their clocks as a year begins in UTC: years are looked at singly, and no edge shows."""

from __future__ import annotations

import io
import random
import struct
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.timetable import Timetable, notes, ticks
from aetherflow.schedule.zone import Zone
from tests.schedule.brute_force import Expression, window
from tests.schedule.test_ticks_against_brute_force import compare

NEW_YEAR = datetime(2028, 1, 1, tzinfo=UTC)
MINUTES = [-30, 0, 30]
EVERY_DAY = [
    Expression("*/5 * * * *", frozenset(range(0, 1440, 5)), lambda _: True),
    Expression("0,15,45 0 * * *", frozenset((0, 15, 45)), lambda _: True),
    Expression("30,59 23 * * *", frozenset((1410, 1439)), lambda _: True),
    Expression("10 0 1 1 *", frozenset((10,)), lambda day: (day.month, day.day) == (1, 1)),
]


def zone_of(minute: int, before: int, after: int) -> Zone:
    """Return a zone of one transition, so many minutes after New Year, as a TZif file (RFC 9636)."""
    at = int((NEW_YEAR + timedelta(minutes=minute)).timestamp())
    types = struct.pack(">lBBlBB8s", before, 0, 0, after, 0, 4, b"OLD\0NEW\0")
    head = b">4sc15x6l"
    first = struct.pack(head, b"TZif", b"2", 0, 0, 0, 1, 2, 8) + struct.pack(">lB", at, 1) + types
    second = struct.pack(head, b"TZif", b"2", 0, 0, 0, 1, 2, 8) + struct.pack(">qB", at, 1) + types
    footer = f"\nNEW{-after // 3600}\n".encode()
    return Zone(ZoneInfo.from_file(io.BytesIO(first + second + footer), key=f"{minute} {before} {after}"))


@pytest.mark.parametrize("minute", MINUTES)
@pytest.mark.parametrize(("before", "after"), [(3600, 0), (0, 3600), (0, -3600), (-3600, 0)])
def test_ticks_round_new_year(minute: int, before: int, after: int) -> None:
    rng, zone = random.Random(minute), zone_of(minute, before, after)  # noqa: S311 - repeatable, keeps no secret
    at = int(NEW_YEAR.timestamp())
    seen = window(zone.info, at - 4 * 3600, at + 4 * 3600)
    assert seen.left_out or any(repeated.is_repeated for repeated in seen.minutes)
    assert sum(compare(seen, expression, zone, rng) for expression in EVERY_DAY) > 100


def test_notes_at_new_year() -> None:
    """The clock goes back from 01:30 to 00:30 at 00:30 UTC: what comes twice first comes in two years."""
    zone = zone_of(30, 3600, 0)
    table = Timetable("item", parse_cron("*/15 * * * *"), zone)
    around = ticks(table, NEW_YEAR - timedelta(minutes=46), NEW_YEAR + timedelta(hours=1, minutes=30))
    reported = [" ".join(notes(table, tick)) for tick in around]
    assert reported == [
        "",
        *[f"first of two {time}:00" for time in ("00:30", "00:45", "01:00", "01:15")],
        *[f"second of two {time}:00" for time in ("00:30", "00:45", "01:00", "01:15")],
        "",
    ]
