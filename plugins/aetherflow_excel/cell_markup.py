"""Write rows of values as the cells of a sheet, in XML; pure and fast, a batch and a column at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any

from aetherflow_excel.cell_references import column_letters
from aetherflow_excel.markup import escaped
from aetherflow_excel.styles import CellStyles

_DAY_0 = date(1899, 12, 30).toordinal()
_DAYS_TO_1904 = 1462
_DAY = 86_400_000_000
_NOT_PLAIN = re.compile(r"[&<>\r\t]|_x[0-9A-Fa-f]{4}_|\n\s|\s\n|\A\s|\s\Z")
_EXCEL_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_TYPES = (bool, int, float, Decimal, str, datetime, date, time)


class RowsMarkup:
    """Writes rows of one region, whose columns have a style each.

    Attributes:
        styles: the style of each column.
        prefix: of the names of elements in the sheet; empty or such as `x:`.
        row_attributes: attributes of each row, such as its height; they begin with a blank.
    """

    def __init__(
        self,
        styles: Sequence[int],
        *,
        first_column: int,
        book: CellStyles,
        is_1904: bool = False,
        prefix: str = "",
        row_attributes: str = "",
    ) -> None:
        self.styles = styles
        self.prefix = prefix
        self.row_attributes = row_attributes
        self._book = book
        self._letters = [column_letters(first_column + i) for i in range(len(styles))]
        self._day_0 = _DAY_0 + (_DAYS_TO_1904 if is_1904 else 0)

    def lines(self, first: int, rows: Sequence[Sequence[Any]]) -> str:
        """Return the rows from this row of the sheet on, each as one line."""
        width, p = len(self.styles), self.prefix
        if any(len(row) != width for row in rows):
            rows = [[*row, *repeat(None, width - len(row))] for row in rows]
        numbers = [str(number) for number in range(first, first + len(rows))]
        columns = [
            self._column(values, numbers, letters, style)
            for values, letters, style in zip(
                zip(*rows, strict=True), self._letters, self.styles, strict=True
            )
        ]
        cells = map("".join, zip(*columns, strict=True)) if columns else repeat("", len(rows))
        head, middle, end = f'<{p}row r="', f'"{self.row_attributes}>', f"</{p}row>\n"
        return "".join([f"{head}{n}{middle}{line}{end}" for n, line in zip(numbers, cells, strict=True)])

    def _column(self, values: Sequence[Any], numbers: list[str], letters: str, style: int) -> list[str]:
        kinds = set(map(type, values)) - {type(None)}
        if len(kinds) > 1:
            return [self._column((v,), [n], letters, style)[0] for v, n in zip(values, numbers, strict=True)]
        start = f'<{self.prefix}c r="{letters}'
        blank = f'" s="{style}"/>' if style else None
        if not kinds:
            return [f"{start}{n}{blank}" if blank else "" for n in numbers]
        kind = _known_type(kinds.pop())
        if kind is str:
            middle, end, has_blanks, values = self._texts(values, style)
        else:
            has_blanks = None in values
            middle, end, values = self._numbers(kind, values, style)
        if not has_blanks:
            return [f"{start}{n}{middle}{v}{end}" for n, v in zip(numbers, values, strict=True)]
        return [
            f"{start}{n}{middle}{v}{end}" if v is not None else f"{start}{n}{blank}" if blank else ""
            for n, v in zip(numbers, values, strict=True)
        ]

    def _texts(self, values: Sequence[Any], style: int) -> tuple[str, str, bool, Sequence[Any]]:
        """Return what is before and after each text, if some are empty, and the texts (None if empty)."""
        p = self.prefix
        middle = f'"{_attribute(style)} t="inlineStr"><{p}is><{p}t'
        end = f"</{p}t></{p}is></{p}c>"
        has_blanks = not all(values)
        texts = [v for v in values if v] if has_blanks else values
        joined = "\n".join(texts)
        if _NOT_PLAIN.search(joined) or joined.count("\n") != len(texts) - 1:
            return middle, end, has_blanks, [_text(v) if v else None for v in values]
        return middle + ">", end, has_blanks, [v or None for v in values] if has_blanks else values

    def _numbers(self, kind: type, values: Sequence[Any], style: int) -> tuple[str, str, Sequence[Any]]:
        """Return what is before and after each number, and the numbers."""
        p = self.prefix
        end = f"</{p}v></{p}c>"
        if kind is bool:
            return f'"{_attribute(style)} t="b"><{p}v>', end, [None if v is None else int(v) for v in values]
        if kind in (datetime, date, time):
            style = self._book.for_dates(style, kind)
            converts: dict[type, Callable[[Any], Any]] = {
                datetime: self._moment,
                date: self._day,
                time: _fraction,
            }
            convert = converts[kind]
            values = [None if v is None else convert(v) for v in values]
        elif kind is Decimal:
            values = [None if v is None else f"{v:f}" for v in values]
        return f'"{_attribute(style)}><{p}v>', end, values

    def _day(self, value: date) -> int:
        return value.toordinal() - self._day_0

    def _moment(self, value: datetime) -> str:
        return _number(value.toordinal() - self._day_0 + _micros(value) / _DAY)


def _attribute(style: int) -> str:
    return f' s="{style}"' if style else ""


def _micros(value: datetime | time) -> int:
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _fraction(value: time) -> str:
    return _number(_micros(value) / _DAY)


def _number(value: float) -> str:
    return repr(int(value) if value.is_integer() else value)


def _text(text: str) -> str:
    """Return the end of the tag `<t` and the text; blanks and line breaks are kept as they are."""
    is_framed = text != text.strip() or "\n" in text or "\t" in text
    text = escaped(_EXCEL_ESCAPE.sub("_x005F_", text)).replace("\n", "&#10;").replace("\r", "&#13;")
    return (' xml:space="preserve">' if is_framed else ">") + text


@lru_cache(maxsize=64)
def _known_type(kind: type) -> type:
    return next(known for known in _TYPES if issubclass(kind, known))
