"""Intervals and moments that make no sense are refused in a sentence."""

from __future__ import annotations

import pytest

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.trigger import parse_interval, parse_moment


@pytest.mark.parametrize("seconds", [0, -5])
def test_an_interval_is_a_second_at_least(seconds: int) -> None:
    with pytest.raises(ScheduleProblem, match=f"interval_seconds: {seconds} is less than a second") as caught:
        parse_interval(seconds)
    assert caught.value.code == "AF151"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2027-12-24",
        "20271224",
        "18:00",
        "2027-02-30T18:00",
        "1969-12-31T18:00",
        "9999-01-01T00:00",
    ],
)
def test_a_moment_has_a_date_and_a_time(text: str) -> None:
    with pytest.raises(ScheduleProblem, match="is no date with a time of day") as caught:
        parse_moment(text)
    assert "2026-12-24T18:00+01:00" in caught.value.hint
    assert caught.value.code == "AF151"
