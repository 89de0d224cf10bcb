"""Read the cells, texts and tables of a workbook in a stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow import MissingExtra
from aetherflow_excel.cell_references import Area, column_number, read_area
from aetherflow_excel.package import Package, Sheet, not_a_workbook


class RawCell(msgspec.Struct, frozen=True):
    """A cell as it is in the file.

    Attributes:
        row: counts from 1.
        column: counts from 1.
        kind: the attribute `t`: `n` number, `s` shared text, `inlineStr`, `str`, `b`, `e` error, `d` date.
        text: its value as text; for a shared text its number.
        style: the number of its format.
    """

    row: int
    column: int
    kind: str
    text: str
    style: int


class Table(msgspec.Struct, frozen=True):
    """A table of a sheet.

    Attributes:
        name: its name.
        area: its cells, with the header and without the row of totals.
        has_header: whether its first row is a header.
    """

    name: str
    area: Area
    has_header: bool


def cells(package: Package, sheet: Sheet) -> Iterator[RawCell]:
    """Yield the cells of a sheet that have a value, row by row.

    Raises:
        StepError: the sheet is no XML (AF945).
    """
    number = 0
    for row in row_elements(package, sheet.part):
        number, column = int(row.get("r", number + 1)), 0
        for element in row:
            column = _column(element.get("r"), column)
            if cell := _raw_cell(element, number, column):
                yield cell
        forget(row)


def shared_texts(package: Package) -> Iterator[str]:
    """Yield the texts that cells share, in the order of their numbers.

    Raises:
        StepError: their part is no XML (AF945).
    """
    for relation in package.relations(package.workbook_part):
        if relation.kind == "/sharedStrings" and package.find(relation.target):
            for element in _elements(package, relation.target, "si"):
                yield text_of(element)
                forget(element)


def tables(package: Package) -> Iterator[Table]:
    """Yield the tables of all sheets."""
    for sheet in package.sheets:
        for relation in package.relations(sheet.part):
            if relation.kind == "/table":
                for table in _elements(package, relation.target, "table"):
                    if area := read_area(table.get("ref", "")):
                        last = area.last_row - int(table.get("totalsRowCount", 0))
                        area = Area(sheet.name, area.row, area.column, last, area.last_column)
                        has_header = table.get("headerRowCount", "1") != "0"
                        yield Table(table.get("displayName", ""), area, has_header)


def _elements(package: Package, part: str, name: str) -> Iterator[Any]:
    """Yield the elements of a part that have this name, in whatever namespace, while it is read."""
    try:
        from lxml import etree  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "reading a workbook needs lxml, which is not installed", hint="pip install 'aetherflow[excel]'"
        ) from error
    try:
        with package.open(part) as file:
            for _, element in etree.iterparse(
                file, tag=f"{{*}}{name}", resolve_entities=False, no_network=True
            ):
                yield element
    except etree.XMLSyntaxError as error:
        raise not_a_workbook(package.path, f"its part {part} is damaged: {error}") from error


def row_elements(package: Package, part: str) -> Iterator[Any]:
    """Yield the rows of a sheet as elements, each when it is read; `forget` those that were used.

    Raises:
        StepError: the sheet is no XML (AF945).
    """
    return _elements(package, part, "row")


def text_of(element: Any) -> str:
    """Return a shared or inline text, without the reading aids of Japanese."""
    return "".join(
        run.text or "" for run in element.iterfind(".//{*}t") if not run.getparent().tag.endswith("}rPh")
    )


def _column(reference: str | None, before: int) -> int:
    """Return the column of a cell; without a reference it is the next one."""
    return column_number(reference.rstrip("0123456789")) if reference else before + 1


def _raw_cell(element: Any, row: int, column: int) -> RawCell | None:
    kind = element.get("t", "n")
    if kind == "inlineStr":
        text = text_of(element)
    else:
        value = element.find("{*}v")
        if value is None or value.text is None:
            return None
        text = value.text
    return RawCell(row, column, kind, text, int(element.get("s", 0)))


def forget(element: Any) -> None:
    """Free an element that was read, and those before it."""
    parent = element.getparent()
    element.clear()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
