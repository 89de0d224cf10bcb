"""How a duration may be written, and what it means in seconds."""

from __future__ import annotations

import pytest

from aetherflow.spec.duration import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("007", 7),
        ("90s", 90),
        ("0s", 0),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("1d12h", 129_600),
        ("1m30.5s", 90.5),
        ("1.5h", 5400),
        ("0.1m", 6),
        (" 5m\n", 300),
    ],
)
def test_a_duration_is_seconds_or_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "5 m",
        "5M",
        "5min",
        "5m2h",
        "5m5m",
        "-5m",
        "+5",
        "1e3",
        "0x1F",
        "inf",
        "nan",
        "1_000",
        "12:30",
        "PT5M",
        ".5",
        "٣m",
    ],
)
def test_everything_else_is_refused_and_the_message_shows_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write seconds"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (90, "1m30s"),
        (5400, "1h30m"),
        (86_400, "1d"),
        (1_209_600, "14d"),
        (0.25, "250ms"),
        (61.5, "1m1s500ms"),
    ],
)
def test_seconds_are_shown_as_they_may_be_written(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert parse_duration(text) == seconds
