"""Read the rows of a sheet as typed values, in a stream: numbers, dates, texts, and what Excel computed."""

from __future__ import annotations

from array import array
from collections.abc import Generator
from datetime import date, datetime
from typing import Any

import msgspec

from aetherflow import StepError
from aetherflow_excel.cell_references import column_number, place_name
from aetherflow_excel.number_formats import Meaning, meanings, moment
from aetherflow_excel.package import Package, Sheet
from aetherflow_excel.sheet_cells import forget, row_elements, shared_texts, text_of

Cells = dict[int, Any]
"""The values of a row by column; columns count from 1."""

LONGEST_INTEGER = 18
"""A number of more digits was computed by a floating-point unit, and is a float."""


class CellError(msgspec.Struct, frozen=True):
    """What a cell holds whose formula failed, such as #N/A."""

    text: str


class SharedTexts:
    """The texts that cells share, in one piece of memory."""

    def __init__(self, package: Package) -> None:
        self._bytes, self._ends = bytearray(), array("Q", [0])
        for text in shared_texts(package):
            self._bytes += text.encode("utf-8", "surrogatepass")
            self._ends.append(len(self._bytes))

    def __getitem__(self, number: int) -> str:
        return self._bytes[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")


UNCOMPUTED = CellError("")
"""What a cell holds whose formula has no stored value."""


class SheetRows:
    """The rows of a sheet that have cells."""

    def __init__(self, package: Package, sheet: Sheet) -> None:
        self._package, self._sheet = package, sheet
        self._texts = SharedTexts(package)
        self._meanings = meanings(package)
        self._columns: dict[str, int] = {}

    def __iter__(self) -> Generator[tuple[int, Cells]]:
        number = 0
        for row in row_elements(self._package, self._sheet.part):
            number = int(row.get("r", number + 1))
            if cells := self._cells(row):
                yield number, cells
            forget(row)

    def _cells(self, row: Any) -> Cells:
        """Return the values of a row; cells without one are left out."""
        namespace = row.tag[:-3]
        value_tag, text_tag = f"{namespace}v", f"{namespace}t"
        columns, found = self._columns, Cells()
        column = 0
        for cell in row:
            if reference := cell.get("r"):
                letters = reference.rstrip("0123456789")
                column = columns.get(letters) or self._column(letters)
            else:
                column += 1
            if not len(cell):
                continue
            last, kind = cell[-1], cell.get("t")
            if kind == "inlineStr":
                is_plain = len(last) == 1 and last[0].tag == text_tag
                found[column] = (last[0].text or "") if is_plain else text_of(cell)
                continue
            value = last if last.tag == value_tag else cell.find(value_tag)
            if value is not None and value.text:
                found[column] = self._value(kind, value.text, cell.get("s"), row, column)
            else:
                found[column] = "" if kind == "str" else UNCOMPUTED
        return found

    def _column(self, letters: str) -> int:
        self._columns[letters] = number = column_number(letters)
        return number

    def _value(self, kind: str | None, text: str, style: str | None, row: Any, column: int) -> Any:
        try:
            match kind:
                case None | "n":
                    return self._number(text, style)
                case "s":
                    return self._texts[int(text)]
                case "b":
                    return text == "1"
                case "e":
                    return CellError(text)
                case "d":
                    return _iso(text)
                case _:
                    return text
        except (ValueError, IndexError) as error:
            place = place_name(self._sheet.name, int(row.get("r", 0)), column)
            raise StepError(
                f"the workbook {self._package.path} is damaged: {place} has the value {text!r:.40} ({error})",
                hint="open it in Excel or LibreOffice, which may repair it, and save it again",
                code="AF961",
            ) from error

    def _number(self, text: str, style: str | None) -> Any:
        meaning = self._meanings[int(style)] if style and int(style) < len(self._meanings) else None
        if meaning is not None and meaning is not Meaning.NUMBER:
            return moment(float(text), meaning, is_1904=self._package.is_1904)
        if len(text) <= LONGEST_INTEGER and text.lstrip("-").isdigit():
            return int(text)
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 10**15 else number


def _iso(text: str) -> date:
    """Return the date or datetime of a cell that has it as ISO text."""
    moment = datetime.fromisoformat(text)
    return moment if "T" in text else moment.date()
