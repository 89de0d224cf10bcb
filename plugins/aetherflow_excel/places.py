"""Find the place of each target in a template: its sheet and cell."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from aetherflow import StepError
from aetherflow_excel.anchor_search import Anchor, anchor_by_reference, find_texts, key_of, one_cell
from aetherflow_excel.cell_references import read_area
from aetherflow_excel.package import Package, Sheet
from aetherflow_excel.target_keys import Target
from aetherflow_excel.workbook_file import worksheet

_NO_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]|^'|'$")
_LONGEST_SHEET_NAME = 31


def places_of(package: Package, targets: Sequence[Target], *, is_enterprise: bool) -> list[Anchor]:
    """Return the place of each target; each sheet is searched once for the texts of all anchors.

    Raises:
        StepError: a sheet does not exist (AF962), an anchor is nowhere (AF963), in several cells (AF964), or
            no cell (AF965), or in enterprise mode a text is searched without a sheet (AF966).
    """
    places = [_without_search(package, target) for target in targets]
    searched: dict[str, list[str]] = {}
    for target, place in zip(targets, places, strict=True):
        if place is None:
            if is_enterprise and not target.sheet:
                raise StepError(
                    f"target {target.name!r}: in enterprise mode the text {target.anchor!r} needs a sheet",
                    hint="name the sheet to search, or define a name for the cell",
                    code="AF966",
                )
            searched.setdefault(target.sheet, []).append(target.anchor)
    found = {
        sheet: find_texts(package, _sheets(package, sheet), anchors) for sheet, anchors in searched.items()
    }
    known = [
        place or one_cell(package, target.anchor, found[target.sheet][key_of(target.anchor)])
        for target, place in zip(targets, places, strict=True)
    ]
    spelled: dict[str, str] = {}  # two new sheets whose names differ in case only are one
    return [
        msgspec.structs.replace(place, sheet=spelled.setdefault(place.sheet.casefold(), place.sheet))
        for place in known
    ]


def _sheets(package: Package, name: str) -> list[Sheet]:
    """Return the sheets in which a text is searched."""
    return [worksheet(package, name)] if name else [sheet for sheet in package.sheets if sheet.has_cells]


def _without_search(package: Package, target: Target) -> Anchor | None:
    """Return the place of a target that names it, or None if a text must be searched."""
    if target.anchor:
        return anchor_by_reference(package, target.anchor, target.sheet)
    area = read_area(target.cell or "A1")
    if area is None or area.sheet or (area.row, area.column) != (area.last_row, area.last_column):
        raise StepError(
            f"target {target.name!r}: {target.cell!r} is no cell", hint="write it as B4", code="AF965"
        )
    if target.makes_sheet and package.sheet(target.sheet) is None:
        _check_sheet_name(target)
        return Anchor(target.sheet, area.row, area.column, "reference")
    return Anchor(worksheet(package, target.sheet).name, area.row, area.column, "reference")


def _check_sheet_name(target: Target) -> None:
    """Check that a sheet may have this name.

    Raises:
        StepError: Excel does not allow it (AF962).
    """
    name = target.sheet
    is_length_wrong = not 1 <= len(name) <= _LONGEST_SHEET_NAME
    if is_length_wrong or _NO_SHEET_NAME.search(name) or name.casefold() == "history":
        raise StepError(
            f"target {target.name!r}: no sheet can have the name {name!r}",
            hint=f"a name has 1 to {_LONGEST_SHEET_NAME} characters and none of []:*?/\\, and History is not"
            " allowed; set sheet, data_sheet_prefix or name",
            code="AF962",
        )
