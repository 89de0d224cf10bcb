"""Deadlines: what may be written, and by when a tick must have started and be over."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from aetherflow.schedule.deadline import Deadline, Longer, parse_end_by, parse_longer_than
from aetherflow.schedule.invalid_value import ScheduleProblem


@pytest.mark.parametrize(
    ("text", "expected"),
    [("07:00", time(7)), ("7:05", time(7, 5)), (" 23:59:30 ", time(23, 59, 30)), ("00:00", time(0))],
)
def test_end_by_is_a_time_of_day(text: str, expected: time) -> None:
    assert parse_end_by(text) == expected


@pytest.mark.parametrize("text", ["24:00", "7", "7 o'clock", "07:60", "", "07:00+01:00", "2h"])
def test_other_texts_are_no_time_of_day(text: str) -> None:
    with pytest.raises(ScheduleProblem, match="is no time of day") as caught:
        parse_end_by(text)
    assert caught.value.code == "AF564"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3x", Longer(times=3)),
        ("1.5 x", Longer(times=1.5)),
        ("2h", Longer(7200)),
        ("90", Longer(90)),
    ],
)
def test_longer_than_is_a_multiple_or_a_duration(text: str, expected: Longer) -> None:
    assert parse_longer_than(text) == expected
    assert parse_longer_than(str(expected)) == expected, "a message shows it as it may be written"


@pytest.mark.parametrize("text", ["1x", "0.5x", "x", "0", "twice", "-2h", "3 times", "9999999999d"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ScheduleProblem, match="longer_than") as caught:
        parse_longer_than(text)
    assert caught.value.code == "AF564"


@pytest.mark.parametrize(
    ("scheduled", "end"),
    [
        ("2026-06-01T20:00:00", "2026-06-02T05:00:00"),  # 22:00 of Berlin: the next morning
        ("2026-06-02T01:00:00", "2026-06-02T05:00:00"),  # 03:00: the same morning
        ("2026-06-02T05:00:00", "2026-06-03T05:00:00"),  # at 07:00 itself: a day later
        ("2026-10-24T20:00:00", "2026-10-25T06:00:00"),  # over the night with two 02:30
    ],
)
def test_a_run_must_be_over_at_the_first_such_time_after_its_tick(scheduled: str, end: str) -> None:
    deadline = Deadline(end_by=time(7))
    at = datetime.fromisoformat(scheduled).replace(tzinfo=UTC)
    assert deadline.over_by(at, "Europe/Berlin") == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert Deadline().over_by(at, "Europe/Berlin") is None
