"""Judge what a scheduler has done in a life: each tick ran exactly once, or has a row with a true reason.

It is written a second time: from what the manual says, from the keys of the item and from what was seen from
outside. It lists every tick and takes nothing from the code that decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from tests.scheduler.clock_lives import Look, PauseChange, Start, Story

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
AGREE_SECONDS = 12
"""Clocks that differ by no more are as good as each other."""
QUIET_SECONDS = 40
"""Servers to which nothing happened for so long have compared their clocks."""
NOTICE_SECONDS = 2
"""How long a server may take to see that its clock was put right."""


class Row(NamedTuple):
    """A row of a tick: the tick, when it was decided (clock, and number of what happened), and its end."""

    tick: int
    cause: str
    reading: int
    decided: int
    outcome: str
    run_id: str | None
    finished: int | None
    reason: str
    ticks: int
    due: int

    @property
    def ran(self) -> bool:
        """Whether it has a run."""
        return self.run_id is not None


def problems(story: Story) -> list[str]:
    """Return what is wrong in a life; empty if every tick ran once or has a row with a true reason."""
    return _Judge(story).problems()


def _moment(text: str) -> tuple[int, int]:
    at = datetime.fromisoformat(text)
    return int((at.replace(microsecond=0) - MIDNIGHT).total_seconds()), at.microsecond


def _row(raw: tuple[str, str, str, str, str | None, str | None, str, int, str]) -> Row:
    tick, cause, decided, outcome, run_id, finished, reason, ticks, due = raw
    reading, number = _moment(decided)
    end = None if finished is None else _moment(finished)[1]
    return Row(_moment(tick)[0], cause, reading, number, outcome, run_id, end, reason, ticks, _moment(due)[0])


class _Judge:
    def __init__(self, story: Story) -> None:
        self.story, self.spec = story, story.life.spec
        self.rows = [_row(raw) for raw in story.rows]
        self.by_tick = {row.tick: row for row in self.rows}
        self.by_run = {row.run_id: row for row in self.rows if row.run_id}
        self.looks = {look.number: look for look in story.looks}
        last = max([story.life.end, *(row.tick for row in self.rows)])
        first = min([0, *(row.tick for row in self.rows)])
        self.ticks = self.spec.ticks(first - 1, last)
        self.held = self._looks_held() | {look.number for look in story.looks if not look.decides}
        wrong = any(abs(event.seconds) > AGREE_SECONDS for event in story.life.events)
        self.due: dict[int, int] = {}
        for before, tick in pairwise([first - 1, *self.ticks]):  # they fire in their order
            own = self.by_tick[tick].due if tick in self.by_tick else tick
            self.due[tick] = max(self.due.get(before, own), own)
        self.notice = NOTICE_SECONDS if wrong else 0

    def problems(self) -> list[str]:
        """Return every problem."""
        lost = {one.run_id for one in self.story.starts} - self.by_run.keys()
        found = [*self._covering(), *self._too_many_at_once(), *(f"run {name} has no row" for name in lost)]
        if not lost:
            found += self._overtaken()
        for row in self.rows:
            wrong = self._of_run(row) if row.ran else self._of_reason(row)
            wrong = wrong or self._of_server(row)
            if wrong:
                found.append(f"tick {_clock(row.tick)} {row.outcome} ({row.reason or 'no reason'}): {wrong}")
        return found

    def _covering(self) -> list[str]:
        """Every tick up to the end has one row; a row for several ticks ends with the last of them."""
        covered: Counter[int] = Counter()
        for row in self.rows:
            up_to = [tick for tick in self.ticks if tick <= row.tick]
            if not up_to or up_to[-1] != row.tick:
                return [f"there is no tick at {_clock(row.tick)}, but a row"]
            covered.update(up_to[-row.ticks :])
        wanted = [tick for tick in self.ticks if 0 < tick <= self.story.life.end]
        return [f"tick {_clock(t)} has {covered[t]} rows" for t in wanted if covered[t] != 1]

    def _too_many_at_once(self) -> list[str]:
        """No more than max_instances run at a time, while no server is gone that may not know it."""
        changes = sorted(
            [(one.number, 1, one.run_id) for one in self.story.starts]
            + [(row.finished, -1, row.run_id) for row in self.rows if row.run_id and row.finished]
        )
        running: set[str] = set()
        for _, change, run_id in changes:
            running = running | {run_id} if change > 0 else running - {run_id}
            if len(running) > self.spec.instances:
                return [f"{len(running)} run at once: {sorted(running)}"]
        return []

    def _overtaken(self) -> list[str]:
        """A made-up run starts only when no tick on time waits; except one that a lost server had queued."""
        first: dict[str, Start] = {}
        for one in self.story.starts:
            first.setdefault(one.run_id, one)
        for run_id, start in first.items():
            row = self.by_run[run_id]
            if row.cause != "catch_up" or any(row.decided < n < start.number for n, _ in self.story.gone):
                continue
            for other in self.rows:
                if (
                    not self._is_on_time(other)
                    or self.looks[other.decided].at >= start.at
                    or self.due[other.tick] > start.reading
                ):
                    continue
                if (other.finished or start.number) < start.number:
                    continue
                theirs = first.get(other.run_id or "")
                if theirs is None or theirs.at > start.at:
                    return [f"tick {_clock(other.tick)} waited while {_clock(row.tick)} was made up for"]
        return []

    def _is_on_time(self, row: Row) -> bool:
        newer = [tick for tick in self.ticks if row.tick < tick and self.due[tick] <= row.reading]
        return row.ran and row.cause == "tick" and not newer

    def _of_run(self, row: Row) -> str:
        """A run ends, is started once and not before its time, and resumed only after its server was gone."""
        starts = [one for one in self.story.starts if one.run_id == row.run_id]
        return self._of_end(row, starts) or self._of_starts(starts) or self._of_time(row, starts)

    def _of_server(self, row: Row) -> str:
        """A server whose clock differs from that of the one that lives longer decides nothing."""
        look = self.looks.get(row.decided)
        if look is None or len(look.others) != 1:
            return ""
        (other,) = look.others
        quiet_since = max(other.quiet_since, look.quiet_since, other.began, look.began)
        is_off = abs(other.reading - look.reading) > AGREE_SECONDS
        if is_off and look.at - quiet_since > QUIET_SECONDS and other.began < look.began - AGREE_SECONDS:
            return f"a server decided it whose clock was {_clock(look.reading)}, not {_clock(other.reading)}"
        return ""

    def _of_end(self, row: Row, starts: list[Start]) -> str:
        if row.finished is None:
            return "it is still open at the end"
        if row.outcome == "CANCELLED":
            return self._of_cancel(row, starts)
        if row.outcome != "SUCCESS":
            return "it has a run, but did not end"
        return "" if starts else "it never ran"

    def _of_cancel(self, row: Row, starts: list[Start]) -> str:
        by = re.fullmatch(r"replaced by the firing of (\S+)", row.reason)
        if self.spec.overlap != "cancel_running" or (not by and row.reason != "cancelled"):
            return "nothing cancels it"
        if not starts and not by:
            return "it did not run, and does not say why"
        if by and not self._replaces(row, self.by_tick.get(_moment(by[1])[0])):
            return "that one does not replace it"
        return ""

    def _of_starts(self, starts: list[Start]) -> str:
        if starts and starts[0].is_recovery:
            return "its first start is called a resume"
        for before, after in pairwise(starts):
            gone = {place for number, place in self.story.gone if before.number < number < after.number}
            if before.server not in gone or not after.is_recovery:
                return f"it ran twice, at {_clock(before.at)} and at {_clock(after.at)}"
        return ""

    def _of_time(self, row: Row, starts: list[Start]) -> str:
        if not 0 <= row.due - row.tick <= self.spec.jitter:
            return f"its jitter is {row.due - row.tick}"
        if starts and starts[0].reading < row.due:
            return f"it ran at {_clock(starts[0].reading)}, before its time"
        pause = self._pause(row.decided)
        if pause is None or row.cause not in ("tick", "catch_up"):
            return ""
        if self._holds(pause, row.reading) or (self.spec.catch_up == "none" and _is_inside(pause, row.tick)):
            return "it was paused"
        return ""

    def _pause(self, number: int) -> PauseChange | None:
        """Return the pause that servers know at a time, which may be over."""
        return next((one for one in reversed(self.story.pauses) if one.number <= number), None)

    def _holds(self, pause: PauseChange, reading: int) -> bool:
        return pause.end is None or reading < pause.end

    def _paused(self, row: Row, _: str | None, until: str | None) -> str:
        pause = self._pause(row.decided)
        if pause is None or self.spec.catch_up != "none":
            return "but it was not paused, or is made up for"
        named = None if pause.resumed else pause.end
        if named != (None if until is None else _moment(until)[0]):
            return "that is not the end of the pause"
        if not (_is_inside(pause, row.tick) or self._holds(pause, row.reading)):
            return "but that pause does not concern it"
        return ""

    def _replaces(self, row: Row, newer: Row | None) -> bool:
        return newer is not None and newer.ran and newer.decided <= (row.finished or 0)

    def _of_reason(self, row: Row) -> str:
        """A row without a run says why, and that is true."""
        if early := self._came_again(row):
            return (
                f"a clock that was ahead decided it, and it came when the clock was {_clock(early.reading)}"
            )
        for pattern, judge in _REASONS.items():
            text = re.sub(r" \(\d+ ticks from \S+ on\)$", "", row.reason)
            if found := re.fullmatch(pattern, text):
                return judge(self, row, *found.groups())
        return "no reason that is known"

    def _late(self, row: Row, grace: str) -> str:
        if self.spec.catch_up != "none":
            return "but late ticks are caught up"
        return self._older(row, self.spec.grace, int(grace))

    def _out_of_window(self, row: Row, window: str) -> str:
        if self.spec.catch_up == "none" or self.spec.window is None:
            return "but there is no window"
        if self.spec.window != int(window):
            return "that is not the window"
        return self._older(row, max(self.spec.grace, self.spec.window - self.spec.jitter))

    def _older(self, row: Row, seconds: int, said: int | None = None) -> str:
        """It was older when it was decided, and no server had looked while it was not."""
        if said is not None and said != seconds:
            return "that is not the grace"
        seconds += self.spec.jitter
        if row.reading - row.tick <= seconds:
            return f"but it was decided at {_clock(row.reading)}"
        early = self._looked(row, row.tick + seconds + 1 - self.notice)
        return f"but a server looked when its clock was {_clock(early.reading)}" if early else ""

    def _coalesced(self, row: Row) -> str:
        if self.spec.catch_up == "all" or not (self.spec.coalesce or self.spec.catch_up == "latest"):
            return "but nothing is coalesced"
        newest = [one for one in self.rows if one.decided == row.decided and one.tick > row.tick]
        pause = self._pause(row.decided)
        if pause and self.spec.catch_up == "none" and row.tick < pause.begin:
            newest = [one for one in newest if one.tick < pause.begin]
        if not newest:
            return "but no newer tick was due"
        if not newest[-1].ran:
            return f"but the newest did not run: {newest[-1].reason}"
        early = self._looked(row, self.due[newest[-1].tick])
        return f"but a server looked at {_clock(early.reading)}" if early else ""

    def _stands(self, row: Row, run_id: str, tick: str) -> str:
        if self.spec.catch_up == "all" or not (self.spec.coalesce or self.spec.catch_up == "latest"):
            return "but nothing is coalesced"
        other = self.by_run.get(run_id)
        if other is None or other.tick != _moment(tick)[0]:
            return "there is no such run"
        if not (other.tick > row.tick and other.decided < row.decided):
            return "that one does not stand for it"
        early = self._looked(row, self.due[other.tick])
        return f"but a server looked at {_clock(early.reading)}" if early else ""

    def _too_many(self, row: Row, most: str) -> str:
        newer = [one for one in self.rows if one.decided == row.decided and one.tick > row.tick]
        chosen = sum(one.reason != row.reason for one in newer)
        if self.notice:  # the newer ones may have been decided again since
            chosen = max(chosen, sum(one.ran and one.tick > row.tick for one in self.rows))
        if self.spec.most != int(most) or chosen < self.spec.most:
            return f"but {chosen} newer ones ran"
        return ""

    def _met(self, row: Row, run_id: str, tick: str, state: str, most: str) -> str:
        other = self.by_run.get(run_id)
        if other is None or other.tick != _moment(tick)[0] or int(most) != self.spec.instances:
            return "there is no such run"
        if self.spec.overlap != "skip":
            return "but overlap is not skip"
        if self.spec.instances > 1:
            return "but more may run"
        if not self._is_open(other, row.decided):
            return "but it was not open"
        if other.cause == "catch_up":
            return "but that one is made up: a tick on time waits for it"
        had_started = any(s.run_id == run_id and s.number < row.decided for s in self.story.starts)
        if state == "waits" and had_started:
            return "but it had started"
        return ""

    def _met_several(self, row: Row, count: str, most: str) -> str:
        opened = [one for one in self.rows if one.ran and self._is_open(one, row.decided)]
        on_time = sum(one.cause != "catch_up" for one in opened)
        if int(most) != self.spec.instances or self.spec.overlap != "skip":
            return "that is not the rule"
        return "" if on_time >= int(count) >= self.spec.instances else f"but {on_time} were open"

    def _is_open(self, row: Row, number: int) -> bool:
        return row.decided <= number and (row.finished is None or row.finished >= number)

    def _looked(self, row: Row, end: int) -> Look | None:
        """Return a look before the decision at which a tick was due and the clock said less than `end`."""
        for look in self.story.looks:
            is_before = row.tick > 0 and look.number < row.decided and look.number not in self.held
            if is_before and self.due[row.tick] <= look.reading < end:
                return look
        return None

    def _looks_held(self) -> set[int]:
        """Return the looks in a pause of an item that is made up for, and those that see the end of it."""
        found: set[int] = set()
        servers: set[int] = set()
        for look in self.story.looks if self.spec.catch_up != "none" else ():
            pause = self._pause(look.number)
            holds = pause is not None and self._holds(pause, look.reading)
            if holds or look.server in servers:
                found.add(look.number)
            servers = servers | {look.server} if holds else servers - {look.server}
        return found

    def _came_again(self, row: Row) -> Look | None:
        """Return a look at which the time of a tick came after a clock ahead of that had decided it."""
        was_before = False
        for look in self.story.looks:
            if look.number <= row.decided or look.reading >= row.reading - AGREE_SECONDS:
                continue
            is_due = look.reading >= self.due[row.tick] + self.notice and look.number not in self.held
            if was_before and is_due:
                return look
            was_before = was_before or (look.decides and look.reading < row.tick)
        return None


_REASONS: dict[str, Callable[..., str]] = {
    r"late by more than misfire_grace_time, (\d+) s": _Judge._late,
    r"older than catch_up_window, (\d+) s": _Judge._out_of_window,
    r"one run stands for all ticks that were due at once": _Judge._coalesced,
    r"run (\w+) of (\S+) stands for it": _Judge._stands,
    r"paused by anna( until (\S+))?: migration": _Judge._paused,
    r"more than catch_up_maximum, (\d+), were due at once": _Judge._too_many,
    r"run (\w+) of (\S+) (has not ended|waits) \(max_instances (\d+)\)": _Judge._met,
    r"(\d+) firings of the item are not over \(max_instances (\d+)\)": _Judge._met_several,
}


def _is_inside(pause: PauseChange, tick: int) -> bool:
    return pause.begin <= tick and (pause.end is None or tick < pause.end)


def _clock(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    return f"{day}d {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
