"""Write regions of rows into a copy of a workbook; what refers to their rows moves or grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from aetherflow_excel.package import Package, open_package
from aetherflow_excel.package_writing import write_package
from aetherflow_excel.placed_regions import Placing, insertion_row, placed_regions
from aetherflow_excel.regions import Region, Written
from aetherflow_excel.sheet_facts import SheetFacts, sheet_facts
from aetherflow_excel.styles import MINIMAL, CellStyles
from aetherflow_excel.table_titles import with_distinct_titles
from aetherflow_excel.workbook_file import worksheet


def fill_workbook(
    template: Path, output: Path, regions: Sequence[Region], *, check: Callable[[], None] = lambda: None
) -> list[Written]:
    """Write regions into a copy of a template and return where each is; blocks, so call it in a thread.

    The batches of all regions are read before `output` is touched. Parts of the template that do not change
    keep their bytes. The workbook asks to be recalculated when it is opened.

    Args:
        template: the workbook file; it is only read.
        output: the file to write; large temporary files go into its folder.
        regions: what to write; no two of them have a cell in common.
        check: called between batches; what it raises ends the work.

    Raises:
        StepError: the template is damaged (AF945), a sheet is missing (AF962), rows do not fit on the sheet
            (AF946) or meet merged cells (AF947).
        OSError: a file cannot be read or written.
    """
    by_sheet: dict[str, list[Region]] = {}
    with open_package(template) as package:
        styles = CellStyles(package.text(package.styles_part) if package.styles_part else MINIMAL)
        regions = [with_distinct_titles(package, _filtered_once(package, region)) for region in regions]
        for region in regions:
            by_sheet.setdefault(_sheet_name(package, region), []).append(region)
        facts = {name: _facts(package, name, own) for name, own in by_sheet.items()}
        is_1904 = package.is_1904
    with ExitStack() as stack:
        placing = Placing(output.parent, styles, is_1904, stack, check)
        placed = {name: placed_regions(own, facts[name], placing) for name, own in by_sheet.items()}
        with open_package(template) as package:
            write_package(package, output, placed, styles, check)
    found = {id(p.region): p.written(name) for name, several in placed.items() for p in several}
    return [found[id(region)] for region in regions]


def _filtered_once(package: Package, region: Region) -> Region:
    """Return a region without a filter of its own if its sheet has a table, which has one."""
    sheet = package.sheet(region.sheet)
    has_table = sheet is not None and any(r.kind == "/table" for r in package.relations(sheet.part))
    return msgspec.structs.replace(region, filters_header=False) if has_table else region


def _facts(package: Package, name: str, regions: Sequence[Region]) -> SheetFacts:
    """Return what writing the regions of one sheet needs to know."""
    sheet = package.sheet(name)
    rows = {row for region in regions for row in (insertion_row(region), region.style_row) if row}
    return sheet_facts(package, sheet, rows) if sheet is not None else SheetFacts()


def _sheet_name(package: Package, region: Region) -> str:
    """Return the name of a region's sheet as the workbook spells it."""
    if region.is_new_sheet and package.sheet(region.sheet) is None:
        return region.sheet
    return worksheet(package, region.sheet).name
