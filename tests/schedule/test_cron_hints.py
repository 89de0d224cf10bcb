"""An expression of another tool is refused with what to write instead."""

from __future__ import annotations

import pytest

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.invalid_value import ScheduleProblem


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("CRON_TZ=Europe/Berlin 0 6 * * *", "timezone: Europe/Berlin, and cron: '0 6 * * *'"),
        ("TZ=UTC 0 6 * * *", "timezone: UTC, and cron: '0 6 * * *'"),
        ("5m", "interval_seconds: 5m"),
        ("0 6 * * * Europe/Berlin", "timezone: Europe/Berlin, and cron: '0 6 * * *'"),
        ("30 0 6 * * mon UTC", "timezone: UTC, and cron: '30 0 6 * * mon'"),
        ("300", "every 300 seconds is interval_seconds: 300"),
        ("PT5M", "interval_seconds: 5m"),
        ("P1DT2H", "interval_seconds: 1d2h"),
        ("every 5 minutes", "interval_seconds: 5m"),
        ("@every 1h30m", "interval_seconds: 1h30m"),
        ("rate(5 minutes)", "interval_seconds: 5m"),
        ("rate(1 day)", "interval_seconds: 1d"),
        ("cron(0 6 * * ? *)", "'0 6 * * *'"),
        ("daily", "cron: '@daily'"),
        ("OnCalendar=weekly", "cron: '@weekly'"),
        ("Mon *-*-* 06:00:00", "write '0 6 * * mon'"),
        ("*-*-* 06:30:00", "write '30 6 * * *'"),
        ("Mon..Fri *-*-01 06:00", "systemd's OnCalendar"),
        ("0 6 ? * MON", "write * for any"),
        ("0 0 6 ? * MON 2026", "'0 0 6 * * MON'"),
        ("0 0 6 * * MON *", "leave out the last field, the year: '0 0 6 * * MON'"),
    ],
)
def test_the_hint_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(ScheduleProblem) as caught:
        parse_cron(text)
    assert hint in caught.value.hint
