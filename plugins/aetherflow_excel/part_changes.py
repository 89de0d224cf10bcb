"""Change the parts that belong to sheets: charts, tables, comments, controls, pivot tables; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from types import MappingProxyType

from aetherflow_excel.anchors import moved_anchors, moved_vml
from aetherflow_excel.formulas import Moves, Use
from aetherflow_excel.markup import attribute, changed_attributes, changed_content, element, with_attribute
from aetherflow_excel.row_shifts import Placed, RowShift
from aetherflow_excel.sheet_facts import boxes

Change = Callable[[str, str, Moves], str]
"""From the text of a part and the name of its sheet to the text as it must be."""

_SERIES = element("numRef", "strRef", "multiLvlStrRef", "numDim", "strDim")
_CACHE = element("numCache", "strCache", "multiLvlStrCache", "lvl")
_FORMULA = element("f")
_LABEL = element("tx")
_SOURCE = element("worksheetSource", "rangeSet")
_TABLE = element("table")
_COLUMN = element("tableColumn")
_CACHE_DEFINITION = element("pivotCacheDefinition")


def chart(
    text: str, sheet: str, moves: Moves, has_lasting_value: Callable[[str], bool] = lambda _: False
) -> str:
    """Return a chart: its series grow with the data, and the values that it remembers of them are removed.

    Titles and names of series that are linked to a cell stay so, and keep their text if the cell does:
    LibreOffice shows only this text of a title.
    """

    def forgotten(found: re.Match[str]) -> str:
        formula = _FORMULA.search(found[0])
        if formula is None or not moves.mentions(unescape(formula[3] or ""), sheet):
            return found[0]
        return _CACHE.sub("", found[0])

    def moved(text: str, use: Use) -> str:
        return changed_content(text, ("f", "sqref"), lambda value: moves.formula(value, sheet, use))

    pieces, at = [], 0
    for label in _LABEL.finditer(text):
        pieces.append(moved(_SERIES.sub(forgotten, text[at : label.start()]), Use.SERIES))
        formula = _FORMULA.search(label[0])
        is_lasting = formula is not None and has_lasting_value(unescape(formula[3] or ""))
        pieces.append(moved(label[0] if is_lasting else _SERIES.sub(forgotten, label[0]), Use.FORMULA))
        at = label.end()
    return "".join(pieces) + moved(_SERIES.sub(forgotten, text[at:]), Use.SERIES)


def drawing(text: str, sheet: str, moves: Moves) -> str:
    """Return the drawings of a sheet where they must be, with the cells that their texts come from."""
    shift = moves.shifts.get(sheet.casefold())
    if shift is not None:
        text = moved_anchors(text, shift)
    return changed_attributes(text, {("sp", "textlink"): lambda value: moves.formula(value, sheet)})


def old_drawing(text: str, sheet: str, moves: Moves) -> str:
    """Return the frames of comments and old controls, with the cells that controls are for."""
    text = changed_content(text, ("FmlaLink", "FmlaRange"), lambda value: moves.formula(value, sheet))
    return moved_vml(text, moves.shifts.get(sheet.casefold(), RowShift()))


def control(text: str, sheet: str, moves: Moves) -> str:
    """Return a control with the cells that it is for."""
    keys = ("fmlaLink", "fmlaRange", "fmlaTxbx")
    return changed_attributes(
        text, {("formControlPr", key): lambda value: moves.formula(value, sheet) for key in keys}
    )


def comments(text: str, sheet: str, moves: Moves) -> str:
    """Return comments, old and threaded ones, at their cells."""

    def place(value: str) -> str:
        return moves.areas(value, sheet, Use.PLACE)

    return changed_attributes(text, {("comment", "ref"): place, ("threadedComment", "ref"): place})


def table(text: str, sheet: str, moves: Moves) -> str:
    """Return a table, which grows with the data, and what its columns compute."""

    def area(value: str) -> str:
        return moves.areas(value, sheet, Use.FILTER)

    found = _TABLE.search(text)
    totals = int(attribute(found[1], "totalsRowCount") or 0) if found else 0
    place = area(attribute(found[1], "ref") or "") if found else ""
    first, _, last = place.partition(":")
    rows = re.sub(r"[0-9]+", lambda row: str(int(row[0]) - totals), last)
    changes: dict[tuple[str, str], Callable[[str], str]] = {
        ("table", "ref"): area,
        ("autoFilter", "ref"): lambda _: f"{first}:{rows}" if rows else first,
        ("sortState", "ref"): area,
        ("sortCondition", "ref"): area,
    }
    text = _with_titles(changed_attributes(text, changes), place, moves.shifts.get(sheet.casefold()))
    return changed_content(
        text, ("calculatedColumnFormula", "totalsRowFormula"), lambda value: moves.formula(value, sheet)
    )


def _with_titles(text: str, place: str, shift: RowShift | None) -> str:
    """Return a table whose columns have the names in a header that was written over its own."""
    areas = boxes(place)
    for placed in shift.placed if shift is not None and areas else ():
        if placed.header != areas[0].row:
            continue
        first = areas[0].column - placed.column
        names = iter(range(first, first + areas[0].last_column - areas[0].column + 1))

        def renamed(found: re.Match[str], placed: Placed = placed, names: Iterator[int] = names) -> str:
            number = next(names, -1)
            if not 0 <= number < len(placed.titles):
                return found[0]
            return with_attribute(found[1], "name", placed.titles[number]) + found[0][len(found[1]) :]

        text = _COLUMN.sub(renamed, text)
    return text


def single_cells(text: str, sheet: str, moves: Moves) -> str:
    """Return the cells that are mapped to XML data."""
    return changed_attributes(
        text, {("singleXmlCell", "r"): lambda value: moves.areas(value, sheet, Use.PLACE)}
    )


def pivot_table(text: str, sheet: str, moves: Moves) -> str:
    """Return a pivot table where it must be."""
    return changed_attributes(text, {("location", "ref"): lambda value: moves.areas(value, sheet, Use.PLACE)})


def pivot_source(text: str, sheet: str, moves: Moves) -> str:
    """Return the source of pivot tables: it grows with the data.

    All pivot tables are refreshed when the workbook is opened: their sources may also be tables and names.
    """
    if _SOURCE.search(text) is None:
        return text

    def grown(found: re.Match[str]) -> str:
        own, area = attribute(found[1], "sheet") or sheet, attribute(found[1], "ref")
        new = moves.areas(area or "", own, Use.FILTER)
        return (
            found[0]
            if new == (area or "")
            else with_attribute(found[1], "ref", new) + found[0][len(found[1]) :]
        )

    text = _SOURCE.sub(grown, text)
    return _CACHE_DEFINITION.sub(
        lambda whole: with_attribute(whole[1], "refreshOnLoad", "1") + (whole[3] or "") + (whole[4] or ""),
        text,
    )


CHANGES = MappingProxyType(
    {
        "/drawing": drawing,
        "/vmlDrawing": old_drawing,
        "/comments": comments,
        "/threadedComment": comments,
        "/table": table,
        "/tableSingleCells": single_cells,
        "/pivotTable": pivot_table,
        "/ctrlProp": control,
        "/chart": chart,
        "/chartEx": chart,
    }
)
"""How the parts that a sheet or its drawing refers to are changed, by the kind of the relation."""
