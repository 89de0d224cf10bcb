"""The cron expressions of the manual fire as its table says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aetherflow.schedule.cron import NAMES, parse_cron
from aetherflow.schedule.timetable import Timetable, ticks
from aetherflow.schedule.zone import load_zone

PAGE = Path(__file__).parents[2] / "aetherflow" / "manual" / "schedules.md"
TABLE = PAGE.read_text(encoding="utf-8").partition("| expression | fires |")[2].partition("\n\n")[0]
EXPRESSIONS = [text for text in re.findall(r"`([^`\n]+)`", TABLE) if text != "*"]
MAY = {
    "*/15 8-18 * * mon-fri": ["03 08:00", "03 08:15", "03 08:30"],
    "30 2 1,15 jan-jun *": ["01 02:30", "15 02:30"],
    "0 6 13 * fri": ["07 06:00", "13 06:00", "14 06:00"],
    "0 6 */2 * fri": ["07 06:00", "21 06:00"],
    "0 0 L * *": ["31 00:00"],
    "0 0 L-2 * *": ["29 00:00"],
    "0 0 15W * *": ["14 00:00"],
    "0 0 LW * *": ["31 00:00"],
    "0 9 * * fri#2": ["14 09:00"],
    "0 9 * * friL": ["28 09:00"],
    "*/10 * * * * *": ["01 00:00"] * 3,
}
"""The first ticks of May 2027, whose 15th is a Saturday, by day and time."""


def test_every_expression_of_the_table_is_looked_at() -> None:
    assert set(EXPRESSIONS) == MAY.keys() | NAMES.keys()


@pytest.mark.parametrize("text", MAY)
def test_an_expression_fires_as_the_table_says(text: str) -> None:
    table = Timetable("item", parse_cron(text), load_zone("UTC"))
    found = ticks(table, datetime(2027, 4, 30, 23, 59, 59, tzinfo=UTC), datetime(2027, 5, 31, 23, tzinfo=UTC))
    assert [f"{tick:%d %H:%M}" for tick, _ in zip(found, range(3), strict=False)] == MAY[text]
