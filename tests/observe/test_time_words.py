"""How far a time is from now, in words, and the times of a sentence in one zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.observe.time_words import distance, in_zone

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


@pytest.mark.parametrize(
    ("reason", "local"),
    [
        ("run r1 of 2026-07-01T01:02:03Z has not ended", "run r1 of 2026-07-01T03:02:03+02:00 has not ended"),
        ("from 2026-01-01T00:00:00.500000Z, to", "from 2026-01-01T01:00:00+01:00, to"),
        ("2026-99-01T00:00:00Z", "2026-99-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("until 2026-07-01T01:02:03+09:00", "until 2026-07-01T01:02:03+09:00"),
        ("exit code 3: load\nlast lines of stderr:\n  no table", "exit code 3: load"),
    ],
)
def test_a_reason_is_shown_in_one_line_with_its_times_in_one_zone(reason: str, local: str) -> None:
    assert in_zone(reason, "Europe/Berlin") == local
