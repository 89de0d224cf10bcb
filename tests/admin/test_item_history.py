"""What became of every tick: history and explanations, over a scheduler with a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aetherflow.admin.explain_tick import TickExplanation
from aetherflow.admin.item_history import HistoryEntry
from aetherflow.admin.queries import StateQueries
from aetherflow.errors import UsageError
from aetherflow.schedule.instant_text import parse_past
from aetherflow.schedule.item import Schedule
from aetherflow.server.in_force import AskedFile
from tests.scheduler.scheduler_parts import MIDNIGHT, Server, schedule, server

pytestmark = pytest.mark.asyncio
BANKING = "calendars: {banking: {weekdays: [mon-fri], exclude: ['2026-01-01']}}"


async def history(
    one: Server,
    file: Schedule,
    item: str = "",
    outcomes: tuple[str, ...] = (),
    limit: int = 50,
    since: datetime | None = None,
) -> list[HistoryEntry]:
    ask = StateQueries(one.database, one.clock)
    return await ask.schedule_history(
        AskedFile(file.file, file), item, lambda _: (since, None), outcomes, limit
    )


async def explain(one: Server, file: Schedule, time: str, item: str = "a") -> list[TickExplanation]:
    return await StateQueries(one.database, one.clock).explain_tick(AskedFile(file.file, file), item, time)


async def test_a_night_can_be_explained(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '0 * * * *'")
        await one.scheduler.put(file)
        await one.tick(3600)
        (run,) = one.runs.submitted
        await one.begin(run)
        one.clock.advance(90)
        await one.end(run, "FAILED", "step load.copy failed")
        await one.tick(7200 - 90)  # nobody was there at 02:00

        found = await history(one, file)
        assert [(entry.local, entry.outcome) for entry in found] == [
            ("2026-01-01T01:00:00+00:00", "FAILED"),
            ("2026-01-01T02:00:00+00:00", "MISSED"),
            ("2026-01-01T03:00:00+00:00", "QUEUED"),
        ]
        assert (found[0].duration_seconds, found[0].run_id) == (90, run)
        assert found[1].reason == "late by more than misfire_grace_time, 300 s"
        newest = await history(one, file, "a", ("MISSED", "FAILED"), limit=1)
        assert [entry.outcome for entry in newest] == ["MISSED"]

        (failed,) = await explain(one, file, "2026-01-01T01:00")
        assert failed.answer == "FAILED: step load.copy failed"
        assert any(detail.startswith(f"more: aetherflow runs show {run}") for detail in failed.details)
        assert any("by server:" in detail for detail in failed.details)
        (wrong,) = await explain(one, file, "2026-01-01T01:30")
        assert wrong.answer == "not a tick: cron: the minute 30 does not match '0 * * * *'"
        assert (wrong.before, wrong.after) == ("2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+00:00")
        day = await explain(one, file, "2026-01-01")
        assert [one.answer.split(":")[0] for one in day[:4]] == [
            "not run",
            "FAILED",
            "MISSED",
            "QUEUED",
        ]
        assert day[4].answer == "it is due in 1 h"
        (first,) = await explain(one, file, "2025-12-31T23:00")
        assert first.answer.startswith("not run: no server knew the item before")


async def test_of_a_day_with_many_ticks_the_first_are_explained_and_the_others_counted(
    tmp_path: Path,
) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '* * * * *'")
        await one.scheduler.put(file)
        found = await explain(one, file, "2025-12-31")
        assert (len(found), found[-1].at) == (200, "2025-12-31T03:19:00Z")
        assert found[-1].details == ["1240 more ticks that day are not shown: give one of their times"]
        assert found[-2].details == []


async def test_days_that_a_calendar_closes_are_listed_and_explained(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '0 */6 * * *', calendar: banking", BANKING)
        await one.scheduler.put(file)
        await one.tick(86_400 + 60)
        closed = "2026-01-01 is excluded by the calendar 'banking'"
        found = await history(one, file, "a", since=MIDNIGHT)
        assert [(entry.outcome, entry.ticks, entry.reason) for entry in found] == [
            ("CLOSED", 4, closed),
            ("QUEUED", 1, ""),
        ]
        assert len(await history(one, file, "a", ("CLOSED",), since=MIDNIGHT)) == 1
        await one.tick(4 * 86_400)
        weekend = await history(one, file, "", ("CLOSED",))
        assert [entry.local[:10] for entry in weekend] == ["2026-01-03", "2026-01-04"]
        assert (await explain(one, file, "2026-01-01T06:00"))[0].answer == f"closed by the calendar: {closed}"


async def test_ticks_that_share_a_row_are_explained_by_it(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '* * * * *'")
        await one.scheduler.put(file)
        await one.tick(86_400)
        shared = next(entry for entry in await history(one, file, limit=1000) if entry.ticks > 1)
        (explained,) = await explain(one, file, "2026-01-01T01:00")
        assert explained.outcome == "MISSED"
        assert explained.details[0].startswith(f"it shares a row with {shared.ticks - 1} more ticks")


async def test_clock_changes_are_explained(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '30 2 * * *'", "timezone: Europe/Berlin")
        (gap,) = await explain(one, file, "2026-03-29T02:30")
        assert gap.is_tick
        assert gap.local == "2026-03-29T03:00:00+02:00"
        assert gap.details[0] == (
            "02:30:00 does not exist on 2026-03-29, since the clocks skip it, "
            "and dst_gap is run_once: the item fires once, right after the gap"
        )
        first, second = await explain(one, file, "2026-10-25T02:30")
        assert (first.is_tick, second.is_tick) == (True, False)
        assert "dst_overlap is first" in second.answer


async def test_why_there_is_no_tick_on_a_day(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(tmp_path, "id: a, cron: '30 2 * * mon'\nid: off, cron: '0 3 * * *', enabled: false")
        (none,) = await explain(one, file, "2026-01-01")
        assert none.answer == (
            "no tick on 2026-01-01: cron: 2026-01-01, a Thursday, does not match the days of '30 2 * * mon'"
        )
        (off,) = await explain(one, file, "2026-01-01", "off")
        assert off.answer == "not run: the item is disabled in the file"
        with pytest.raises(UsageError, match="there is no item 'b'"):
            await explain(one, file, "2026-01-01", "b")
        with pytest.raises(UsageError, match="no date and no instant"):
            await explain(one, file, "last night")


async def test_ages_and_days_are_times_of_the_past() -> None:
    now, berlin = datetime(2026, 11, 29, 6, tzinfo=UTC), ZoneInfo("Europe/Berlin")
    assert parse_past("36h", berlin, now) == datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert parse_past("7d", berlin, now) == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert parse_past("yesterday", berlin, now) == datetime(2026, 11, 27, 23, tzinfo=UTC)
    assert parse_past("2026-11-28T02:00", berlin, now) == datetime(2026, 11, 28, 1, tzinfo=UTC)
    assert parse_past("999999999w", berlin, now).year > 1970
    with pytest.raises(UsageError, match="no date and no instant"):
        parse_past("-3h", berlin, now)
    with pytest.raises(UsageError) as raised:
        parse_past("9999-12-31", berlin, now)
    assert "give one from 1971 to " in str(raised.value.hint)


async def test_ticks_in_windows_are_explained(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        text = "id: a, cron: '*/5 * * * *', not_between: ['12:00-13:00']\n"
        text += "id: b, cron: '30 12 * * *', not_between: ['12:00-13:00'], catch_up: latest"
        file = schedule(tmp_path, text)
        await one.scheduler.put(file)
        one.clock.advance(20 * 86_400 + 12.75 * 3600)
        await one.tick()

        async def answer(time: str, item: str = "a") -> str:
            (found,) = await explain(one, file, time, item)
            return f"{found.outcome}: {found.answer}"

        in_window = "in the window 12:00-13:00 (not_between)"
        assert await answer("2026-01-21T12:30") == f"SKIPPED: SKIPPED: {in_window}"
        assert (await answer("2026-01-01T12:30")).startswith(f"SKIPPED: SKIPPED: {in_window} (")
        assert (await answer("2026-01-01T13:00")).startswith("MISSED: MISSED: late by more than")
        assert await answer("2026-01-21T12:50") == f"None: it will not run: {in_window}"
        held = (
            "not decided: the item is in the window 12:00-13:00 (not_between), and it catches up after that"
        )
        assert await answer("2026-01-21T12:30", "b") == f"None: {held}"
        later = "it is decided after the window 12:00-13:00 (not_between)"
        assert await answer("2026-01-22T12:30", "b") == f"None: {later}"
        entries = await history(one, file, "a", ("SKIPPED",), 2)
        assert [(entry.local[:16], entry.reason) for entry in entries] == [
            ("2026-01-21T12:40", in_window),
            ("2026-01-21T12:45", in_window),
        ]


@pytest.mark.parametrize(
    ("shift", "day", "open_day"),
    [
        ("next_working_day", "2026-01-03", "2026-01-05"),
        ("previous_working_day", "2026-01-03", "2026-01-02"),
    ],
)
async def test_a_tick_that_the_calendar_moves_is_explained(
    tmp_path: Path, shift: str, day: str, open_day: str
) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        file = schedule(
            tmp_path,
            "id: a, cron: '0 22 * * *', calendar: c",
            f"calendars: {{c: {{weekdays: [mon-fri], shift: {shift}}}}}",
        )
        closed = f"{day} is a saturday, no working day of the calendar 'c'"
        why = f"{closed}, and shift moves its ticks to {open_day}"
        assert [(found.is_tick, found.answer) for found in await explain(one, file, day)] == [
            (False, f"no tick on {day}: {why}")
        ]
        (at,) = await explain(one, file, f"{day}T22:00")
        assert (at.is_tick, at.answer) == (False, f"not a tick: {why}")
        (other,) = await explain(one, file, f"{day}T21:00")
        assert other.answer == "not a tick: cron: the hour 21 does not match '0 22 * * *'"
