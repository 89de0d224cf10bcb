"""Write dates by a format such as `%Y%m%d`: the same text on every machine, whatever its locale. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DATE_DIRECTIVES: dict[str, Callable[[date], str]] = {
    "Y": lambda day: f"{day.year:04}",
    "y": lambda day: f"{day.year % 100:02}",
    "m": lambda day: f"{day.month:02}",
    "d": lambda day: f"{day.day:02}",
    "j": lambda day: f"{day.timetuple().tm_yday:03}",
    "G": lambda day: f"{day.isocalendar().year:04}",
    "V": lambda day: f"{day.isocalendar().week:02}",
    "u": lambda day: str(day.isoweekday()),
    "A": lambda day: _DAYS[day.weekday()],
    "a": lambda day: _DAYS[day.weekday()][:3],
    "B": lambda day: _MONTHS[day.month - 1],
    "b": lambda day: _MONTHS[day.month - 1][:3],
    "%": lambda _: "%",
}
_TIME_DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "H": lambda time: f"{time.hour:02}",
    "M": lambda time: f"{time.minute:02}",
    "S": lambda time: f"{time.second:02}",
}
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)

DIRECTIVES = (
    "%Y year, %m month, %d day, %H hour, %M minute, %S second, %y year of two digits, %j day of the year, "
    "%G and %V year and week of ISO 8601, %u weekday (1 is Monday), %A %a %B %b names in English, "
    "%% a percent sign"
)
"""The table of directives, as a hint."""


def format_problem(text: str) -> str:
    """Return what is wrong with a format, or nothing."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return "a format is written without quotes"
    used = _DIRECTIVE.findall(text)
    for name in used:
        if name not in _DATE_DIRECTIVES and name not in _TIME_DIRECTIVES:
            return f"%{name} is no directive of a format"
    return "" if used else f"the format {text!r} has no directive"


def is_format(text: str | None) -> bool:
    """Whether a text has a directive, and so was meant as a format."""
    return text is not None and "%" in text and not format_problem(text)


def needs_time(text: str) -> str:
    """Return the first directive of a format that a date alone cannot fill, or nothing."""
    return next((f"%{name}" for name in _DIRECTIVE.findall(text) if name in _TIME_DIRECTIVES), "")


def formatted(value: date, text: str) -> str:
    """Return a date or a time written by a format that has no problem; a date has no time of day."""

    def written(found: re.Match[str]) -> str:
        if isinstance(value, datetime) and found[1] in _TIME_DIRECTIVES:
            return _TIME_DIRECTIVES[found[1]](value)
        return _DATE_DIRECTIVES[found[1]](value)

    return _DIRECTIVE.sub(written, text)
