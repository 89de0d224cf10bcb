"""Write how far a time is from now, as people say it: `in 3 h 12 min`, `2 d ago`. Pure."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def distance(at: datetime, now: datetime) -> str:
    """Return how far an aware time is from now: `in 40 s`, `in 3 h 12 min`, `2 d 4 h ago`, `now`."""
    away = (at - now).total_seconds()
    words = rough_duration(abs(away))
    if words == "0 s":
        return "now"
    return f"in {words}" if away > 0 else f"{words} ago"


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
