"""Find the cell that a target names: by a defined name, a reference, or the text that is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, TypeVar

import msgspec

from aetherflow import StepError
from aetherflow_excel.cell_references import Area, place_name, read_area
from aetherflow_excel.package import DefinedName, Package, Sheet
from aetherflow_excel.sheet_cells import cells, shared_texts
from aetherflow_excel.workbook_file import active_sheet, worksheet

MOST_CELLS = 10_000
"""So many cells with a value are searched for texts in each sheet."""

SHOWN = 10
"""So many cells an error names."""

PIECE = 1000
"""So many texts or cells are looked at before the step is asked whether it must stop."""

T = TypeVar("T")
Kind = Literal["name", "reference", "text"]


class Anchor(msgspec.Struct, frozen=True):
    """The cell that an anchor means.

    Attributes:
        sheet: its sheet.
        row: counts from 1.
        column: counts from 1.
        kind: how it was found.
    """

    sheet: str
    row: int
    column: int
    kind: Kind


class Found(msgspec.Struct, frozen=True):
    """A cell whose text was searched for."""

    sheet: str
    row: int
    column: int
    text: str


def normalised(text: str) -> str:
    """Return a text with single blanks, and none around it."""
    return " ".join(text.split())


def key_of(text: str) -> str:
    """Return what two texts share that are the same but for blanks, and upper and lower case."""
    return normalised(text).casefold()


def defined_name(package: Package, name: str, sheet: str = "") -> DefinedName | None:
    """Return a defined name: that of the sheet before the workbook's, the same spelling before others."""
    scopes = (sheet.casefold(), "") if sheet else ("",)
    for spelled in (str, str.casefold):
        found = [one for one in package.names if spelled(one.name) == spelled(name)]
        for scope in scopes:
            for one in found:
                if (one.sheet or "").casefold() == scope:
                    return one
        if len(found) == 1 and not sheet:
            return found[0]
    return None


def named_area(package: Package, name: DefinedName) -> Area:
    """Return the cells that a defined name means.

    Raises:
        StepError: it means a formula, several areas, or cells that were deleted (AF965).
    """
    area = read_area(name.formula)
    if area is None or not area.sheet:
        raise StepError(
            f"the name {name.name!r} of {package.path} refers to no area of cells: {name.formula}",
            hint="let it refer to one cell or one area (Formulas, Name Manager)",
            code="AF965",
        )
    return msgspec.structs.replace(area, sheet=worksheet(package, area.sheet).name)


def anchor_by_reference(package: Package, anchor: str, sheet: str) -> Anchor | None:
    """Return the cell of an anchor that is a defined name or a reference, or None if it must be a text.

    A reference without a sheet means the sheet of the target, else the one that is shown first.

    Raises:
        StepError: the name refers to no cell, or the sheet does not exist (AF962, AF965).
    """
    if name := defined_name(package, anchor, sheet):
        area = named_area(package, name)
        return Anchor(area.sheet, area.row, area.column, "name")
    reference = read_area(anchor)
    if reference is None or (reference.row, reference.column) != (reference.last_row, reference.last_column):
        return None
    own = worksheet(package, reference.sheet or sheet or active_sheet(package))
    return Anchor(own.name, reference.row, reference.column, "reference")


def find_texts(
    package: Package,
    sheets: Iterable[Sheet],
    texts: Iterable[str],
    most_cells: int | None = MOST_CELLS,
    check: Callable[[], None] = lambda: None,
) -> dict[str, list[Found]]:
    """Return the cells whose whole text is one of these, whatever the case, by `key_of` the text.

    Each sheet is read once, and only so many of its cells that have a value; None: all. `check` is called
    between pieces of work; what it raises ends the search.
    """
    found: dict[str, list[Found]] = {key_of(text): [] for text in texts}
    shared = {
        str(number): text
        for number, text in enumerate(_checked(shared_texts(package), check))
        if key_of(text) in found
    }
    for sheet in sheets:
        for cell in islice(_checked(cells(package, sheet), check), most_cells):
            text = shared.get(cell.text) if cell.kind == "s" else cell.text
            if text is not None and (key := key_of(text)) in found:
                found[key].append(Found(sheet.name, cell.row, cell.column, text))
    return found


def _checked(items: Iterator[T], check: Callable[[], None]) -> Iterator[T]:
    for number, item in enumerate(items):
        if not number % PIECE:
            check()
        yield item


def one_cell(package: Package, anchor: str, found: Sequence[Found]) -> Anchor:
    """Return the only cell with the text of an anchor; one of exactly this spelling wins over others.

    Raises:
        StepError: there is none (AF963), or there are several (AF964).
    """
    exact = [one for one in found if normalised(one.text) == normalised(anchor)]
    best = exact or found
    if not best:
        raise StepError(
            f"the template {package.path} has no name {anchor!r}, and no cell with this text",
            hint=f"define the name (Formulas, Define Name), or write the text into the cell; the first"
            f" {MOST_CELLS:,} cells of a sheet are searched",
            code="AF963",
            detail={"anchor": anchor},
        )
    if len(best) > 1:
        places = [place_name(one.sheet, one.row, one.column) for one in best]
        raise StepError(
            f"the anchor {anchor!r} is in {len(best)} cells of the template {package.path}:"
            f" {', '.join(places[:SHOWN])}{' ...' if len(places) > SHOWN else ''}",
            hint="name one of them by cell and sheet, or define a name for it, which wins over texts",
            code="AF964",
            detail={"anchor": anchor, "cells": places[:SHOWN]},
        )
    return Anchor(best[0].sheet, best[0].row, best[0].column, "text")
