"""Move what floats over the cells of a sheet: pictures, charts, controls, frames of comments; pure."""

from __future__ import annotations

import re

from aetherflow_excel.markup import attribute, element
from aetherflow_excel.row_shifts import RowShift

_ANCHOR = element("twoCellAnchor", "oneCellAnchor", "anchor")
_CORNER = element("from", "to")
_ROW = re.compile(r"(<(?:[\w.-]+:)?row\s*>\s*)([0-9]+)")
_COLUMN = re.compile(r"<(?:[\w.-]+:)?col\s*>\s*([0-9]+)")
_VML_ROW = re.compile(r"(<(?:[\w.-]+:)?Row\s*>\s*)([0-9]+)")
_VML_ANCHOR = re.compile(r"(<(?:[\w.-]+:)?Anchor\s*>)([^<]*)")
_VML_CLIENT = element("ClientData")
_VML_NUMBERS = 8
"""Column, offset, row, offset of the upper left corner, and the same of the lower right one."""


def moved_anchors(text: str, shift: RowShift) -> str:
    """Return drawings where they must be.

    A drawing moves with the row that it begins in and keeps its size, also when rows are inserted behind it:
    Excel would stretch it over all of them. One beside the sample row of a region stays beside the first data
    row.
    """

    def moved(found: re.Match[str]) -> str:
        if attribute(found[1], "editAs") == "absolute":
            return found[0]
        corners = [corner[0] for corner in _CORNER.finditer(found[0])]
        rows = [int(row[2]) for corner in corners for row in _ROW.finditer(corner)]
        columns = [int(column[1]) for corner in corners for column in _COLUMN.finditer(corner)]
        offset = _offset(rows[0], columns, shift) if rows else 0
        if not offset:
            return found[0]
        return _CORNER.sub(
            lambda corner: _ROW.sub(lambda row: f"{row[1]}{int(row[2]) + offset}", corner[0]), found[0]
        )

    return _ANCHOR.sub(moved, text)


def moved_vml(text: str, shift: RowShift) -> str:
    """Return the frames of comments and old controls where they must be; this may be no well-formed XML.

    The frame of a comment moves with its cell.
    """

    def client_data(found: re.Match[str]) -> str:
        cell, begin = _VML_ROW.search(found[0]), _VML_ANCHOR.search(found[0])
        numbers = [int(number) for number in re.findall(r"-?[0-9]+", begin[2])] if begin else []
        has_frame = len(numbers) == _VML_NUMBERS
        if cell is None and not has_frame:
            return found[0]
        offset = shift.above(int(cell[2]) + 1) if cell else _offset(numbers[2], numbers[:5:4], shift)
        if not offset:
            return found[0]
        text = found[0]
        if has_frame:
            numbers[2] += offset
            numbers[6] += offset
            text = _VML_ANCHOR.sub(lambda anchor: anchor[1] + ", ".join(map(str, numbers)), text)
        return _VML_ROW.sub(lambda row: f"{row[1]}{int(row[2]) + offset}", text)

    return _VML_CLIENT.sub(client_data, text)


def _offset(row: int, columns: list[int], shift: RowShift) -> int:
    """Return by how many rows something moves that begins in a row; rows and columns are counted from 0."""
    first, last = min(columns, default=0) + 1, max(columns, default=0) + 1
    beside = any(
        p.inserted and p.has_stand_in and p.at == row + 1 and (last < p.column or first > p.last_column)
        for p in shift.placed
    )
    return shift.above(row if beside else row + 1)
