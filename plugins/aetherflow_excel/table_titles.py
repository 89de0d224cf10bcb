"""Give the columns of a table different names where a header is written over its own, as Excel does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from aetherflow_excel.markup import attribute, element
from aetherflow_excel.package import Package
from aetherflow_excel.regions import Region
from aetherflow_excel.sheet_facts import boxes

_TABLE, _COLUMN = element("table"), element("tableColumn")


def with_distinct_titles(package: Package, region: Region) -> Region:
    """Return a region whose header has no name twice, and no empty one, if it is that of a table.

    Excel repairs a workbook with such a table, and the names of the columns are then others. A second `shop`
    is `shop2`, and a column without a name is `Column3`; the columns of the table beside count too.
    """
    if region.header is None or region.inserts_header:
        return region
    for first_column, names in _headers(package, region):
        start = region.column - first_column
        width = len(region.header)
        beside = [name for at, name in enumerate(names) if not start <= at < start + width]
        inside = range(max(-start, 0), min(width, len(names) - start))
        if inside:
            titles = _distinct(region.header, inside, beside, region.column - first_column)
            region = msgspec.structs.replace(region, header=titles)
    return region


def _headers(package: Package, region: Region) -> Iterator[tuple[int, list[str]]]:
    """Yield the first column and the names of each table whose header is in the row of the region's."""
    sheet = package.sheet(region.sheet)
    for relation in package.relations(sheet.part) if sheet is not None else ():
        if relation.kind == "/table" and package.find(relation.target):
            text = package.text(relation.target)
            table = _TABLE.search(text)
            area = boxes(attribute(table[1], "ref") or "") if table else []
            if table and area and area[0].row == region.first_row - 1:
                names = [attribute(column[1], "name") or "" for column in _COLUMN.finditer(text)]
                yield area[0].column, names


def _distinct(header: Sequence[str], inside: range, beside: Sequence[str], start: int) -> tuple[str, ...]:
    titles = [str(name) for name in header]
    taken = {name.casefold() for name in beside}
    for at in inside:
        name = stem = titles[at] or f"Column{start + at + 1}"
        number = 2
        while name.casefold() in taken:
            name, number = f"{stem}{number}", number + 1
        taken.add(name.casefold())
        titles[at] = name
    return tuple(titles)
