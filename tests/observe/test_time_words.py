"""How far a time is from now, in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.observe.time_words import distance

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (0.4, "now"),
        (40, "in 40 s"),
        (-1, "1 s ago"),
        (59.6, "in 1 min"),
        (90, "in 1 min 30 s"),
        (599.7, "in 10 min"),
        (750, "in 12 min"),
        (3599, "in 1 h"),
        (3 * 3600 + 12 * 60, "in 3 h 12 min"),
        (86_399, "in 1 d"),
        (-2 * 86_400, "2 d ago"),
        (2 * 86_400 + 4 * 3600, "in 2 d 4 h"),
        (864_000 - 1, "in 10 d"),
        (-400 * 86_400, "400 d ago"),
    ],
)
def test_a_time_is_so_far_away(seconds: float, words: str) -> None:
    assert distance(NOW + timedelta(seconds=seconds), NOW) == words
