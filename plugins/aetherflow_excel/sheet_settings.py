"""Change what a sheet says outside of its rows: merges, formats, filters, sparklines, links; pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

from aetherflow_excel.anchors import moved_anchors
from aetherflow_excel.beside_cells import RowTemplate, filled_down
from aetherflow_excel.formulas import End, Moves, Reference, Use, moved_reference, replaced, sheet_of
from aetherflow_excel.markup import attribute, changed_attributes, changed_content, element, with_attribute
from aetherflow_excel.row_shifts import RowShift

_RULES = element("conditionalFormatting", "dataValidation")
_SPARKLINES = element("sparklineGroups")
_SPARKLINE = element("sparkline")
_PLACES = element("sqref")
_MOST_SPARKLINES = 50_000
"""Into more rows sparklines are not copied: Excel would hardly open them."""

_ROWS_OF = re.compile(r"[A-Za-z$]*([0-9]+)(?::[A-Za-z$]*([0-9]+))?")


def moved_settings(text: str, sheet: str, moves: Moves) -> str:
    """Return the XML before or after the rows of a sheet, with all that refers to cells where it must be."""
    text = _RULES.sub(lambda found: _rule(found, sheet, moves), text)
    text = _SPARKLINES.sub(lambda found: _sparklines(found[0], sheet, moves), text)
    shift = moves.shifts.get(sheet.casefold())

    def areas(use: Use) -> Callable[[str], str]:
        return lambda value: moves.areas(value, sheet, use)

    changes = {
        ("hyperlink", "location"): lambda value: moves.formula(value, ""),
        ("control", "linkedCell"): lambda value: moves.formula(value, sheet),
        ("controlPr", "linkedCell"): lambda value: moves.formula(value, sheet),
        ("controlPr", "listFillRange"): lambda value: moves.formula(value, sheet),
    }
    if shift is not None:
        changes |= {
            ("dimension", "ref"): areas(Use.AREA),
            ("mergeCell", "ref"): areas(Use.PLACE),
            ("hyperlink", "ref"): areas(Use.PLACE),
            ("cellWatch", "r"): areas(Use.PLACE),
            ("inputCells", "r"): areas(Use.PLACE),
            ("autoFilter", "ref"): areas(Use.FILTER),
            ("sortState", "ref"): areas(Use.AREA),
            ("sortCondition", "ref"): areas(Use.AREA),
            ("protectedRange", "sqref"): areas(Use.AREA),
            ("ignoredError", "sqref"): areas(Use.AREA),
        }
    text = changed_attributes(text, changes)
    if shift is None:
        return text
    text = element("rowBreaks").sub(lambda found: _row_breaks(found[0], shift), text)
    return element("controls", "oleObjects").sub(lambda found: moved_anchors(found[0], shift), text)


def _row_breaks(text: str, shift: RowShift) -> str:
    """Return page breaks; each belongs to the row below it."""
    return changed_attributes(text, {("brk", "id"): lambda value: str(shift.row(int(value) + 1) - 1)})


def _sparklines(text: str, sheet: str, moves: Moves) -> str:
    """Return sparklines: their data grow, as those of charts do, and their places move.

    One that is beside a sample row is copied into each inserted row, as its formulas are.
    """
    shift = moves.shifts.get(sheet.casefold(), RowShift())

    def one(found: re.Match[str]) -> str:
        place = _PLACES.search(found[0])
        row = _rows_of(place[3] or "")[0] if place else None
        moved = changed_content(found[0], ("f",), lambda value: moves.formula(value, sheet, Use.SERIES, row))
        moved = changed_content(moved, ("sqref",), lambda value: moves.areas(value, sheet, Use.PLACE))
        copied = next((p for p in shift.placed if p.copies_sample and p.at == row), None)
        if copied is None or copied.last - copied.first >= _MOST_SPARKLINES:
            return moved
        template = changed_content(
            found[0], ("f", "sqref"), lambda value: filled_down(value, copied.at, sheet, moves)
        )
        rows = [n for n in range(copied.first, copied.last + 1) if n != shift.row(copied.at)]
        return "".join([RowTemplate(template).of(n).decode() for n in rows]) + moved

    return _SPARKLINE.sub(one, text)


def _rule(found: re.Match[str], sheet: str, moves: Moves) -> str:
    """Return a conditional format or a data validation: it grows with the cells that it is for."""
    tag, content, end = found[1], found[3], found[4] or ""
    inner = _PLACES.search(content or "")
    old = attribute(tag, "sqref") or (unescape(inner[3] or "") if inner else "")
    new = moves.areas(old, sheet, Use.AREA)
    if attribute(tag, "sqref") is not None and new != old:
        tag = with_attribute(tag, "sqref", new)
    if content is None:
        return tag

    def formula(text: str) -> str:
        return _rule_formula(text, old, new, sheet, moves)

    content = changed_content(content, ("formula", "formula1", "formula2", "f"), formula)
    content = changed_content(content, ("sqref",), lambda text: moves.areas(text, sheet, Use.AREA))
    content = element("cfvo").sub(
        lambda value: (
            changed_attributes(value[0], {("cfvo", "val"): formula})
            if attribute(value[1], "type") == "formula"
            else value[0]
        ),
        content,
    )
    return tag + content + end


def _rule_formula(text: str, old: str, new: str, sheet: str, moves: Moves) -> str:
    """Return the formula of a rule: relative rows count from its first cell, fixed ones move."""
    before, after = _rows_of(old), _rows_of(new)
    offset = after[0] - before[0]

    def corner(end: End, shift: RowShift) -> End:
        is_elsewhere = before[0] == before[1] and end.row != before[0]
        return end.at(shift.row(end.row) if end.is_row_fixed or is_elsewhere else end.row + offset)

    def moved(reference: Reference) -> str:
        shift = moves.shifts.get(sheet_of(reference, sheet))
        ends = [reference.first] if reference.last is None else [reference.first, reference.last]
        if all(end.is_row_fixed for end in ends):
            return moved_reference(reference, shift, Use.FORMULA) if shift is not None else reference.text()
        first, *last = (corner(end, shift or RowShift()) for end in ends)
        return Reference(reference.sheet, first, last[0] if last else None).text()

    return replaced(text, moved)


def _rows_of(areas: str) -> tuple[int, int]:
    """Return the first and the last row of a list of areas."""
    rows = [int(row) for found in _ROWS_OF.finditer(areas) for row in found.groups() if row]
    return min(rows, default=1), max(rows, default=1)
