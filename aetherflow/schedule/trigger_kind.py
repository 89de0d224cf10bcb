"""The base classes of triggers: what every kind of trigger answers, and what kinds of local times share.

A new kind is one module with a subclass. Everything is in seconds since 1970: a local time is
counted on the wall clock, an instant in UTC.
"""

from __future__ import annotations

import msgspec

from aetherflow.schedule.dst import FIXED_TIMES, DstRule, count_instants, next_instant
from aetherflow.schedule.zone import Zone


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """What makes an item tick. Pure: the same answers for the same arguments and time zone database."""

    def next_after(self, zone: Zone, rule: DstRule, after: int) -> int | None:
        """Return the first tick later than `after`; None if there is none."""
        raise NotImplementedError

    def count_between(self, zone: Zone, rule: DstRule, start: int, end: int) -> int:
        """Return how many ticks lie in [start, end), without looking at each."""
        raise NotImplementedError

    @property
    def usual_dst(self) -> DstRule:
        """The rule for clock changes where the item has none."""
        return FIXED_TIMES

    @property
    def local(self) -> LocalTrigger | None:
        """Itself if it names local times; None if its ticks are instants, which no clock change concerns."""
        return None

    @property
    def counts_when_past(self) -> bool:
        """Whether a tick before the item came into force counts: it runs or is reported as missed."""
        return False

    def note(self, _local: int) -> str:
        """Return what people should know about its tick at a local time; empty as a rule."""
        return ""

    @property
    def at_boot(self) -> bool:
        """Whether it has no times but fires when the machine has booted."""
        return False

    @property
    def shortest(self) -> int | None:
        """The shortest time between two ticks, where the kind knows it."""
        return None


class LocalTrigger(Trigger, frozen=True, gc=False):
    """A kind that names local times, to which the DST rule of the item applies."""

    def find(self, local: int) -> int | None:
        """Return the first matching local time at or after `local`; None if there is none."""
        raise NotImplementedError

    def count(self, start: int, end: int) -> int:
        """Return how many local times in [start, end) match, without looking at each."""
        raise NotImplementedError

    def next_after(self, zone: Zone, rule: DstRule, after: int) -> int | None:
        """Return the first tick later than `after`; None if there is none."""
        return next_instant(self.find, zone, rule, after)

    def count_between(self, zone: Zone, rule: DstRule, start: int, end: int) -> int:
        """Return how many ticks lie in [start, end), without looking at each."""
        return count_instants(self.find, self.count, zone, rule, start, end)

    @property
    def local(self) -> LocalTrigger | None:
        """Itself."""
        return self

    @property
    def times_alike(self) -> bool:
        """Whether every date with a match has the same times of day."""
        return False
