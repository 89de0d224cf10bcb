"""Holidays are the dates of the events of an iCalendar file."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from aetherflow.schedule.calendar import is_open, make_calendar, why_closed
from aetherflow.schedule.holidays import read_holidays
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.server.file_watch import signature
from aetherflow.server.schedule_files import load_schedule


def ics(*events: str) -> bytes:
    text = "".join(f"BEGIN:VEVENT\r\nUID:{n}\r\n{event}\r\nEND:VEVENT\r\n" for n, event in enumerate(events))
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{text}END:VCALENDAR\r\n".encode()


def dates(*events: str) -> list[str]:
    return sorted(str(day) for day in read_holidays("x.ics", ics(*events)).names)


def test_events_of_one_day_of_several_and_with_a_time() -> None:
    assert dates(
        "DTSTART;VALUE=DATE:20261225", "DTSTART;VALUE=DATE:20260806\r\nDTEND;VALUE=DATE:20260808"
    ) == [
        "2026-08-06",
        "2026-08-07",
        "2026-12-25",
    ]
    assert dates("DTSTART:20260101T090000\r\nDTEND:20260102T120000") == ["2026-01-01", "2026-01-02"]
    assert dates("DTSTART:20260101T000000\r\nDTEND:20260102T000000") == ["2026-01-01"]
    assert dates("DTSTART;VALUE=DATE:20260101\r\nDURATION:P2D") == ["2026-01-01", "2026-01-02"]


def test_yearly_events_and_exceptions() -> None:
    found = dates("DTSTART;VALUE=DATE:20200501\r\nRRULE:FREQ=YEARLY\r\nEXDATE;VALUE=DATE:20210501")
    assert found[:2] == ["2020-05-01", "2022-05-01"]
    assert found[-1] == "2100-05-01"
    until = dates("DTSTART;VALUE=DATE:20200501\r\nRRULE:FREQ=YEARLY;UNTIL=20220501T000000Z")
    assert until == ["2020-05-01", "2021-05-01", "2022-05-01"]
    assert dates("DTSTART;VALUE=DATE:20200501", "DTSTART;VALUE=DATE:20200601\r\nSTATUS:CANCELLED") == [
        "2020-05-01"
    ]


def test_a_calendar_says_the_name_and_include_wins() -> None:
    holidays = read_holidays("x.ics", ics("DTSTART;VALUE=DATE:20261224\r\nDURATION:P3D\r\nSUMMARY:Christmas"))
    included = [date(2026, 12, 24)]
    calendar = make_calendar("c", weekdays=["mon-sun"], include=included, holidays=holidays)
    assert is_open(calendar, included[0])
    reason = why_closed(calendar, included[0] + timedelta(days=1))
    assert reason == "2026-12-25 is a holiday of the calendar 'c': Christmas"


@pytest.mark.parametrize(
    "data", [b"", b"version: 1\n", ics(), ics("SUMMARY:no date"), b"\xff\x00", ics("DTSTART:soon")]
)
def test_what_is_no_calendar_is_refused(data: bytes) -> None:
    with pytest.raises(ScheduleProblem) as caught:
        read_holidays("x.ics", data)
    assert caught.value.code == "AF577"


def test_a_scheduler_file_names_it_and_a_change_is_another_definition(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("version: 1\n")
    file, beside = tmp_path / "scheduler.yaml", tmp_path / "h.ics"
    file.write_text(
        "version: 1\ncalendars: {c: {holidays: h.ics}}\n"
        "items: [{id: a, cron: '0 6 * * *', flow_yaml: flow.yaml, calendar: c}]\n"
    )
    beside.write_bytes(ics("DTSTART;VALUE=DATE:20261225"))
    first = load_schedule(file)
    assert first.beside == {beside: signature(beside)}
    beside.write_bytes(ics("DTSTART;VALUE=DATE:20261226"))
    second = load_schedule(file)
    assert first.items["a"].definition != second.items["a"].definition
    assert first.items["a"] != second.items["a"]
