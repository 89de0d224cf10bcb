"""Say whether the cell that the title of a chart is linked to still has the value of the template."""

from __future__ import annotations

from aetherflow_excel.formulas import Moves, Reference, replaced, sheet_of
from aetherflow_excel.markup import element
from aetherflow_excel.package import Package
from aetherflow_excel.sheet_text import SheetText, cells_of

_FORMULA = element("f")


def has_lasting_value(formula: str, package: Package, moves: Moves) -> bool:
    """Whether a title is linked to one cell with a value, not a formula, that no region overwrites."""
    found: list[Reference] = []

    def look(reference: Reference) -> str:
        found.append(reference)
        return ""

    rest = replaced(formula, look)
    if rest or len(found) != 1 or found[0].last is not None:
        return False
    cell, sheet = found[0].first, package.sheet(sheet_of(found[0], ""))
    if sheet is None or not sheet.has_cells or _is_overwritten(cell.row, cell.column, sheet.name, moves):
        return False
    with package.open(sheet.part) as file:
        for row in SheetText(file).rows():
            if row.number >= cell.row:
                here = cells_of(row) if row.number == cell.row else []
                return any(c.column == cell.column and not _FORMULA.search(c.content or "") for c in here)
    return False


def _is_overwritten(row: int, column: int, sheet: str, moves: Moves) -> bool:
    shift = moves.shifts.get(sheet.casefold())
    if shift is None:
        return False
    now = shift.point(row, column)
    return any(
        placed.column <= column <= placed.last_column
        and (now == placed.header or placed.first <= now <= placed.last)
        for placed in shift.placed
    )
