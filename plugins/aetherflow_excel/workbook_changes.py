"""Change the parts about the whole workbook: its names, its list of sheets, when it is calculated; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

import msgspec

from aetherflow_excel.formulas import Moves, Use
from aetherflow_excel.markup import attribute, element, escaped, prefix_of, with_attribute

SPREADSHEET_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_FILTER = "_xlnm._FilterDatabase"
_NAME = element("definedName")
_AFTER_NAMES = (
    "calcPr",
    "oleSize",
    "customWorkbookViews",
    "pivotCaches",
    "smartTagPr",
    "smartTagTypes",
    "webPublishing",
    "fileRecoveryPr",
    "webPublishObjects",
    "extLst",
)


class AddedPart(msgspec.Struct, frozen=True):
    """A part that the template does not have.

    Attributes:
        part: its name in the package.
        target: its name as the workbook part says it.
        kind: the last word of the types of its relation and its content: `worksheet` or `styles`.
        id: by which the workbook refers to it.
        sheet: the name of the sheet; empty if it is none.
    """

    part: str
    target: str
    kind: str
    id: str
    sheet: str = ""


def workbook(text: str, moves: Moves, added: Sequence[AddedPart], filters: dict[int, str]) -> str:
    """Return the workbook part: names moved, sheets added, and all formulas to be computed when it is opened.

    Args:
        text: the part.
        moves: how references move.
        added: the sheets that are new.
        filters: the areas with a new filter, as a formula, by the index of the sheet.
    """
    prefix = prefix_of(text, "workbook")
    text = _with_sheets(text, added, prefix)

    def name(found: re.Match[str]) -> str:
        is_filter = attribute(found[1], "name") == _FILTER
        if is_filter and int(attribute(found[1], "localSheetId") or -1) in filters:
            return ""
        old = unescape(found[3] or "")
        new = moves.formula(old, "", Use.FILTER if is_filter else Use.FORMULA)
        return found[0] if new == old else found[1] + escaped(new) + found[4]

    text = _NAME.sub(name, text)
    names = "".join(
        f'<{prefix}definedName name="{_FILTER}" localSheetId="{index}" hidden="1">'
        f"{escaped(area)}</{prefix}definedName>"
        for index, area in sorted(filters.items())
    )
    if names:
        text = _with_names(text, names, prefix)
    found = element("calcPr").search(text)
    if found is not None:
        return text[: found.start()] + with_attribute(found[1], "fullCalcOnLoad", "1") + text[found.end(1) :]
    return _inserted(text, f'<{prefix}calcPr fullCalcOnLoad="1"/>', _AFTER_NAMES[1:])


def _with_sheets(text: str, added: Sequence[AddedPart], prefix: str) -> str:
    sheets = element("sheets").search(text)
    if sheets is None or not any(part.sheet for part in added):
        return text
    last = max(
        (int(attribute(found[1], "sheetId") or 0) for found in element("sheet").finditer(sheets[3] or "")),
        default=0,
    )
    new = "".join(
        f'<{prefix}sheet name="{escaped(part.sheet).replace(chr(34), "&quot;")}" sheetId="{last + number}"'
        f' r:id="{part.id}" xmlns:r="{SPREADSHEET_RELATIONS}"/>'
        for number, part in enumerate((part for part in added if part.sheet), 1)
    )
    return text[: sheets.end(3)] + new + text[sheets.end(3) :]


def _with_names(text: str, names: str, prefix: str) -> str:
    found = element("definedNames").search(text)
    if found is not None and found[3] is not None:
        return text[: found.end(3)] + names + text[found.end(3) :]
    return _inserted(text, f"<{prefix}definedNames>{names}</{prefix}definedNames>", _AFTER_NAMES)


def _inserted(text: str, new: str, before: Sequence[str]) -> str:
    found = re.search(rf"<(?:[\w.-]+:)?(?:{'|'.join(before)})(?=[\s/>])", text)
    at = found.start() if found else text.rindex("</")
    return text[:at] + new + text[at:]


def relations(text: str, added: Sequence[AddedPart], dropped: Sequence[str]) -> str:
    """Return the relations of the workbook with the added parts, and without those to dropped ids."""
    prefix = prefix_of(text, "Relationships")
    text = element("Relationship").sub(lambda r: "" if attribute(r[1], "Id") in dropped else r[0], text)
    new = "".join(
        f'<{prefix}Relationship Id="{part.id}" Type="{SPREADSHEET_RELATIONS}/{part.kind}"'
        f' Target="{part.target}"/>'
        for part in added
    )
    at = text.rindex("</")
    return text[:at] + new + text[at:]


def content_types(text: str, added: Sequence[AddedPart], dropped: Sequence[str]) -> str:
    """Return the content types with the added parts, without the dropped ones, and of a workbook.

    Excel opens a template (.xltx, .xltm) as a new workbook without a name; a filled one is no template.
    """
    for kind in ("spreadsheetml.{}.main+xml", "ms-excel.{}.macroEnabled.main+xml"):
        text = text.replace(kind.format("template"), kind.format("sheet"))
    prefix = prefix_of(text, "Types")
    gone = {f"/{part}".casefold() for part in dropped}
    text = element("Override").sub(
        lambda part: "" if (attribute(part[1], "PartName") or "").casefold() in gone else part[0], text
    )
    new = "".join(
        f'<{prefix}Override PartName="/{part.part}" ContentType="{_MAIN}.{part.kind}+xml"/>' for part in added
    )
    at = text.rindex("</")
    return text[:at] + new + text[at:]
