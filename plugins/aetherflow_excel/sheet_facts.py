"""Read from a template's sheet what writing a region needs: styles, formulas, merged cells."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from aetherflow_excel.cell_references import MAX_COLUMNS
from aetherflow_excel.formulas import Reference, replaced
from aetherflow_excel.markup import attribute, element
from aetherflow_excel.package import Package, Sheet
from aetherflow_excel.regions import Box
from aetherflow_excel.sheet_text import Row, SheetText, cells_of, has_formula, is_in_group, own_style

_ROW_ATTRIBUTES = ("s", "customFormat", "ht", "customHeight", "outlineLevel")


class SheetFacts(msgspec.Struct, frozen=True):
    """What a template says about one sheet.

    Attributes:
        prefix: of the names of elements.
        columns: the styles of columns: first column, last column, style.
        rows: the rows that were asked about, as far as they are there.
        merged: the merged cells.
        last_row: the last row that is there.
    """

    prefix: str = ""
    columns: tuple[tuple[int, int, int], ...] = ()
    rows: dict[int, Row] = {}
    merged: tuple[Box, ...] = ()
    last_row: int = 0

    def styles(self, row: int | None, columns: range) -> list[int]:
        """Return the styles that cells of a row have, or that new ones would have; None is an empty row."""
        styles = [next((s for first, last, s in self.columns if first <= c <= last), 0) for c in columns]
        if row is not None and (found := self.rows.get(row)) is not None:
            own = own_style(found)
            cells = {cell.column: int(attribute(cell.tag, "s") or 0) for cell in cells_of(found)}
            styles = [cells.get(c, s if own is None else own) for c, s in zip(columns, styles, strict=True)]
        return styles

    def row_attributes(self, row: int | None) -> str:
        """Return what a row says about itself that rows with its formats say too, each after a blank.

        That is its height, the style of its other cells, and its level in an outline. It is hidden only with
        the group that it is in: a hidden sample row of no group is a sample that nobody is to see.
        """
        found = self.rows.get(row) if row is not None else None
        if found is None:
            return ""
        names = [*_ROW_ATTRIBUTES, *(["hidden"] if is_in_group(found.tag) else [])]
        said = {name: attribute(found.tag, name) for name in names}
        return "".join(f' {name}="{value}"' for name, value in said.items() if value)

    def has_formula(self, row: int, columns: range) -> bool:
        """Whether a row has a formula in some columns."""
        found = self.rows.get(row)
        if found is None or not has_formula(found):
            return False
        cells = (cell for cell in cells_of(found) if cell.column in columns)
        return any(element("f").search(cell.content or "") for cell in cells)


def sheet_facts(package: Package, sheet: Sheet, rows: Collection[int]) -> SheetFacts:
    """Read a sheet once and return what it says, with these of its rows."""
    found: dict[int, Row] = {}
    last = 0
    with package.open(sheet.part) as file:
        text = SheetText(file)
        for row in text.rows():
            last = row.number
            if last in rows:
                found[last] = row
    columns = [
        (
            int(attribute(c[1], "min") or 1),
            int(attribute(c[1], "max") or 1),
            int(attribute(c[1], "style") or 0),
        )
        for c in element("col").finditer(text.head)
    ]
    merged = [
        box for c in element("mergeCell").finditer(text.tail) for box in boxes(attribute(c[1], "ref") or "")
    ]
    return SheetFacts(text.prefix, tuple(columns), found, tuple(merged), last)


def boxes(areas: str) -> list[Box]:
    """Return the rectangles of a list of areas, such as an attribute `sqref` has them."""
    found: list[Box] = []

    def add(area: Reference) -> str:
        first, last = area.first, area.last or area.first
        found.append(Box(first.row, first.column or 1, last.row, last.column or MAX_COLUMNS))
        return ""

    replaced(areas, add)
    return found
