"""Find the sheets whose formulas may give other results when some sheets are filled."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from html import unescape

import msgspec

from aetherflow_excel.markup import element
from aetherflow_excel.package import Package, Sheet
from aetherflow_excel.sheet_cells import tables
from aetherflow_excel.sheet_text import SheetText, has_formula

_FORMULA = element("f")
_WORD = re.compile(r"'(?:[^']|'')*'!|(?![A-Za-z]{1,3}[0-9]+(?![\w.(!]))[^\W\d][\w.]*!?")
_SEVERAL_SHEETS = re.compile(r"[\w.]:[\w.]+!|'[^']*:[^']*'!")
_SEVERAL = ":"
_ANYTHING = frozenset(
    (
        _SEVERAL,
        "indirect",
        "offset",
        "getpivotdata",
        "cell",
        "info",
        "now",
        "today",
        "rand",
        "randbetween",
        "randarray",
    )
)
"""Words after which a formula may depend on any cell, on the time, or on chance."""


class Outline(msgspec.Struct, frozen=True):
    """A sheet without its rows: the XML before and after them, and the names and functions in their formulas.

    The names are in lower case, those of sheets end with `!`. Without formulas there are none.
    """

    head: str
    tail: str
    words: frozenset[str]
    has_formulas: bool


def outline(package: Package, sheet: Sheet) -> Outline:
    """Read a sheet once and return its outline."""
    words: set[str] = set()
    has_formulas = False
    with package.open(sheet.part) as file:
        text = SheetText(file)
        for row in text.rows():
            if has_formula(row):
                has_formulas = True
                for found in _FORMULA.finditer(row.cells):
                    words |= words_of(unescape(found[3] or ""))
        return Outline(text.head, text.tail, frozenset(words), has_formulas)


def words_of(formula: str) -> set[str]:
    """Return the names and functions in a formula; references to cells are left out."""
    words = {_plain(word) for word in _WORD.findall(formula)}
    if _SEVERAL_SHEETS.search(formula):
        words.add(_SEVERAL)
    return words


def stale_sheets(package: Package, outlines: Mapping[str, Outline], filled: Collection[str]) -> set[str]:
    """Return the names of sheets whose formulas may depend on filled ones, also by way of others.

    Args:
        package: the workbook.
        outlines: the sheets that are not filled, by name.
        filled: the names of the others.
    """
    if any(relation.kind == "/vbaProject" for relation in package.relations(package.workbook_part)):
        return {
            name for name, one in outlines.items() if one.has_formulas
        }  # a macro may compute from any cell
    own_tables: dict[str, set[str]] = {}
    for table in tables(package):
        own_tables.setdefault(table.area.sheet, set()).add(table.name.casefold())
    stale = {sheet.name for sheet in package.sheets if _has_pivot(package, sheet)}
    reached: set[str] = set(_ANYTHING)
    names = {name.name.casefold(): words_of(name.formula) for name in package.names}
    while True:
        sources = {*filled, *stale}
        words = reached | {f"{name.casefold()}!" for name in sources}
        words |= {table for name in sources for table in own_tables.get(name, ())}
        words |= {name for name, used in names.items() if used & words}
        more = {name for name, one in outlines.items() if one.words & words} - stale
        if not more and words == reached:
            return {name for name in stale if name in outlines and outlines[name].has_formulas}
        stale |= more
        reached = words


def _has_pivot(package: Package, sheet: Sheet) -> bool:
    return any(relation.kind == "/pivotTable" for relation in package.relations(sheet.part))


def _plain(word: str) -> str:
    if word.startswith("'"):
        word = word[1:-2].replace("''", "'") + "!"
    return word.removeprefix("_xlfn.").casefold()
