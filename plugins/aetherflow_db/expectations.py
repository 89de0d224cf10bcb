"""Judge the result of a query: a number within limits, or rows that should not be there. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

import msgspec

from aetherflow_db.query import Row, Rows

SHOWN_ROWS = 5
"""How many rows that should not be there are shown."""

COUNTED_ROWS = 10_000
"""How many of them are counted."""

SHOWN_VALUE = 60
"""How many characters of a value are shown."""


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the result of a query must be.

    Attributes:
        min: the query returns one number, which is at least this.
        max: it is at most this.
        equals: it is exactly this; a text or a date is compared as text.
        no_rows: true: the query returns no rows, such as those that break a rule; false: it returns some.
    """

    min: int | float | None = None
    max: int | float | None = None
    equals: int | float | str | None = None
    no_rows: bool | None = None

    def __post_init__(self) -> None:
        of_number = [key for key in ("min", "max", "equals") if getattr(self, key) is not None]
        if not of_number and self.no_rows is None:
            raise ValueError("expect needs one of min, max, equals and no_rows")
        if of_number and self.no_rows is not None:
            raise ValueError(
                f"expect has {of_number[0]}, which is for a number, and no_rows, which is for rows"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"expect has min {self.min}, which is above max {self.max}")


class Verdict(msgspec.Struct, frozen=True):
    """What a result is worth.

    Attributes:
        ok: whether it is as expected.
        value: the number, or how many rows there are.
        message: in words.
    """

    ok: bool
    value: int | float | str | None
    message: str


def judge(expect: Expect, rows: Rows) -> Verdict:
    """Return the verdict on the answer to a query."""
    if expect.no_rows is not None:
        return _of_rows(expect.no_rows, rows)
    first = list(islice(_each(rows), 2))
    if len(first) != 1 or len(first[0]) != 1:
        found = f"{len(first[0])} columns" if len(first) == 1 else "no row" if not first else "several rows"
        return Verdict(ok=False, value=None, message=f"the query returns {found} instead of one number")
    return _of_value(expect, first[0][0])


def _each(rows: Rows) -> Iterator[Row]:
    return (row for batch in rows.batches for row in batch)


def _of_rows(no_rows: bool, rows: Rows) -> Verdict:  # noqa: FBT001 - the value of the key
    shown: list[Row] = []
    count = 0
    for row in islice(_each(rows), COUNTED_ROWS + 1):
        count += 1
        if len(shown) < SHOWN_ROWS:
            shown.append(row)
    said = (
        f"more than {COUNTED_ROWS:,} rows"
        if count > COUNTED_ROWS
        else f"{count:,} rows"
        if count != 1
        else "1 row"
    )
    if not no_rows:
        return Verdict(
            ok=count > 0, value=count, message=said if count else "no rows, and there should be some"
        )
    if not count:
        return Verdict(ok=True, value=0, message="no rows")
    lines = [f"{said} that should not be there:", *(_shown(rows.names, row) for row in shown)]
    if count > len(shown):
        lines.append("...")
    return Verdict(ok=False, value=count, message="\n           ".join(lines))


def _shown(names: Sequence[str], row: Row) -> str:
    cells = []
    for name, value in zip(names, row, strict=True):
        text = "NULL" if value is None else str(_plain(value))
        cells.append(f"{name}={text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 3] + '...'}")
    return ", ".join(cells)


def _of_value(expect: Expect, value: Any) -> Verdict:
    plain, number = _plain(value), _number(value)
    if value is None:
        return Verdict(ok=False, value=None, message=f"NULL, and should be {_wanted(expect)}")
    if expect.equals is not None and not _equal(expect.equals, plain, number):
        return Verdict(ok=False, value=plain, message=f"{plain}, and should be {_wanted(expect)}")
    if expect.min is None and expect.max is None:
        return Verdict(ok=True, value=plain, message=str(plain))
    if number is None:
        return Verdict(ok=False, value=plain, message=f"{plain!r}, which is no number")
    low, high = _number(expect.min), _number(expect.max)
    ok = (low is None or number >= low) and (high is None or number <= high)
    return Verdict(
        ok=ok, value=plain, message=str(plain) if ok else f"{plain}, and should be {_wanted(expect)}"
    )


def _wanted(expect: Expect) -> str:
    parts = [
        *([str(expect.equals)] if expect.equals is not None else []),
        *([f"at least {expect.min}"] if expect.min is not None else []),
        *([f"at most {expect.max}"] if expect.max is not None else []),
    ]
    return " and ".join(parts)


def _equal(wanted: float | str, plain: Any, number: Decimal | None) -> bool:
    wanted_number = _number(wanted)
    if wanted_number is not None and number is not None:
        return wanted_number == number
    return str(wanted) == str(plain)


def _number(value: Any) -> Decimal | None:
    """Return the number that a value is, exact as it is written; None: it is none."""
    if isinstance(value, int | float | Decimal | str):
        try:
            number = Decimal(str(int(value) if isinstance(value, bool) else value))
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return None


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a whole number without a point, another decimal as text."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else format(value, "f")
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)
