"""The deadline of an item: when a run is late to start, late to end, or unusually long. Pure.

start_within   seconds after its time (jitter included) by which a run must have started
end_by         a time of day in the item's zone: the run must be over at the first one after its time
longer_than    a duration, or a multiple of what the item's runs usually take (`3x`)
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.spec.duration import duration_text, parse_duration
from aetherflow.spec.flow import TEN_YEARS
from aetherflow.spec.suggest import quoted

CODE = "AF564"
_TIMES = re.compile(r"(\d+(?:\.\d+)?) ?x", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")


class Longer(msgspec.Struct, frozen=True):
    """From when on a run is unusually long.

    Attributes:
        times: so many times the usual duration; None: `seconds` is the limit.
    """

    seconds: float = 0.0
    times: float | None = None

    def __str__(self) -> str:
        return duration_text(self.seconds) if self.times is None else f"{self.times:g}x"


class Deadline(msgspec.Struct, frozen=True):
    """The deadline of an item; None for what it does not say."""

    start_within: float | None = None
    end_by: time | None = None
    longer_than: Longer | None = None

    @property
    def end_by_text(self) -> str:
        """The time of day by which a run must be over, as `07:00`; empty without one."""
        return self.end_by.isoformat().removesuffix(":00") if self.end_by else ""

    def start_by(self, due: datetime) -> datetime | None:
        """Return by when the run of a tick that was due then must have started."""
        return None if self.start_within is None else due + timedelta(seconds=self.start_within)

    def over_by(self, scheduled: datetime, zone: str) -> datetime | None:
        """Return by when the run of a tick must be over, in UTC: the first `end_by` after its time."""
        if self.end_by is None:
            return None
        local = ZoneInfo(zone)
        day = scheduled.astimezone(local).date()
        ends = (datetime.combine(day + timedelta(n), self.end_by, local).astimezone(UTC) for n in range(3))
        return next(end for end in ends if end > scheduled)


def parse_end_by(text: str) -> time:
    """Return a time of day.

    Raises:
        ScheduleProblem: it is none.
    """
    found = _TIME_OF_DAY.fullmatch(text.strip())
    try:
        hour, minute, second = map(int, found.groups("0") if found else (24, 0, 0))
        return time(hour, minute, second)
    except ValueError:
        raise ScheduleProblem(
            f"deadline: end_by: {quoted(text)} is no time of day",
            hint='write the local time by which the run must be over: "07:00"',
            code=CODE,
        ) from None


def parse_longer_than(text: str) -> Longer:
    """Return from when on a run is unusually long.

    Raises:
        ScheduleProblem: it is neither a duration nor a multiple, or not more than the usual one.
    """
    written = text.strip()
    found = _TIMES.fullmatch(written)
    if found is not None:
        times = float(found[1])
        if 1 < times <= TEN_YEARS:
            return Longer(times=times)
        raise ScheduleProblem(
            f"deadline: longer_than: every second run takes longer than {quoted(text)} the usual time",
            hint="write a multiple above 1: 3x",
            code=CODE,
        )
    try:
        seconds = parse_duration(written)
    except ValueError:
        seconds = 0
    if 0 < seconds <= TEN_YEARS:
        return Longer(seconds)
    raise ScheduleProblem(
        f"deadline: longer_than: {quoted(text)} is neither a duration nor a multiple of the usual one",
        hint="write 3x (three times the usual duration), or a duration such as 2h",
        code=CODE,
    )
