"""Change the rows of a template's sheet: move them, move what their formulas refer to, empty cells; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape

from aetherflow_excel.cell_references import column_letters
from aetherflow_excel.formulas import Moves, Use, translated
from aetherflow_excel.markup import attribute, element, escaped, with_attribute
from aetherflow_excel.regions import Box
from aetherflow_excel.row_shifts import RowShift
from aetherflow_excel.sheet_text import Cell, Row, cells_of, has_formula

_FORMULA = element("f")
_PLACE = re.compile(r"""(<(?:[\w.-]+:)?c(?=\s)[^>]*?\sr\s*=\s*["'][A-Za-z]+)[0-9]+""")
_NOT_SHIFTED = RowShift()


class RowChanges:
    """Changes the rows of one sheet, from its first to its last row.

    The results of formulas are removed: a reader would believe the old ones. Shared formulas become single
    ones where what they refer to moves, since from then on they differ by more than their place.
    """

    def __init__(self, sheet: str, moves: Moves, clear: Sequence[Box]) -> None:
        self._sheet = sheet
        self._moves = moves
        self._shift = moves.shifts.get(sheet.casefold(), _NOT_SHIFTED)
        self._is_changed = sheet.casefold() in moves.shifts
        self._clear = clear
        self._shared: dict[str, tuple[str, int, int]] = {}

    def rows(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows as they must be; those that stay as they are keep their spelling."""
        for row in rows:
            yield self._row(row)

    def _row(self, row: Row) -> Row:
        number = self._shift.row(row.number)
        boxes = [box for box in self._clear if box.row <= row.number <= box.last_row]
        if number == row.number and not boxes and not has_formula(row):
            return row
        tag = row.tag if number == row.number else with_attribute(row.tag, "r", str(number))
        if not boxes and not has_formula(row):
            place = str(number)
            return Row(number, tag, _PLACE.sub(lambda found: found[1] + place, row.cells), row.end)
        cells = [self._cell(cell, row.number, number, boxes) for cell in cells_of(row)]
        return Row(number, tag, "".join(cells), row.end)

    def _cell(self, cell: Cell, row: int, number: int, boxes: Sequence[Box]) -> str:
        tag = cell.tag
        if number != row:
            tag = with_attribute(tag, "r", f"{column_letters(cell.column)}{number}")
        content = cell.content
        formula = _FORMULA.search(content) if content is not None and "f" in content else None
        if any(box.column <= cell.column <= box.last_column for box in boxes):
            if formula is not None:
                self._remember(formula.group(1), unescape(formula.group(3) or ""), row, cell.column)
            return emptied(tag)
        if formula is not None:
            return with_attribute(tag, "t", None) + self._formula(formula[0], row, cell.column) + cell.end
        return tag if content is None else tag + content + cell.end

    def _formula(self, text: str, row: int, column: int) -> str:
        """Return the element of a formula as it must be."""
        found = _FORMULA.fullmatch(text)
        if found is None:
            return text
        tag, old, end = found[1], unescape(found[3] or ""), found[4] or ""
        kind = attribute(tag, "t")
        if kind == "shared":
            shared = self._remember(tag, old, row, column)
            if shared is None:
                return text
            old, first_row, first_column = shared
            old = translated(old, row - first_row, column - first_column)
            name = found[0][1 : found[0].index("f") + 1]
            tag, end = f"<{name}>", f"</{name}>"
        elif kind is not None:
            for name in ("ref", "r1", "r2"):
                if (area := attribute(tag, name)) is not None:
                    moved = self._moves.areas(area, self._sheet, Use.PLACE)
                    tag = tag if moved == area else with_attribute(tag, name, moved)
        new = self._moves.formula(old, self._sheet, row=row)
        return text if tag == found[1] and new == old else tag + escaped(new) + end

    def _remember(self, tag: str, formula: str, row: int, column: int) -> tuple[str, int, int] | None:
        """Return the first formula that a shared one is made of; None if it can stay shared."""
        number = attribute(tag, "si")
        if number is None or attribute(tag, "t") != "shared":
            return None
        if formula and (self._is_changed or self._moves.mentions(formula, self._sheet)):
            self._shared[number] = formula, row, column
        return self._shared.get(number)


def emptied(tag: str) -> str:
    """Return a cell without content from its start tag: only its style stays."""
    tag = with_attribute(tag, "t", None)
    return tag if tag.endswith("/>") else tag[:-1].rstrip() + "/>"
