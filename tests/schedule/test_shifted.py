"""Ticks of closed dates are moved to open ones: against moving each tick by itself."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from aetherflow.schedule.anchored_interval import DayInterval
from aetherflow.schedule.calendar import Calendar, is_open, make_calendar
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.rrule_text import parse_rrule
from aetherflow.schedule.shifted import Direction, Shifted
from aetherflow.schedule.timetable import notes, ticks
from aetherflow.schedule.trigger_kind import LocalTrigger
from aetherflow.schedule.zone import DAY, load_zone, seconds
from aetherflow.server.schedule_files import load_schedule
from tests.schedule.brute_force import generate
from tests.schedule.seeds import drawn_seed
from tests.sizes import LARGE

BEGIN, END = (seconds(datetime(year, 1, 1, tzinfo=UTC)) for year in (2026, 2028))
CALENDARS = [
    make_calendar("business", weekdays=["mon-fri"], exclude=[date(2026, 12, 25), date(2027, 1, 1)]),
    make_calendar("closing", working_day=-1),
    make_calendar("few", include=[date(2026, 3, 1), date(2026, 9, 30), date(2027, 6, 1)]),
]


def moved(at: int, calendar: Calendar, step: int) -> int | None:
    """Move one local time; None beyond the dates of the sweep."""
    while not is_open(calendar, datetime.fromtimestamp(at, UTC).date()):
        at += step * DAY
        if not BEGIN - 400 * DAY < at < END + 400 * DAY:
            return None
    return at


def bases(rng: random.Random) -> LocalTrigger:
    match rng.choice(("cron", "cron", "rrule", "days")):
        case "rrule":
            texts = (
                "FREQ=MONTHLY;BYMONTHDAY=1,15,31;BYHOUR=6,18",
                "FREQ=WEEKLY;BYDAY=SA,TU;BYHOUR=7;BYSETPOS=-1",
            )
            return parse_rrule(rng.choice(texts), load_zone("UTC"))
        case "days":
            return DayInterval(rng.randint(1, 20) * DAY, BEGIN - 500 * DAY + rng.randint(0, DAY - 1))
        case _:
            fields = generate(rng).text.split()
            return parse_cron(" ".join([str(rng.randint(0, 59)), str(rng.randint(0, 23)), *fields[2:]]))


@pytest.mark.parametrize("direction", ["next_working_day", "previous_working_day"])
@pytest.mark.parametrize("calendar", CALENDARS, ids=lambda one: one.name)
def test_each_tick_is_moved_and_equal_ones_are_one(calendar: Calendar, direction: Direction) -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - repeatable, keeps no secret
    for _ in range(200 if LARGE else 4):
        base = bases(rng)
        one = Shifted(base, calendar, direction)
        plain, at = set(), BEGIN - 399 * DAY
        while (at := base.find(at) or END * 2) < END + 399 * DAY:
            plain.add(at)
            at += 1
        step = 1 if direction == "next_working_day" else -1
        all_moved = (moved(at, calendar, step) for at in plain)
        expected = sorted({at for at in all_moved if at is not None and BEGIN <= at < END})
        found, at = [], BEGIN
        while (at := one.find(at) or END) < END:
            found.append(at)
            at += 1
        assert found == expected, (base, calendar.name)
        low, high = sorted(rng.randint(BEGIN, END) for _ in range(2))
        assert one.count(low, high) == sum(low <= at < high for at in expected), (base, calendar.name)


def test_a_file_says_it_and_the_tick_names_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("version: 1\n")
    (tmp_path / "scheduler.yaml").write_text(
        """
version: 1
calendars:
  banking: {weekdays: [mon-fri], exclude: ["2026-06-01"], shift: next_working_day}
items:
  - {id: a, cron: "0 6 1,31 * *", flow_yaml: flow.yaml, calendar: banking}
"""
    )
    table = load_schedule(tmp_path / "scheduler.yaml").items["a"].table
    begin = datetime(2026, 5, 30, tzinfo=UTC)
    found = list(ticks(table, begin, begin + timedelta(days=20)))
    assert found == [datetime(2026, 6, 2, 6, tzinfo=UTC)]
    assert notes(table, found[0]) == ("moved from 2026-05-31, 2026-06-01",)
