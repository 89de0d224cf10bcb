"""Read the XML of a sheet in pieces: what is before its rows, each row, and what is after them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow_excel.cell_references import column_letters, column_number
from aetherflow_excel.markup import attribute, element, with_attribute
from aetherflow_excel.package import encoding_of

CHUNK = 1 << 18
_DATA = re.compile(r"<((?:[\w.-]+:)?)sheetData(?=[\s/>])[^>]*>")
_DATA_END = re.compile(r"</(?:[\w.-]+:)?sheetData\s*>")
_CELL = element("c")
_FORMULA = re.compile(r"<(?:[\w.-]+:)?f[\s/>]")
_CELL_NAME = re.compile(r"([A-Za-z]+)([0-9]+)")


class Row(msgspec.Struct, frozen=True):
    """A row of a sheet: its number, its start tag (which may be `<row .../>`), its cells, and its end tag."""

    number: int
    tag: str
    cells: str
    end: str

    def text(self) -> str:
        """Return the row as XML."""
        return self.tag + self.cells + self.end


class Cell(msgspec.Struct, frozen=True):
    """A cell of a row: its column, its start tag, and its content, which is None for `<c .../>`."""

    column: int
    tag: str
    content: str | None
    end: str

    def text(self) -> str:
        """Return the cell as XML."""
        return self.tag if self.content is None else self.tag + self.content + self.end


class SheetText:
    """The XML of one sheet, read once from its begin to its end.

    Attributes:
        head: all up to the rows; its last tag is that of `sheetData`.
        tail: all from the end tag of `sheetData` on; known when `rows` has ended.
        prefix: of the names of elements; empty or such as `x:`.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        first = file.read(CHUNK)
        self._decode = codecs.getincrementaldecoder(encoding_of(first))().decode
        text = self._decode(first)
        while (found := _DATA.search(text)) is None and (more := file.read(CHUNK)):
            text += self._decode(more)
        if found is None:
            raise ValueError("a sheet has no rows element")
        self.prefix = found[1]
        self.head = text[: found.end()]
        self.tail = ""
        self._rest = text[found.end() :]
        if self.head.endswith("/>"):
            self.head = self.head[:-2].rstrip() + ">"
            self._rest = f"</{self.prefix}sheetData>" + self._rest

    def rows(self) -> Iterator[Row]:
        """Yield the rows; those that do not say their number follow the one before.

        Raises:
            ValueError: there is something else than rows, or the sheet ends before they do.
        """
        number, text = 0, self._rest
        begin, close = f"<{self.prefix}row", f"</{self.prefix}row>"
        while True:
            if "<!" in text:
                raise ValueError(
                    "a sheet has comments or CDATA between its rows, which no spreadsheet program writes;"
                    " open it in Excel or LibreOffice and save it"
                )
            stop = _DATA_END.search(text)
            end, limit = 0, stop.start() if stop else len(text)
            while (start := text.find(begin, end, limit)) >= 0:
                content = text.find(">", start, limit) + 1
                is_empty = text[content - 2] == "/"
                last = content if is_empty else text.find(close, content, limit)
                if not content or last < 0:
                    break
                end = last if is_empty else last + len(close)
                tag = text[start:content]
                said = attribute(tag, "r")
                number = int(said) if said else number + 1
                if not said:
                    tag = with_attribute(tag, "r", str(number))
                yield Row(number, tag, text[content:last], text[last:end])
            if stop:
                break
            more = self._file.read(CHUNK)
            if not more:
                raise ValueError("a sheet ends before its rows do")
            text = text[end:] + self._decode(more)
        self.tail = text[stop.start() :] + self._decode(self._file.read(), True)


def cells_of(row: Row) -> Iterator[Cell]:
    """Yield the cells of a row; those that do not say their column follow the one before."""
    column = 0
    for found in _CELL.finditer(row.cells):
        tag = found[1]
        said = _CELL_NAME.fullmatch(attribute(tag, "r") or "")
        column = column_number(said[1]) if said else column + 1
        if not said:
            tag = with_attribute(tag, "r", f"{column_letters(column)}{row.number}")
        yield Cell(column, tag, found[3], found[4] or "")


def own_style(row: Row) -> int | None:
    """Return the style of a row's cells that do not say theirs; None if it is that of their column."""
    style = attribute(row.tag, "s")
    return int(style) if style and attribute(row.tag, "customFormat") in ("1", "true") else None


def is_in_group(tag: str) -> bool:
    """Whether a row is in an outline, by its start tag."""
    return (attribute(tag, "outlineLevel") or "0") != "0"


def has_formula(row: Row) -> bool:
    """Whether there is a formula in a row."""
    return _FORMULA.search(row.cells) is not None
