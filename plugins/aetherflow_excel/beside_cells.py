"""Copy formulas and styles beside a sample row into each inserted row, as a person fills them down; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import unescape

import msgspec

from aetherflow_excel.cell_references import column_letters
from aetherflow_excel.formulas import End, Moves, Reference, Use, moved_reference, replaced, sheet_of
from aetherflow_excel.markup import attribute, element, escaped
from aetherflow_excel.sheet_text import Row, cells_of

_FORMULA = element("f")
MARK = "\0"
"""What is around the offset of a row in a `RowTemplate`."""


class BesideCell(msgspec.Struct, frozen=True):
    """A cell of the sample row that each inserted row gets: its column, style, and formula if it has one."""

    column: int
    style: int
    formula: str


class RowTemplate:
    """The XML of cells that differ from row to row only in numbers of rows."""

    def __init__(self, text: str) -> None:
        pieces = text.split(MARK)  # text, offset, text, offset, ..., text
        self._format = "%d".join(piece.replace("%", "%%") for piece in pieces[::2])
        self._offsets = [int(offset) for offset in pieces[1::2]]

    def of(self, row: int) -> bytes:
        """Return the cells of a row."""
        return (self._format % tuple([row + offset for offset in self._offsets])).encode()


def beside_cells(row: Row, columns: Collection[int]) -> tuple[BesideCell, ...]:
    """Return what is to be copied from a sample row, except for the columns that data are written to.

    Formulas of arrays are left out: an array belongs to its cells.
    """
    found = []
    for cell in cells_of(row):
        if cell.column in columns:
            continue
        formula = _FORMULA.search(cell.content or "")
        is_copied = formula is not None and attribute(formula[1], "t") in (None, "shared")
        text = unescape(formula[3] or "") if formula is not None and is_copied else ""
        style = int(attribute(cell.tag, "s") or 0)
        if text or style:
            found.append(BesideCell(cell.column, style, text))
    return tuple(found)


def row_template(cells: Sequence[BesideCell], at: int, sheet: str, moves: Moves, prefix: str) -> RowTemplate:
    """Return the cells for any row of the written sheet; `at` is the sample row of the template."""
    texts = []
    for cell in cells:
        style = f' s="{cell.style}"' if cell.style else ""
        start = f'<{prefix}c r="{column_letters(cell.column)}{MARK}0{MARK}"{style}'
        if cell.formula:
            formula = escaped(filled_down(cell.formula, at, sheet, moves))
            texts.append(f"{start}><{prefix}f>{formula}</{prefix}f></{prefix}c>")
        else:
            texts.append(f"{start}/>")
    return RowTemplate("".join(texts))


def filled_down(formula: str, at: int, sheet: str, moves: Moves) -> str:
    """Return a formula in which relative rows are marked, and fixed ones are those of the written sheet."""

    def moved(reference: Reference) -> str:
        shift = moves.shifts.get(sheet_of(reference, sheet))
        ends = [reference.first] if reference.last is None else [reference.first, reference.last]
        if all(end.is_row_fixed for end in ends):
            return moved_reference(reference, shift, Use.FORMULA) if shift is not None else reference.text()

        def corner(end: End) -> str:
            if not end.is_row_fixed:
                return f"{end.columns}{MARK}{end.row - at}{MARK}"
            return end.at(shift.point(end.row, end.column or 1) if shift is not None else end.row).text()

        return reference.sheet + ":".join(map(corner, ends))

    return replaced(formula, moved)
