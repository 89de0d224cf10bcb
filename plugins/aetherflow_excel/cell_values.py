"""Make of each value what a cell can hold, or say which row and column cannot be written; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from aetherflow import StepError
from aetherflow_excel.casts import MOST_DIGITS, Cast, fits_a_number
from aetherflow_excel.regions import CellValue

OnIllegal = Literal["fail", "replace"]

MOST_TEXT = 32_767
"""So many UTF-16 units the text of a cell has at most, says Excel."""
_ILLEGAL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_LARGEST = 10**MOST_DIGITS
_FIRST_DAY = {False: date(1900, 3, 1), True: date(1904, 1, 1)}
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
            return value if -_LARGEST < value < _LARGEST else str(value)
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
    if day < _FIRST_DAY[rules.is_1904]:
        return value.isoformat()
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _text(text: str, rules: CellRules) -> str:
    is_long = len(text) > MOST_TEXT // 2 and len(text.encode("utf-16-le", "surrogatepass")) > MOST_TEXT * 2
    illegal = _ILLEGAL.search(text)
    if not (is_long or illegal):
        return text
    if rules.on_illegal == "fail":
        raise BadCell(
            f"has the character U+{ord(illegal[0]):04X}, which no workbook can hold"
            if illegal
            else f"has a text of {len(text):,} characters; a cell holds {MOST_TEXT:,}"
        )
    text = _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
    return text.encode("utf-16-le")[: MOST_TEXT * 2].decode("utf-16-le", "ignore")


def cells_of_batches(
    batches: Iterable[Sequence[Sequence[Any]]],
    *,
    target: str,
    columns: Sequence[str],
    casts: Sequence[Cast | None],
    rules: CellRules,
) -> Iterator[list[list[CellValue]]]:
    """Yield the rows of each batch as cells.

    Raises:
        StepError: a value cannot be a cell (AF967), or a row has more values than there are columns (AF968).
    """
    converters = [_converter(cast, rules) for cast in casts]
    done = 0
    for batch in batches:
        cells: list[list[CellValue]] = []
        for number, row in enumerate(batch, done + 1):
            if len(row) > len(columns):
                raise StepError(
                    f"target {target!r}: row {number:,} has {len(row)} values, but there are {len(columns)}"
                    " columns",
                    hint="give each row as many values as there are columns",
                    code="AF968",
                )
            try:
                cells.append([convert(value) for convert, value in zip(converters, row, strict=False)])
            except BadCell:
                raise _bad_cell(target, number, row, columns, converters) from None
        yield cells
        done += len(batch)


def _bad_cell(
    target: str, number: int, row: Sequence[Any], columns: Sequence[str], converters: Sequence[Cast]
) -> StepError:
    """Return the error for the first value of a row that cannot be a cell."""
    for name, convert, value in zip(columns, converters, row, strict=False):
        try:
            convert(value)
        except BadCell as error:
            return StepError(
                f"target {target!r}: row {number:,}, column {name!r} {error}",
                hint="clean the data, or set on_illegal: replace",
                code="AF967",
                detail={"row": number, "column": name},
            )
    raise AssertionError("no value is bad")


def _converter(cast: Cast | None, rules: CellRules) -> Cast:
    """Return the conversion of a column to cells, with a short way for the texts that most cells have."""

    def convert(value: Any) -> CellValue:
        if cast is not None:
            value = cast(value)
        if type(value) is str and len(value) <= MOST_TEXT // 2 and value.isprintable():
            return value or None
        return cell_value(value, rules)

    return convert
