"""Calculate with dates in templates: offsets such as `- 1d`, cuts such as `/ mo`, and formats. Pure.

A date stays a date, a time stays a time. Hours and minutes are elapsed time; days, weeks, months and years
are those of the calendar, and a month that is too short gives its last day. An instant of the run is moved in
the zone of the run, and the result is in UTC again.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal, cast

import msgspec

from aetherflow.language.date_format import formatted, needs_time
from aetherflow.language.template_error import TemplateError

Unit = Literal["m", "h", "d", "w", "mo", "y"]
DateKind = Literal["date", "time", "none"]

UNITS = "m (minutes), h (hours), d (days), w (weeks), mo (months) or y (years)"
TIGHT_STEP = r"(?:[-+]\s*[0-9]{1,6}(?:mo|[mhdwy])|/\s*(?:mo|[mhdwy]))"
"""One step of a calculation as a regular expression: an offset, or a cut to the beginning of a unit."""

STEP = rf"{TIGHT_STEP}(?![\w-])"
"""The same with an end: in a template a space, or the end of the token, follows."""

_STEP = re.compile(r"([-+/])\s*([0-9]*)([a-z]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.*")
_SHORT_UNITS = ("m", "h")
_MONTHS = 12
_SHOWN = 60


class DateError(TemplateError):
    """A template calculates with a value that is no date, or leaves the calendar."""

    default_code = "AF565"


class DateStep(msgspec.Struct, frozen=True, gc=False):
    """One step: an offset of so many units, or a cut to the beginning of the unit (no amount)."""

    amount: int | None
    unit: Unit


class Calculation(msgspec.Struct, frozen=True, gc=False):
    """What a template does with a date.

    Attributes:
        steps: applied in order.
        format: how the result is written; empty: as a date or time in ISO 8601.
        text: the steps as they are written, ` - 1d`.
    """

    steps: tuple[DateStep, ...]
    format: str = ""
    text: str = ""

    @property
    def written(self) -> str:
        """The steps and the format, as a template has them after its path."""
        return f"{self.text} | format: {self.format}" if self.format else self.text

    def problem(self, kind: DateKind) -> str:
        """Return why it cannot be done with a value of this kind, or nothing."""
        if kind == "none":
            return "it is no date"
        if kind == "date":
            if short := next((step.unit for step in self.steps if step.unit in _SHORT_UNITS), ""):
                return f"a date has no time of day, so {short!r} is no unit for it"
            if directive := needs_time(self.format):
                return f"a date has no time of day for {directive}"
        return ""


def parse_steps(text: str) -> tuple[DateStep, ...]:
    """Return the steps of a text that `STEP` matches again and again."""
    return tuple(
        DateStep(int(f"{sign}{amount}") if amount else None, cast("Unit", unit))
        for sign, amount, unit in _STEP.findall(text)
    )


def date_of(text: Any) -> date | None:
    """Return the date or the time that a text is in ISO 8601, or None."""
    if not isinstance(text, str):
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def calculated(calculation: Calculation, value: Any, name: str, zone: str = "", *, show: bool = True) -> str:
    """Return the result of a calculation as text.

    Args:
        calculation: the steps, and the format.
        value: a date or a time in ISO 8601.
        name: what an error calls it.
        zone: calculate with an instant in this zone; by default in the offset that it is written with.
        show: whether an error may show the value.

    Raises:
        DateError: the value is no date, has no time of day, or the result is outside of the calendar.
    """
    found = date_of(value)
    kind: DateKind = "none" if found is None else "time" if isinstance(found, datetime) else "date"
    shown = f" ({repr(value)[:_SHOWN]})" if show else ""
    if found is None or (problem := calculation.problem(kind)):
        why = "is no date" if found is None else f"cannot be calculated: {problem}"
        raise DateError(
            f"{name}{shown} {why}",
            hint="an offset or a format needs a date such as 2026-01-31, or a time: 2026-01-31T22:00:00Z",
        )
    try:
        if isinstance(found, datetime):
            return _of_time(calculation, found, str(value), zone)
        for step in calculation.steps:
            found = _moved(found, step)
    except (OverflowError, ValueError):
        raise DateError(
            f"{name}{shown}: the result of{calculation.text} is outside of the calendar",
            hint="the years are 1 to 9999",
        ) from None
    return formatted(found, calculation.format) if calculation.format else found.isoformat()


def day_in(instant: datetime, zone: str | None) -> date:
    """Return the date of an instant in a zone; an empty zone is UTC."""
    return instant.astimezone(_zone(zone)).date()


def utc_text(instant: datetime, timespec: str = "auto") -> str:
    """Return an instant in UTC as text in RFC 3339; `timespec` is that of `isoformat`."""
    return instant.isoformat(timespec=timespec).replace("+00:00", "Z")


def _zone(name: str | None) -> tzinfo:
    if name in (None, "", "UTC"):
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most runs are in UTC

    return ZoneInfo(name)


def _of_time(calculation: Calculation, found: datetime, text: str, zone: str) -> str:
    moved = found.astimezone(_zone(zone)) if zone else found
    for step in calculation.steps:
        moved = _moved_time(moved, step)
    if calculation.format:
        return formatted(moved, calculation.format)
    result = (moved.astimezone(UTC) if zone else moved).isoformat()
    return result.removesuffix("+00:00") + "Z" if zone or text.endswith("Z") else result


def _moved_time(value: datetime, step: DateStep) -> datetime:
    if step.unit in _SHORT_UNITS:
        if step.amount is None:
            return value.replace(minute=value.minute if step.unit == "m" else 0, second=0, microsecond=0)
        elapsed = timedelta(minutes=step.amount) * (60 if step.unit == "h" else 1)
        return value + elapsed if value.tzinfo is None else _plus(value, elapsed)
    day = _moved(value.date(), step)
    clock = time() if step.amount is None else value.time()
    local = datetime.combine(day, clock, value.tzinfo)
    return local if local.tzinfo is None else _plus(local, timedelta())


def _plus(value: datetime, elapsed: timedelta) -> datetime:
    """Return a time after elapsed time; one that clocks skip becomes one that exists."""
    return (value.astimezone(UTC) + elapsed).astimezone(value.tzinfo)


def _moved(day: date, step: DateStep) -> date:
    if step.amount is None:
        return _cut(day, step.unit)
    match step.unit:
        case "d" | "w":
            return day + timedelta(days=step.amount * (7 if step.unit == "w" else 1))
        case _:
            months = step.amount * (_MONTHS if step.unit == "y" else 1)
            year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
            date(year, 1, 1)  # raises for a year outside of the calendar
            return date(year, month + 1, min(day.day, _days_in(year, month + 1)))


def _days_in(year: int, month: int) -> int:
    return 31 if month == _MONTHS else (date(year, month + 1, 1) - date(year, month, 1)).days


def _cut(day: date, unit: Unit) -> date:
    match unit:
        case "w":
            return day - timedelta(days=day.weekday())
        case "mo":
            return day.replace(day=1)
        case "y":
            return day.replace(month=1, day=1)
        case _:
            return day
