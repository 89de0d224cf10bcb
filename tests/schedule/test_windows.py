"""Windows (`not_between`): which instants and ticks are in them, against looking at each local time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.item import fingerprint
from aetherflow.schedule.timetable import Timetable, count_ticks, latest_ticks, next_tick, ticks
from aetherflow.schedule.trigger import Interval
from aetherflow.schedule.window import EVERY_DAY, Window, parse_window, spans, window_at, window_end
from aetherflow.schedule.windowed import ticks_in, ticks_outside
from aetherflow.schedule.zone import DAY, instant, load_zone, seconds
from aetherflow.server.schedule_files import load_schedule
from tests.schedule.seeds import drawn_seed

ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "UTC")
TEXTS = (
    *("22:00-23:30", "22:00-06:00", "00:00-24:00", "02:15-02:45", "01:30-03:10", "sat,sun 00:00-24:00"),
    *("mon-fri 08:00-18:00", "fri-mon 23:00-01:00", "23:59:30-00:00", "sun 12:00-11:00", "03:00-04:00"),
)


def is_inside(texts: tuple[str, ...], zone: str, at: int) -> bool:
    """Whether the wall clock shows a time of a window; written a second time, from the manual."""
    wall = datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None)
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    for text in texts:
        days, _, times = text.rpartition(" ")
        chosen: set[int] = set()
        for part in days.split(",") if days else ["mon-sun"]:
            first, _, last = part.partition("-")
            day = names.index(first)
            chosen.add(day)
            while last and names[day] != last:
                day = (day + 1) % 7
                chosen.add(day)
        begin, end = (
            timedelta(**dict(zip(("hours", "minutes", "seconds"), map(int, one.split(":")), strict=False)))
            for one in times.split("-")
        )
        for ago in (0, 1):
            midnight = datetime(wall.year, wall.month, wall.day) - timedelta(days=ago)  # noqa: DTZ001 - wall time
            until = midnight + end + timedelta(days=end <= begin)
            if midnight.weekday() in chosen and midnight + begin <= wall < until:
                return True
    return False


@pytest.mark.parametrize("zone", ZONES)
def test_what_is_in_a_window_is_what_the_wall_clock_shows(zone: str) -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - a test draws cases
    known = load_zone(zone)
    changes = (datetime(2026, 3, 28), datetime(2026, 4, 4), datetime(2011, 12, 29), datetime(2026, 10, 24))  # noqa: DTZ001
    for change in changes:
        for _ in range(12):
            texts = tuple(rng.sample(TEXTS, rng.randint(1, 3)))
            windows = tuple(map(parse_window, texts))
            begin = seconds(change.replace(tzinfo=UTC)) + rng.randrange(DAY)
            end = begin + 3 * DAY
            found = list(spans(windows, known, begin, end))
            assert all(low < high for low, high in found)
            assert all(one[1] < after[0] for one, after in pairwise(found))
            edges = [at + by for span in found for at in span for by in (-1, 0)]
            for at in (*edges, *range(begin, end, 1799)):
                if not begin <= at < end:
                    continue
                expected = is_inside(texts, zone, at)
                assert (window_at(windows, known, at) is not None) == expected, (texts, at)
                assert any(low <= at < high for low, high in found) == expected, (texts, at)
                over = window_end(windows, known, at)
                assert (over > at) == expected
                assert over - at >= 14 * DAY or not is_inside(texts, zone, over)


@pytest.mark.parametrize("zone", ZONES)
def test_each_tick_is_inside_or_outside(zone: str) -> None:
    rng = random.Random(drawn_seed())  # noqa: S311 - a test draws cases
    for _ in range(15):
        texts = tuple(rng.sample(TEXTS, rng.randint(1, 3)))
        windows = tuple(map(parse_window, texts))
        trigger = rng.choice([parse_cron("*/20 * * * *"), parse_cron("0 22,2 * * *"), Interval(2700)])
        table = Timetable("a", trigger, load_zone(zone))
        begin = datetime(2026, rng.choice((3, 4, 10)), rng.randint(1, 27), tzinfo=UTC)
        end = begin + timedelta(days=9)
        every = list(ticks(table, begin, end))
        inside = [tick for tick in every if is_inside(texts, zone, seconds(tick))]
        outside = [tick for tick in every if tick not in inside]
        for some, expected in ((ticks_in(table, windows), inside), (ticks_outside(table, windows), outside)):
            assert list(ticks(some, begin, end)) == expected, texts
            assert count_ticks(some, seconds(begin) + 1, seconds(end) + 1) == len(expected)
            newest = latest_ticks(some, seconds(begin) + 1, seconds(end) + 1, 3)
            assert [instant(tick) for tick in newest] == expected[-3:]


def test_ticks_that_are_all_in_windows_end_the_search() -> None:
    table = Timetable("a", parse_cron("0 22 * * *"), load_zone("UTC"))
    windows = (parse_window("22:00-23:30"),)
    assert next_tick(ticks_outside(table, windows), datetime(2026, 1, 1, tzinfo=UTC)) is None
    always = (parse_window("00:00-24:00"),)
    assert next_tick(ticks_outside(table, always), datetime(2026, 1, 1, tzinfo=UTC)) is None
    never = (parse_window("12:00-13:00"),)
    assert next_tick(ticks_in(table, never), datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_texts_that_are_windows() -> None:
    assert parse_window(" 22:00 -  06:00 ") == Window("22:00 - 06:00", 79_200, 21_600, EVERY_DAY)
    assert parse_window("Sat, sunday 0:00-24:00", "c") == Window(
        "Sat, sunday 0:00-24:00", 0, DAY, frozenset({5, 6}), "c"
    )
    assert parse_window("fri-mon 23:00-1:00:05").weekdays == {4, 5, 6, 0}


@pytest.mark.parametrize(
    "text",
    [
        *("", "22:00", "22-23", "10pm-11pm", "22:00-22:00", "24:00-02:00", "25:00-26:00", "22:00-24:01"),
        "22:00-23:60",
        "moon 22:00-23:00",
        "mon,,22:00-23:00",
        "22:00-23:00 mon",
        "٢٢:00-23:00x",
    ],
)
def test_texts_that_are_not(text: str) -> None:
    with pytest.raises(ScheduleProblem) as caught:
        parse_window(text)
    assert caught.value.code == "AF441"
    assert caught.value.hint


def test_windows_of_item_and_calendar_and_no_new_beginning_for_them(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("version: 1\n")
    path = tmp_path / "s.yaml"

    def items(own: str, of_calendar: str) -> list[tuple[str, ...]]:
        path.write_text(
            f"version: 1\nid: n\ncalendars:\n"
            f"  c: {{weekdays: [mon-fri], shift: next_working_day{of_calendar}}}\n"
            f"items: [{{id: a, cron: '0 * * * *', calendar: c, flow_yaml: flow.yaml{own}}}]\n"
        )
        item = load_schedule(path).items["a"]
        return [(item.definition,), tuple(map(str, item.windows))]

    (plain,), without = items("", "")
    assert without == ()
    (same,), found = items(", not_between: ['22:00-23:00']", ", not_between: ['12:00-13:00']")
    assert same == plain, "its ticks have rows in windows too"
    assert found == (
        "the window 22:00-23:00 (not_between)",
        "the window 12:00-13:00 of the calendar 'c' (not_between)",
    )
    spec = load_schedule(path).items["a"].spec
    assert fingerprint(spec, "UTC", None) != plain
