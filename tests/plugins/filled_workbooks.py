"""Templates and filled workbooks for tests: make them, write regions into them, look into their parts."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any
from xml.parsers import expat

import xlsxwriter
from aetherflow_excel.filling import fill_workbook
from aetherflow_excel.regions import Box, Insert, Region, Written
from xlsxwriter.utility import xl_cell_to_rowcol

Make = Callable[[xlsxwriter.Workbook, Any], None]


def template(path: Path, make: Make, sheet: str = "Report") -> Path:
    """Write a workbook with one sheet, which `make` fills."""
    with xlsxwriter.Workbook(path) as book:
        make(book, book.add_worksheet(sheet))
    return path


def rows_of(count: int, width: int = 4) -> list[list[Any]]:
    """Return rows whose columns are a text and numbers: row 1 is `r1`, 1, 2 ...."""
    return [[f"r{n}", *(n * k for k in range(1, width))] for n in range(1, count + 1)]


def region(rows: Sequence[Sequence[Any]], at: str = "A5", **settings: Any) -> Region:
    """Return a region on the sheet Report whose data begin at a cell."""
    row, column = xl_cell_to_rowcol(at)
    values: dict[str, Any] = {
        "name": "target",
        "sheet": "Report",
        "first_row": row + 1,
        "column": column + 1,
        "width": max(map(len, rows), default=4),
        "batches": [rows[i : i + 2] for i in range(0, len(rows), 2)],
    }
    return Region(**values | settings)


def inserted(rows: Sequence[Sequence[Any]], at: str = "A5", **settings: Any) -> Region:
    """Return a region that inserts its rows above a sample row, whose content is removed."""
    one = region(rows, at)
    sample = Box(one.first_row, one.column, one.first_row, one.column + one.width - 1)
    values: dict[str, Any] = {"insert": Insert.BELOW, "style_row": one.first_row, "clear": (sample,)}
    return region(rows, at, **values | settings)


def filled(path: Path, *regions: Region) -> Path:
    """Fill a template and return the filled workbook beside it."""
    return filled_with_places(path, *regions)[0]


def filled_with_places(path: Path, *regions: Region) -> tuple[Path, list[Written]]:
    """Fill a template and return the filled workbook, whose parts are XML, and where the regions are."""
    output = path.with_name(f"filled{path.suffix}")
    places = fill_workbook(path, output, regions)
    with zipfile.ZipFile(output) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))
        for name in archive.namelist():
            if name.endswith((".xml", ".rels")):
                expat.ParserCreate().Parse(archive.read(name), True)
    return output, places


def part(path: Path, name: str) -> str:
    """Return the text of a part; the folder `xl/` may be left out."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(name if name in archive.namelist() else f"xl/{name}").decode()


def same_parts(one: Path, other: Path) -> tuple[set[str], set[str]]:
    """Return the parts of two workbooks with the same bytes, and those that differ or are in one only."""
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b:
        names = {*a.namelist(), *b.namelist()}
        both = {*a.namelist()} & {*b.namelist()}
        same = {name for name in both if a.read(name) == b.read(name)}
    return same, names - same


def values(path: Path, pattern: str, name: str = "worksheets/sheet1.xml") -> list[str]:
    """Return what a pattern with one group finds in a part."""
    return [unescape(found) for found in re.findall(pattern, part(path, name))]


def with_parts(path: Path, changes: Mapping[str, str | bytes | Callable[[str], str] | None]) -> Path:
    """Change parts of a workbook: each is given as its new content, as a function of its text, or as None."""
    with zipfile.ZipFile(path) as archive:
        parts: dict[str, bytes] = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        if change is None:
            del parts[name]
            continue
        new = change(parts[name].decode()) if callable(change) else change
        parts[name] = new.encode() if isinstance(new, str) else new
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path
