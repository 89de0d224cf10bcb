"""Parse one field of a cron expression to a set of numbers, stored in the bits of an int.

The grammar is that of crontab(5) (Vixie's cron, Debian): `*`, `5`, `1-5`, a step behind either (`*/15`,
`8-18/2`), names of months and weekdays in any case, lists of these with commas. `5/15`, from 5 in steps of 15
up to the end, is Quartz's. What crontab(5) lets pass without effect (a step beyond the field) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.spec.suggest import did_you_mean, quoted


class Field(msgspec.Struct, frozen=True):
    """A field: its name, its lowest and highest number, the names of its numbers, a hint on large steps."""

    name: str
    low: int
    high: int
    names: Mapping[str, int] = {}
    beyond: str = ""

    @property
    def allowed(self) -> str:
        """What the field may hold, in words."""
        names = list(self.names)
        return f"{self.low}-{self.high}" + (f" or {names[0]}-{names[-1]}" if names else "")


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

SECOND = Field("second", 0, 59, beyond="write interval_seconds for other intervals")
MINUTE = Field("minute", 0, 59, beyond="write interval_seconds for intervals beyond an hour")
HOUR = Field("hour", 0, 23, beyond="write interval_seconds for intervals beyond a day")
DAY_OF_MONTH = Field("day of month", 1, 31)
MONTH = Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
DAY_OF_WEEK = Field("day of week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)})

_OUT_OF_RANGE = {
    "hour": "midnight is 0",
    "minute": "the full hour is 0",
    "day of week": "Sunday is 0 or 7; or write sun, mon ...",
}
_ITEM = re.compile(r"(?P<star>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?")


def bits(numbers: range) -> int:
    """Return the numbers, which go up, as bits of an int."""
    if numbers.step == 1:
        return (1 << numbers.stop) - (1 << numbers.start)
    return sum(1 << number for number in numbers)


def parse_items(field: Field, text: str, offset: int) -> int:
    """Return the numbers that one item between commas stands for.

    Raises:
        ScheduleProblem: it is no number, name, range or step of this field.
    """
    body, slash, step_text = text.partition("/")
    found = _ITEM.fullmatch(body)
    if found is None:
        raise refused(field, f"{quoted(text)} is not understood", offset, _advice(field, text))
    step = _step(field, step_text, offset + len(body) + 1) if slash else 1
    if found["star"]:
        return bits(range(field.low, field.high + 1, step))
    first = number(field, found["first"], offset)
    if found["last"] is None:
        return bits(range(first, field.high + 1, step)) if slash else 1 << first
    last = number(field, found["last"], offset + found.start("last"))
    if field is DAY_OF_WEEK and last == 0 and first > 0:
        last = 7  # fri-sun
    if last < first:
        hint = f"write {first}-{field.high},{field.low}-{last}"
        raise refused(field, f"the range {quoted(body)} runs backwards", offset, hint)
    return bits(range(first, last + 1, step))


def number(field: Field, text: str, offset: int) -> int:
    """Convert a number or a name, such as `mon`, to its number.

    Raises:
        ScheduleProblem: it is none, or none of this field.
    """
    known = field.names.get(text.lower())
    if known is not None:
        return known
    if not (text.isascii() and text.isdigit()):
        hint = did_you_mean(text, field.names) or _advice(field, text)
        raise refused(field, f"{quoted(text)} is not understood", offset, hint)
    value = int(text) if len(text) <= 4 else field.high + 1  # noqa: PLR2004 - no field has five digits
    if not field.low <= value <= field.high:
        raise refused(field, f"{quoted(text)} is out of range", offset, _OUT_OF_RANGE.get(field.name, ""))
    return value


def _step(field: Field, text: str, offset: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise refused(field, f"{quoted(text)} is no step", offset, "a step is a whole number: */15")
    step = int(text) if len(text) <= 4 else field.high + 1  # noqa: PLR2004 - no field has five digits
    if not 1 <= step <= field.high:
        message = f"the step {quoted(text)} is not between 1 and {field.high}"
        raise refused(field, message, offset, field.beyond)
    return step


def refused(field: Field, message: str, offset: int, hint: str = "") -> ScheduleProblem:
    """Return what to raise about a field: which, what, what is allowed."""
    return ScheduleProblem(
        f"cron: {field.name}: {message}; allowed: {field.allowed}", hint=hint, offset=offset
    )


def _advice(field: Field, text: str) -> str:
    upper = text.upper()
    if text == "?":
        return "write * for any"
    if field is DAY_OF_WEEK and upper == "L":
        return "write 5L for the last Friday of the month; L alone belongs into the day of month"
    if field is DAY_OF_WEEK and "W" in upper:
        return "W, the nearest weekday, belongs into the day of month"
    if field is DAY_OF_MONTH and "#" in text:
        return "#, the n-th weekday of the month, belongs into the day of week"
    return "write numbers, ranges (1-5), steps (*/15) and lists (1,15) of them"
