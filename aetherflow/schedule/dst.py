"""Convert local times to instants by the declared rule for daylight saving time.

A transition that puts the clock forward leaves a gap of local times that never come; one that puts it back
makes an overlap of local times that come twice. Items say what then happens to their ticks:

    dst_gap: run_once   ticks in the gap become one, right after it      skip   they do not happen
    dst_overlap: first  a local time that comes twice counts once        both   it counts twice

The defaults are those of cron(8) of Debian (NOTES on daylight saving time): fixed times run once after the
gap and once in the overlap; expressions with `*` in hours or minutes follow elapsed time, which is skip and
both. Other than in cron(8), whose special treatment ends with changes of three hours, the rule holds for a
gap or an overlap of any length (Samoa left out a whole day in 2011), and ticks of one gap are one tick, not
several at the same time.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from aetherflow.schedule.zone import TWO_DAYS, Period, Zone
from aetherflow.spec.schedule import DstGap, DstOverlap

NextLocal = Callable[[int], int | None]
"""From a local time to the first matching one at or after it."""

CountLocal = Callable[[int, int], int]
"""How many local times match from one to another, which is not counted."""


class DstRule(msgspec.Struct, frozen=True):
    """What happens to ticks when the clock is put forward (gap) or back (overlap)."""

    gap: DstGap = "run_once"
    overlap: DstOverlap = "first"


FIXED_TIMES = DstRule("run_once", "first")
ELAPSED_TIME = DstRule("skip", "both")


def next_instant(find: NextLocal, zone: Zone, rule: DstRule, after: int) -> int | None:
    """Return the first tick later than `after`, both in seconds since 1970; None if there is none."""
    at = after + 1
    while True:
        period = zone.period(at)
        if at == period.start and first_in_gap(find, period, rule) is not None:
            return at
        found = find(_first_counted(period, at, rule))
        if found is not None and found < period.end + period.offset:
            return found - period.offset
        if period.end - at > TWO_DAYS:
            # No match lies before `found`, and no clock is put back so far that one from before comes again.
            if found is None:
                return None
            at = max(period.end, found - period.offset - TWO_DAYS)
        else:
            at = period.end


def count_instants(
    find: NextLocal, count: CountLocal, zone: Zone, rule: DstRule, start: int, end: int
) -> int:
    """Return how many ticks lie in [start, end), without looking at each."""
    total, at = 0, start
    while at < end:
        period = zone.period(at)
        local = period.start + period.offset
        if at == period.start and first_in_gap(find, period, rule) is not None and find(local) != local:
            total += 1
        total += count(_first_counted(period, at, rule), min(period.end, end) + period.offset)
        at = period.end
    return total


def first_in_gap(find: NextLocal, period: Period, rule: DstRule) -> int | None:
    """Return the first matching local time of the gap before a period if the rule makes a tick of it."""
    if period.before >= period.offset or rule.gap == "skip":
        return None
    found = find(period.start + period.before)
    return found if found is not None and found < period.start + period.offset else None


def comes_again(zone: Zone, at: int) -> bool:
    """Whether the local time of an instant comes a second time, because the clock is put back after it."""
    period = zone.period(at)
    local, end = at + period.offset, period.end
    while end - at <= TWO_DAYS:
        following = zone.period(end)
        if following.start == end:  # otherwise it is the same period, cut at the end of a year
            return local >= end + following.offset
        end = following.end
    return False


def _first_counted(period: Period, at: int, rule: DstRule) -> int:
    """Return the local time of an instant, or where new ones begin if those that come again do not count."""
    local = at + period.offset
    if rule.overlap == "both" or period.before <= period.offset:
        return local
    return max(local, period.start + period.before)
