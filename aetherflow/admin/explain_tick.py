"""Explain one instant of an item, or every tick of a day: whether it is a tick, and what became of it."""

from __future__ import annotations

import shlex
import sqlite3
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from aetherflow.admin.followed_days import held_ticks
from aetherflow.admin.scheduled_items import KnownItem
from aetherflow.admin.stopped_ticks import pause_over, why_later, why_stopped
from aetherflow.cli_hints import state_option
from aetherflow.errors import UsageError
from aetherflow.observe.event_text import duration
from aetherflow.observe.time_words import distance, in_zone
from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.instant_text import parse_past, utc_text
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import count_ticks, due_at, latest_ticks, next_tick, notes, ticks
from aetherflow.schedule.why_no_tick import in_the_gap, why_no_tick, why_no_tick_on
from aetherflow.schedule.zone import instant, seconds
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.window_ticks import is_held_by_window
from aetherflow.store.alerts import alerts_of
from aetherflow.store.firing_history import firing_at_or_after, is_run_here, known_of
from aetherflow.store.firings import Firing, firings_between
from aetherflow.store.pauses import read_pauses
from aetherflow.store.stored_times import seconds_between

MOST_ROWS = 200
"""How many rows after a tick without a row are looked at for one that it shares."""
MOST_TICKS = 200
"""How many ticks of one day are explained."""
_SECOND = timedelta(seconds=1)
_FIVE_YEARS = 5 * 366 * 86_400


class TickExplanation(msgspec.Struct, frozen=True):
    """What there is to say about one instant.

    Attributes:
        local: the instant on the clocks of the item, with its offset.
        is_tick: whether the file in force has a tick there, calendar aside.
        outcome: that of its firing; None without one.
        answer: the main sentence.
        details: further sentences.
        before, after: the nearest ticks, local; None if there is none.
    """

    at: str
    local: str
    is_tick: bool
    outcome: str | None
    answer: str
    details: list[str]
    before: str | None
    after: str | None
    run_id: str | None = None


class Explainer(msgspec.Struct, frozen=True):
    """Explains times of one item."""

    raw: sqlite3.Connection
    schedule: Schedule
    item: Item
    state: Path
    now: datetime

    def explain(self, text: str) -> list[TickExplanation]:
        """Explain a local time, an instant, or every tick of a date, of `yesterday` or `today`.

        Raises:
            UsageError: it is none of them.
        """
        zone = ZoneInfo(self.item.zone)
        at = parse_past(text, zone, self.now)
        if text in ("today", "yesterday") or len(text) == len("2026-12-31"):
            return self._day(at)
        given = datetime.fromisoformat(text) if "T" in text or " " in text else at
        if given.tzinfo is not None:
            return [self._instant(at)]
        first, second = (given.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first == second:
            return [self._instant(first)]
        if first.astimezone(zone).replace(tzinfo=None) == given:
            return [self._instant(first), self._instant(second)]
        end = instant(self.item.table.zone.period(seconds(max(first, second))).start)
        missing = f"{given:%H:%M:%S} does not exist on {given:%Y-%m-%d}, since the clocks skip it"
        why = in_the_gap(self.item.table, given.replace(tzinfo=UTC))
        found = self._instant(end)
        return [replace(found, details=[f"{missing}, {why}", *found.details])]

    def _day(self, at: datetime) -> list[TickExplanation]:
        begin, end = self.item.day_of(at)
        every = replace(self.item.table, calendar=None)
        found = {*islice(ticks(every, begin - _SECOND, end - _SECOND), MOST_TICKS)}
        rows = firings_between(self.raw, self.item.scheduler, self.item.id, begin, end)
        found |= {row.scheduled for row in rows[:MOST_TICKS]}
        if found:
            shown = sorted(found)[:MOST_TICKS]
            explained = [self._instant(tick) for tick in shown]
            if left := count_ticks(every, seconds(shown[-1]) + 1, seconds(end)):
                more = f"{left} more ticks that day are not shown: give one of their times"
                explained[-1] = replace(explained[-1], details=[*explained[-1].details, more])
            return explained
        day = local_date(self.item.table.zone, seconds(begin))
        return [self._none_on(begin, day)]

    def _none_on(self, begin: datetime, day: date) -> TickExplanation:
        why = why_no_tick_on(self.item.table, datetime(day.year, day.month, day.day, tzinfo=UTC))
        return self._found(begin, None, f"no tick on {day}: {why}", [], is_tick=False)

    def _instant(self, at: datetime) -> TickExplanation:
        whole = instant(seconds(at))
        every = replace(self.item.table, calendar=None)
        is_tick = next_tick(every, whole - _SECOND) == whole
        rows = firings_between(
            self.raw, self.item.scheduler, self.item.id, at, at + timedelta(microseconds=1)
        ) or firings_between(self.raw, self.item.scheduler, self.item.id, whole, whole + _SECOND)
        noted = list(notes(self.item.table, whole)) if is_tick else []
        if rows:
            return self._found(
                at, rows[0], _what(rows[0], self.item.zone), noted + self._of_row(rows[0]), is_tick=is_tick
            )
        if not is_tick:
            return self._found(at, None, f"not a tick: {why_no_tick(every, whole)}", [], is_tick=False)
        return self._without_row(whole, noted)

    def _without_row(self, at: datetime, noted: list[str]) -> TickExplanation:
        calendar = self.item.table.calendar
        day = local_date(self.item.table.zone, seconds(at))
        if calendar is not None and (why := why_closed(calendar, day)):
            return self._found(at, None, f"closed by the calendar: {why}", noted)
        shared = self._shared_row(at)
        if shared:
            shares = (
                f"it shares a row with {shared.ticks - 1} more ticks, that of {self._local(shared.scheduled)}"
            )
            return self._found(
                at, shared, _what(shared, self.item.zone), [*noted, shares, *self._of_row(shared)]
            )
        return self._found(at, None, self._why_undecided(at), noted)

    def _shared_row(self, at: datetime) -> Firing | None:
        """Return the row that a tick shares with others; ticks in windows and those outside share none."""
        skips = self.item.skips_in_windows
        is_inside = skips and self.item.window_at(at) is not None
        table = self.item.ticks_in_windows if is_inside else self.item.ticks_that_run
        since = at
        for _ in range(MOST_ROWS):
            row = firing_at_or_after(self.raw, self.item.scheduler, self.item.id, since)
            if row is None:
                return None
            if not skips or (self.item.window_at(row.scheduled) is not None) == is_inside:
                ticks_up_to = count_ticks(table, seconds(at), seconds(row.scheduled) + 1)
                return row if ticks_up_to <= row.ticks else None
            since = row.scheduled + _SECOND
        return None

    def _why_undecided(self, at: datetime) -> str:
        """Return why no server has decided about a tick that the calendar allows."""
        if not self.item.spec.enabled:
            return "not run: the item is disabled in the file"
        known = known_of(self.raw, self.item.scheduler, self.item.id)
        pauses = read_pauses(self.raw, self.item.scheduler)
        if due_at(self.item.table, at) > self.now:
            held = why_stopped(self.item, at, pauses) or held_ticks(self.schedule, pauses)(self.item, at)
            later = why_later(self.item, at, pauses)
            when = f"it is decided {later}" if later else f"it is due {distance(at, self.now)}"
            return f"it will not run: {held}" if held else when
        if known.since is None:
            return "not run: no server has served the item on this database"
        if at < known.since:
            since = self._local(known.since)
            return f"not run: no server knew the item before {since}"
        if known.decided is not None and at > known.decided:
            if paused := pause_over(self.item, at, pauses):
                return f"not decided: the item is {reason_of(paused, self.item.zone)}"
            if is_held_by_window(self.item, self.now):
                window = self.item.window_at(self.now)
                return f"not decided: the item is in {window}, and it catches up after that"
            return "it is due, and no server has decided about it yet (see aetherflow scheduler status)"
        return "there is no row: the times of the item changed since, or the row was deleted as old"

    def _of_row(self, row: Firing) -> list[str]:
        by = f" by {row.server}" if row.server else ""
        found = [f"decided {self._local(row.decided_at)}{by}, cause {row.cause}"]
        if row.started_at:
            found.append(f"started {self._local(row.started_at)}")
        if row.started_at and row.finished_at:
            took = duration(seconds_between(row.started_at, row.finished_at))
            found.append(f"ended {self._local(row.finished_at)}, after {took}")
        for alert in alerts_of(self.raw, row.scheduler, row.item_id, row.scheduled_at, row.scheduled_at):
            by = f" by run {alert.run_id}" if alert.run_id else ""
            message = in_zone(alert.message, self.item.zone)
            found.append(f"{alert.kind}, reported {self._local(alert.alerted_at)}{by}: {message}")
        if row.cancel_reason:
            found.append(f"its end was requested: {in_zone(row.cancel_reason, self.item.zone)}")
        if row.run_id and row.started_at:
            found.append(f"more: aetherflow runs show {row.run_id} {self._where(row.run_id)}".rstrip())
        return found

    def _where(self, run_id: str) -> str:
        """Return the option that names the database of a run: the scheduler's, or that of its flow."""
        flow = self.item.flow_file
        if flow is None or is_run_here(self.raw, run_id):
            return state_option(self.state)
        return f"--flow-yaml {shlex.quote(str(flow))}"

    def _local(self, at: str | datetime) -> str:
        read = datetime.fromisoformat(at) if isinstance(at, str) else at
        return read.astimezone(ZoneInfo(self.item.zone)).isoformat(timespec="seconds")

    def _found(
        self, at: datetime, row: Firing | None, answer: str, details: list[str], *, is_tick: bool = True
    ) -> TickExplanation:
        second = seconds(at)
        before = latest_ticks(self.item.table, max(0, second - _FIVE_YEARS), second, 1)
        after = next_tick(self.item.table, at)
        return TickExplanation(
            at=utc_text(at),
            local=self._local(at),
            is_tick=is_tick,
            outcome=row.outcome if row else None,
            answer=answer,
            details=details,
            before=self._local(instant(before[0])) if before else None,
            after=self._local(after) if after else None,
            run_id=row.run_id if row else None,
        )


def _what(row: Firing, zone: str) -> str:
    return row.outcome + (f": {in_zone(row.reason, zone)}" if row.reason else "")


def explain_item(
    raw: sqlite3.Connection, known: KnownItem, text: str, state: Path, now: datetime
) -> list[TickExplanation]:
    """Explain a time of an item.

    Raises:
        UsageError: no file that is known has the item, or it is no time.
    """
    if known.item is None or known.schedule is None:
        raise UsageError(
            f"no scheduler file in force has the item {known.name!r}",
            hint="name the file: --file SCHEDULER.yaml; aetherflow scheduler history ITEM lists its past",
        )
    return Explainer(raw, known.schedule, known.item, state, now).explain(text)
