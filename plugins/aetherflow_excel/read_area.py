"""Choose the cells that `excel_read` reads: a sheet, a range, a table or a defined name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec

from aetherflow import StepError
from aetherflow_excel.anchor_search import defined_name, named_area
from aetherflow_excel.cell_references import MAX_COLUMNS, MAX_ROWS, Area, cell_name, quoted_sheet, read_area
from aetherflow_excel.package import Package
from aetherflow_excel.sheet_cells import tables
from aetherflow_excel.workbook_file import active_sheet, worksheet

WHAT = "workbook"


class Choice(msgspec.Struct, frozen=True):
    """What a step says about the cells to read.

    Attributes:
        sheet: a sheet, or empty.
        range: a reference, or empty.
        table: the name of a table, or empty.
        name: a defined name, or empty.
    """

    sheet: str = ""
    range: str = ""
    table: str = ""
    name: str = ""


class ReadArea(msgspec.Struct, frozen=True):
    """The cells to read.

    Attributes:
        area: the sheet and the rectangle.
        has_fixed_columns: whether its columns were named; else they are those of the header.
    """

    area: Area
    has_fixed_columns: bool

    @classmethod
    def of(cls, area: Area) -> Self:
        """Return the cells of an area; that of all columns leaves them open."""
        return cls(area, has_fixed_columns=(area.column, area.last_column) != (1, MAX_COLUMNS))

    @property
    def shown(self) -> str:
        """The cells as a reference; of a whole sheet its name."""
        area = self.area
        sheet = quoted_sheet(area.sheet)
        if (area.row, area.last_row, self.has_fixed_columns) == (1, MAX_ROWS, False):
            return sheet
        return f"{sheet}!{cell_name(area.row, area.column)}:{cell_name(area.last_row, area.last_column)}"


def chosen_area(package: Package, choice: Choice) -> ReadArea:
    """Return the cells that a step reads; without any choice, the sheet that is shown first.

    Raises:
        StepError: there is no such sheet (AF962), table, name or range (AF965, AF976).
    """
    if choice.table:
        return _table(package, choice.table)
    if choice.name:
        found = defined_name(package, choice.name, choice.sheet)
        if found is None:
            raise _not_there("name", choice.name, [one.name for one in package.names], package)
        return ReadArea.of(named_area(package, found))
    area = range_area(choice)
    sheet = worksheet(package, area.sheet or choice.sheet or active_sheet(package), WHAT).name
    return ReadArea.of(msgspec.structs.replace(area, sheet=sheet))


def range_area(choice: Choice) -> Area:
    """Return the rectangle of a range; all cells without one.

    Raises:
        StepError: it is no reference (AF965).
    """
    if not choice.range:
        return Area("", 1, 1, MAX_ROWS, MAX_COLUMNS)
    area = read_area(choice.range)
    if area is None:
        raise StepError(
            f"the range {choice.range!r} is no reference to cells",
            hint="write it as B4:F200, as B4:F for all rows below, or as Report!B4:F200",
            code="AF965",
        )
    return area


def _table(package: Package, name: str) -> ReadArea:
    found = list(tables(package))
    for table in found:
        if table.name.casefold() == name.casefold():
            return ReadArea.of(table.area)
    raise _not_there("table", name, [table.name for table in found], package)


def _not_there(kind: str, name: str, there: Sequence[str], package: Package) -> StepError:
    return StepError(
        f"the workbook {package.path} has no {kind} {name!r}",
        hint=f"it has {', '.join(map(repr, there[:20]))}" if there else f"it has no {kind}s",
        code="AF976",
    )
