"""Seconds between two stored times."""

from __future__ import annotations

import pytest

from aetherflow.store.stored_times import seconds_between

NOON = "2026-07-01T12:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (NOON, "2026-07-01T12:01:30.750000+00:00", 90.5),
        (NOON, "2026-07-01T14:00:01.250000+02:00", 1.0),
        (NOON, "2026-07-01T11:59:59.000000+00:00", 0.0),
        (None, NOON, None),
        (NOON, None, None),
    ],
    ids=["later", "other offset", "a clock was set back", "has not begun", "has not ended"],
)
def test_seconds_between_two_stored_times(start: str | None, end: str | None, seconds: float | None) -> None:
    assert seconds_between(start, end) == seconds
