"""Write times as people read them: how far they are from now (`in 3 h 12 min`), and in one zone. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UTC_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)


def distance(at: datetime, now: datetime) -> str:
    """Return how far an aware time is from now: `in 40 s`, `in 3 h 12 min`, `2 d 4 h ago`, `now`."""
    away = (at - now).total_seconds()
    words = rough_duration(abs(away))
    if words == "0 s":
        return "now"
    return f"in {words}" if away > 0 else f"{words} ago"


def in_zone(reason: str, zone: str) -> str:
    """Return the first line of a reason with the UTC times in it on the clocks of a zone, with their offset.

    Reasons are stored in UTC; a line that shows other times in a zone shows these there too. The further
    lines of a reason are the last output of a program, which `runs show` prints.
    """

    def local(found: re.Match[str]) -> str:
        try:
            at = datetime.fromisoformat(found[0]).astimezone(ZoneInfo(zone))
        except (ValueError, OverflowError):  # no time, although it looks like one
            return found[0]
        return at.isoformat(timespec="seconds")

    return _UTC_INSTANT.sub(local, reason.partition("\n")[0])


def clock(seconds: float) -> str:
    """Return elapsed time as a stop watch shows it: `0:05`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(max(int(seconds), 0), _MINUTE)
    hours, minutes = divmod(minutes, _HOUR // _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rough_duration(seconds: float) -> str:
    """Return a duration in at most two units, as `40 s`, `3 h 12 min`, `2 d 4 h`, `45 d`; rounded."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "min", 1, "s")
    if round(seconds / _MINUTE) * _MINUTE < _DAY:
        return _two(round(seconds / _MINUTE) * _MINUTE, _HOUR, "h", _MINUTE, "min")
    if round(seconds / _HOUR) * _HOUR < 10 * _DAY:
        return _two(round(seconds / _HOUR) * _HOUR, _DAY, "d", _HOUR, "h")
    return f"{round(seconds / _DAY)} d"


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    count, rest = divmod(whole, large)
    parts = [f"{count} {large_name}"] if count else []
    parts += [f"{rest // small} {small_name}"] if rest // small else []
    return " ".join(parts)
