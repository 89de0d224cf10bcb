"""The ticks of a trigger that are in windows, or those that are in none; counted without looking at each."""

from __future__ import annotations

from msgspec.structs import replace

from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.timetable import Timetable
from aetherflow.schedule.trigger_kind import LocalTrigger, Trigger
from aetherflow.schedule.window import Windows, spans, window_at, window_end
from aetherflow.schedule.zone import DAY, Zone

MOST_TRIES = 400
"""How often ticks and windows may meet before the search gives up: more than a year of daily ticks."""
_MOST_DAYS = 15
"""Windows come again every week; where clocks skip one, a week later."""


class Windowed(Trigger, frozen=True):
    """Some ticks of a trigger: those in windows, or with `inside` false the others."""

    base: Trigger
    windows: Windows
    inside: bool

    def next_after(self, zone: Zone, rule: DstRule, after: int) -> int | None:
        """Return the first tick later than `after`; None if there is none."""
        for _ in range(MOST_TRIES):
            tick = self.base.next_after(zone, rule, after)
            if tick is None or (window_at(self.windows, zone, tick) is not None) == self.inside:
                return tick
            if self.inside:
                coming = next(spans(self.windows, zone, tick, tick + _MOST_DAYS * DAY), None)
                after = coming[0] - 1 if coming is not None else tick + _MOST_DAYS * DAY
            else:
                after = window_end(self.windows, zone, tick) - 1
        return None

    def count_between(self, zone: Zone, rule: DstRule, start: int, end: int) -> int:
        """Return how many ticks lie in [start, end)."""
        found = sum(
            self.base.count_between(zone, rule, low, high)
            for low, high in spans(self.windows, zone, start, end)
        )
        return found if self.inside else self.base.count_between(zone, rule, start, end) - found

    @property
    def usual_dst(self) -> DstRule:
        """That of its base."""
        return self.base.usual_dst

    @property
    def local(self) -> LocalTrigger | None:
        """That of its base."""
        return self.base.local

    def note(self, local: int) -> str:
        """Return what people should know about its tick at a local time."""
        return self.base.note(local)


def ticks_in(table: Timetable, windows: Windows) -> Timetable:
    """Return a timetable with only the ticks in windows."""
    return replace(table, trigger=Windowed(table.trigger, windows, inside=True))


def ticks_outside(table: Timetable, windows: Windows) -> Timetable:
    """Return a timetable without the ticks in windows."""
    return replace(table, trigger=Windowed(table.trigger, windows, inside=False))
