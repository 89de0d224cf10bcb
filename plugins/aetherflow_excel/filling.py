"""Write regions of rows into a copy of a workbook; what refers to their rows moves or grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from aetherflow import StepError
from aetherflow_excel.package import Package, open_package
from aetherflow_excel.package_writing import write_package
from aetherflow_excel.placing import PlacedRegion, Placing, insertion_row, placed_regions
from aetherflow_excel.regions import Region, Written
from aetherflow_excel.sheet_facts import SheetFacts, sheet_facts
from aetherflow_excel.styles import MINIMAL, CellStyles


def fill_workbook(
    template: Path, output: Path, regions: Sequence[Region], *, check: Callable[[], None] = lambda: None
) -> list[Written]:
    """Write regions into a copy of a template and return where each is; blocks, so call it in a thread.

    The batches of all regions are read before `output` is touched. Parts of the template that do not change
    keep their bytes. The workbook asks to be recalculated when it is opened.

    Args:
        template: the workbook file; it is only read.
        output: the file to write; large temporary files go into its folder.
        regions: what to write; at most one of them may be in each cell.
        check: called between batches; what it raises ends the work.

    Raises:
        StepError: the template cannot be read (AF945), a sheet is missing (AF946), regions overlap (AF947),
            the rows do not fit on the sheet (AF948), or meet merged cells (AF949).
        OSError: a file cannot be read or written.
    """
    with open_package(template) as package, ExitStack() as stack:
        styles_part = package.styles_part
        styles = CellStyles(package.text(styles_part) if styles_part else MINIMAL)
        placing = Placing(output.parent, styles, package.is_1904, stack, check)
        by_sheet: dict[str, list[Region]] = {}
        for region in regions:
            by_sheet.setdefault(_sheet_name(package, region), []).append(region)
        placed: dict[str, list[PlacedRegion]] = {}
        for name, own in by_sheet.items():
            sheet = package.sheet(name)
            rows = {row for region in own for row in (insertion_row(region), region.style_row) if row}
            facts = sheet_facts(package, sheet, rows) if sheet is not None else SheetFacts()
            placed[name] = placed_regions(own, facts, placing)
        write_package(package, output, placed, styles, check)
        found = {id(p.region): p.written(name) for name, several in placed.items() for p in several}
        return [found[id(region)] for region in regions]


def _sheet_name(package: Package, region: Region) -> str:
    """Return the name of a region's sheet as the workbook spells it."""
    sheet = package.sheet(region.sheet)
    if sheet is not None and sheet.has_cells:
        return sheet.name
    if sheet is None and region.is_new_sheet:
        return region.sheet
    sheets = ", ".join(sheet.name for sheet in package.sheets if sheet.has_cells)
    raise StepError(
        f"target {region.name!r}: {package.path} has no sheet {region.sheet!r} with cells",
        hint=f"its sheets are {sheets}",
        code="AF946",
    )
