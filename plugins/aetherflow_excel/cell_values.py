"""Make of a value what a cell can hold; pure."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from aetherflow_excel.casts import MOST_DIGITS, fits_a_number
from aetherflow_excel.regions import CellValue

OnIllegal = Literal["fail", "replace"]

MOST_TEXT = 32_767
"""So many UTF-16 units the text of a cell has at most, says Excel."""
ILLEGAL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
LARGEST = 10**MOST_DIGITS
FIRST_DAY = {False: date(1900, 3, 1), True: date(1904, 1, 1)}
"""From this day on serial numbers are right; Excel's year 1900 has a 29th of February."""


class BadCell(Exception):
    """A text that no cell can hold; `cells_of_batches` adds the row and the column."""


class CellRules(msgspec.Struct, frozen=True):
    """What decides how values become cells.

    Attributes:
        on_illegal: whether a text that no cell can hold fails the step, or is changed until it fits.
        is_1904: whether day 0 of the workbook is in 1904.
    """

    on_illegal: OnIllegal = "fail"
    is_1904: bool = False


def cell_value(value: Any, rules: CellRules) -> CellValue:  # noqa: PLR0911 - a table, one line for each type
    """Return what a cell holds for a value.

    A number with more digits than Excel keeps is text, a date before the first one of Excel too. A time zone
    is left out: the cell shows the date and time that the data show.

    Raises:
        BadCell: a text has a character that XML cannot hold, or is too long.
    """
    match value:
        case None | bool():
            return value
        case str():
            return _text(value, rules) or None
        case int():
            return value if -LARGEST < value < LARGEST else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            text = format(value, "f")
            return value if value.is_finite() and fits_a_number(text) else text
        case date():
            return _moment(value, rules)
        case time():
            return value.replace(tzinfo=None)
        case timedelta():
            return str(msgspec.to_builtins(value))
        case bytes() | bytearray() | memoryview():
            return _text(bytes(value).hex(), rules)
        case _:
            return _text(_json(value), rules)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _moment(value: date, rules: CellRules) -> CellValue:
    day = value.date() if isinstance(value, datetime) else value
    if day < FIRST_DAY[rules.is_1904]:
        return value.isoformat()
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _text(text: str, rules: CellRules) -> str:
    is_long = len(text) > MOST_TEXT // 2 and len(text.encode("utf-16-le", "surrogatepass")) > MOST_TEXT * 2
    illegal = ILLEGAL.search(text)
    if not (is_long or illegal):
        return text
    if rules.on_illegal == "fail":
        raise BadCell(
            f"has the character U+{ord(illegal[0]):04X}, which no workbook can hold"
            if illegal
            else f"has a text of {len(text):,} characters; a cell holds {MOST_TEXT:,}"
        )
    text = ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text.encode("utf-16-le")[: MOST_TEXT * 2].decode("utf-16-le", "ignore")
