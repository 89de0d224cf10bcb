"""Add a header that stays in view and a filter to a sheet, and make new sheets; pure."""

from __future__ import annotations

import re

from aetherflow_excel.cell_references import column_letters, column_number
from aetherflow_excel.markup import attribute, element, with_attribute

NEW_SHEET = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1"/><sheetViews><sheetView workbookViewId="0"/></sheetViews>'
    '<sheetFormatPr defaultRowHeight="15"/>'
    "<sheetData/></worksheet>"
)
"""A sheet without cells."""

_AFTER_FILTER = (
    "sortState",
    "dataConsolidate",
    "customSheetViews",
    "mergeCells",
    "phoneticPr",
    "conditionalFormatting",
    "dataValidations",
    "hyperlinks",
    "printOptions",
    "pageMargins",
    "pageSetup",
    "headerFooter",
    "rowBreaks",
    "colBreaks",
    "customProperties",
    "cellWatches",
    "ignoredErrors",
    "smartTags",
    "drawing",
    "legacyDrawing",
    "legacyDrawingHF",
    "drawingHF",
    "picture",
    "oleObjects",
    "controls",
    "webPublishItems",
    "tableParts",
    "extLst",
)
_AFTER_VIEWS = ("sheetFormatPr", "cols", "sheetData")
_BOX = re.compile(r"([A-Z]+)([0-9]+)(?::([A-Z]+)([0-9]+))?")


def with_frozen_rows(head: str, rows: int, prefix: str) -> str:
    """Return the XML before the rows of a sheet with this many rows at the top that stay in view."""
    view = (
        f'<{prefix}pane ySplit="{rows}" topLeftCell="A{rows + 1}" activePane="bottomLeft" state="frozen"/>'
        f'<{prefix}selection pane="bottomLeft"/>'
    )
    found = element("sheetView").search(head)
    if found is None:
        at = _before(head, _AFTER_VIEWS)
        view = f'<{prefix}sheetView workbookViewId="0">{view}</{prefix}sheetView>'
        views = f"<{prefix}sheetViews>{view}</{prefix}sheetViews>"
        return head[:at] + views + head[at:]
    tag = with_attribute(found[1], "topLeftCell", None)
    rest = element("pane", "selection").sub("", found[3] or "")
    tag = tag[:-2].rstrip() + ">" if tag.endswith("/>") else tag
    return f"{head[: found.start()]}{tag}{view}{rest}</{prefix}sheetView>{head[found.end() :]}"


def with_filter(tail: str, area: str, prefix: str) -> str:
    """Return the XML after the rows of a sheet with a filter over an area."""
    found = element("autoFilter").search(tail)
    if found is not None:
        return tail[: found.start()] + f'<{prefix}autoFilter ref="{area}"/>' + tail[found.end() :]
    at = _before(tail, _AFTER_FILTER)
    return tail[:at] + f'<{prefix}autoFilter ref="{area}"/>' + tail[at:]


def with_dimension(head: str, rows: tuple[int, int], columns: tuple[int, int]) -> str:
    """Return the XML before the rows of a sheet, whose cells now also reach over these rows and columns."""
    found = element("dimension").search(head)
    box = _BOX.fullmatch(attribute(found[1], "ref") or "") if found is not None else None
    if found is None or box is None:
        return head
    first, last = _corner(box[1], box[2]), _corner(box[3] or box[1], box[4] or box[2])
    if first == last == (1, 1):
        first = rows[0], columns[0]
    top, left = min(first[0], rows[0]), min(first[1], columns[0])
    bottom, right = max(last[0], rows[1]), max(last[1], columns[1])
    area = f"{column_letters(left)}{top}:{column_letters(right)}{bottom}"
    return head[: found.start()] + with_attribute(found[1], "ref", area) + head[found.end(1) :]


def _corner(letters: str, row: str) -> tuple[int, int]:
    return int(row), column_number(letters)


def _before(text: str, names: tuple[str, ...]) -> int:
    """Return where the first of some elements begins; if there is none, where the last tag does."""
    found = re.search(rf"<(?:[\w.-]+:)?(?:{'|'.join(names)})(?=[\s/>])", text)
    return found.start() if found else text.rindex("<")
