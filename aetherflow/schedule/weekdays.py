"""The weekdays of a schedule by name: `mon`, `monday`, or a range `mon-fri`; numbered from Monday = 0."""

from __future__ import annotations

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.spec.suggest import did_you_mean, quoted

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_SHORT = {name[:3]: number for number, name in enumerate(WEEKDAYS)}


def weekday_numbers(where: str, text: str, code: str = "AF153") -> list[int]:
    """Return the numbers of a weekday, or of a range of them; `where` begins the message of an error.

    Raises:
        ScheduleProblem: it names no weekday.
    """
    names = [part.strip().lower() for part in text.split("-", 1)]
    for name in names:
        if name not in _SHORT and name not in WEEKDAYS:
            raise ScheduleProblem(
                f"{where}: {quoted(name)} is no weekday",
                hint=did_you_mean(name, WEEKDAYS) or "write mon, tue, wed, thu, fri, sat, sun, or mon-fri",
                code=code,
            )
    first, last = (_SHORT[name[:3]] for name in (names[0], names[-1]))
    return [(first + i) % 7 for i in range((last - first) % 7 + 1)]
