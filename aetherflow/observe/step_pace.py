"""Work out how fast a step goes and how long it still needs, from its reports of progress. Pure."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from aetherflow.events.run_events import StepProgress
from aetherflow.observe.time_words import rough_duration

SAMPLES = 20
"""How many reports count: those of about ten seconds, so that the pace follows a change and does not jump."""

LEAST_SECONDS = 1.0
"""Over less time than this there is no pace yet."""

_BYTES = frozenset({"byte", "bytes", "B"})
_PREFIXES = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000


class Pace:
    """The progress of one attempt of a step."""

    def __init__(self) -> None:
        self._samples: deque[tuple[datetime, float]] = deque(maxlen=SAMPLES)
        self._last: StepProgress | None = None

    def report(self, event: StepProgress) -> None:
        """Take in a report; a smaller number than before, or another unit, is a new beginning."""
        if self._last is not None and (event.done < self._last.done or event.unit != self._last.unit):
            self._samples.clear()
        self._last = event
        self._samples.append((event.at, event.done))

    def text(self, now: datetime) -> str:
        """Return how far the step is: `1.2 GB of 4 GB, 80 MB/s, 35 s left, sales.csv`."""
        last = self._last
        if last is None:
            return ""
        parts = [amounts(last.done, last.total, last.unit)]
        if rate := self._rate(now):
            parts.append(f"{amount(rate, last.unit)}/s")
            if last.total is not None and last.total > last.done:
                since = max((now - last.at).total_seconds(), 0.0)
                parts.append(f"{about(max((last.total - last.done) / rate - since, 1.0))} left")
        return ", ".join([*parts, last.note] if last.note else parts)

    def _rate(self, now: datetime) -> float:
        """Return units per second; 0 if that is unknown. It falls while no report comes."""
        if not self._samples:
            return 0.0
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        gap = (last_at - first_at).total_seconds() / max(len(self._samples) - 1, 1)
        silence = (now - last_at).total_seconds()
        end = now if silence > max(4 * gap, 2.0) else last_at
        seconds = (end - first_at).total_seconds()
        return (last - first) / seconds if seconds >= LEAST_SECONDS else 0.0


def amount(number: float, unit: str) -> str:
    """Return a number with its unit in few characters: `1.2 GB`, `1,200 rows`, `0.5 files`."""
    if unit in _BYTES:
        return _bytes(number)
    shown = f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:,.1f}"  # noqa: PLR2004 - two digits are enough
    return f"{shown} {unit}".rstrip()


def amounts(done: float, total: float | None, unit: str) -> str:
    """Return how much of how much: `1.2 GB of 4 GB`, `1,200 of 5,000 rows`, `1,200 rows`."""
    if total is None:
        return amount(done, unit)
    if unit in _BYTES:
        return f"{_bytes(done)} of {_bytes(total)}"
    return f"{amount(done, '')} of {amount(total, unit)}"


def about(seconds: float) -> str:
    """Return a duration that is an estimate: whole seconds, from a minute on tens of them, then minutes."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return rough_duration(seconds)
    return rough_duration(round(seconds, -1) if seconds < 300 else round(seconds / 60) * 60)  # noqa: PLR2004 - five minutes


def _bytes(number: float) -> str:
    size, power = float(number), 0
    while round(size) >= _THOUSAND and power < len(_PREFIXES) - 1:
        size, power = size / _THOUSAND, power + 1
    shown = f"{size:.0f}" if power == 0 or size >= 10 else f"{size:.1f}".removesuffix(".0")  # noqa: PLR2004 - two digits are enough
    return f"{shown} {_PREFIXES[power]}"
