"""Find the references in a formula and move them, as inserted rows or shared formulas demand; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto

import msgspec

from aetherflow_excel.cell_references import MAX_COLUMNS, MAX_ROWS, column_letters, column_number
from aetherflow_excel.row_shifts import RowShift

_CELL = r"(\$?)([A-Za-z]{1,3})(\$?)([1-9][0-9]{0,6})"
_TOKEN = re.compile(
    rf"""
    "(?:[^"]|"")*"                                                       # a text
    |(?<![\w.$\\?])
     ((?:'(?:[^']|'')*'|\[[^\[\]]*\][^\W\d]?[\w.]*|[^\W\d][\w.]*(?::[^\W\d][\w.]*)?)!)?   # 1: a sheet
     (?:{_CELL}(?::{_CELL})?|(\$?)([1-9][0-9]{{0,6}}):(\$?)([1-9][0-9]{{0,6}}))    # 2-9: cells, 10-13: rows
     (?![\w.(\\?!\[])
    |\[(?:[^\[\]']|'.|\[(?:[^\[\]']|'.)*\])*\]                           # columns of a table
    |'(?:[^']|'')*'
    |[^\W\d][\w.\\?]*                                                    # a name, a function, a sheet
    """,
    re.VERBOSE,
)

_TOTALS = (
    "SUM|SUMSQ|SUMPRODUCT|PRODUCT|SUBTOTAL|AGGREGATE|COUNT|COUNTA|COUNTBLANK|MINA?|MAXA?|AVERAGEA?|MEDIAN"
    "|MODE|(?:STDEV|VAR)(?:A|P|PA|\\.S|\\.P)?|GEOMEAN|HARMEAN"
)
_IN_A_TOTAL = re.compile(rf"""(?i)(?<![\w.])(?:{_TOTALS})\((?:[^()"']*,)?\s*\Z""")
"""What is before an argument of a function that makes one value of many."""


class Use(Enum):
    """What a reference is for; that decides whether it grows."""

    FORMULA = auto()
    """A cell stays a cell, but in `SUM(D5)` and the like it is an area of one cell, as spreadsheet programs
    write it. An area grows with the data; so does `D4:D4` if D4 is the header above them."""

    SERIES = auto()
    """The data of a chart: also a single cell grows, and a series that runs along a row does not."""

    AREA = auto()
    """The cells that have a format or a rule: single cells and rows grow, too."""

    FILTER = auto()
    """As an area; and a header without rows grows with the data below it."""

    PLACE = auto()
    """Where something is: it moves, and is stretched only by what is inserted into it."""


class End(msgspec.Struct, frozen=True):
    """One corner of a reference; a missing column or row means all of them."""

    is_column_fixed: bool
    column: int
    is_row_fixed: bool
    row: int

    @property
    def columns(self) -> str:
        """The column as formulas write it; empty for all of them."""
        return ("$" if self.is_column_fixed else "") + column_letters(self.column) if self.column else ""

    def text(self) -> str:
        """Return the corner as formulas write it."""
        return self.columns + ("$" if self.is_row_fixed else "") + str(self.row)

    def at(self, row: int) -> End:
        """Return the corner in another row."""
        return self if row == self.row else End(self.is_column_fixed, self.column, self.is_row_fixed, row)


class Reference(msgspec.Struct, frozen=True):
    """A reference in a formula.

    Attributes:
        sheet: the sheet as it is written; empty if none is.
        first: its first corner.
        last: its last one; None for a single cell.
        is_totalled: whether it is an argument of a function that makes one value of many, such as SUM.
    """

    sheet: str
    first: End
    last: End | None
    is_totalled: bool = False

    def text(self) -> str:
        """Return the reference as formulas write it."""
        return self.sheet + self.first.text() + (":" + self.last.text() if self.last is not None else "")


class Moves(msgspec.Struct, frozen=True):
    """How the references of a workbook move.

    Attributes:
        shifts: the shift of each changed sheet, by its name in lower case.
    """

    shifts: Mapping[str, RowShift]

    def formula(self, text: str, sheet: str, use: Use = Use.FORMULA, row: int | None = None) -> str:
        """Return a formula as it must be after the rows moved.

        Args:
            text: the formula, without XML escapes.
            sheet: the sheet that references without one are about; empty if there is none.
            use: what the formula is for.
            row: the row of the template in which the formula is, if it is in a cell.
        """

        def moved(reference: Reference) -> str:
            name = sheet_of(reference, sheet)
            shift = self.shifts.get(name)
            if shift is None:
                return reference.text()
            is_own = row is not None and name == sheet.casefold() and shift.about_data(row)
            return moved_reference(reference, shift, Use.PLACE if is_own else use)

        return replaced(text, moved) if self.shifts else text

    def areas(self, text: str, sheet: str, use: Use) -> str:
        """Return a list of areas of one sheet (an attribute `ref` or `sqref`) after the rows moved."""
        return " ".join(self.formula(area, sheet, use) for area in text.split())

    def mentions(self, text: str, sheet: str) -> bool:
        """Whether a formula refers to a changed sheet."""
        found = [False]

        def look(reference: Reference) -> str:
            found[0] = found[0] or sheet_of(reference, sheet) in self.shifts
            return ""

        replaced(text, look)
        return found[0]


def moved_reference(reference: Reference, shift: RowShift, use: Use) -> str:
    """Return a reference to a changed sheet after the rows moved."""
    first, last = reference.first, reference.last or reference.first
    is_cell = reference.last is None
    columns = (first.column or 1, last.column or MAX_COLUMNS)
    is_along_row = first.row == last.row and first.column != last.column
    match use:
        case Use.PLACE:
            begin, end = shift.row(first.row), shift.row(last.row)
        case Use.FILTER:
            begin, end = shift.filter_span(first.row, last.row, *columns)
        case Use.FORMULA if is_cell and not reference.is_totalled:
            begin = end = shift.point(first.row, columns[0])
        case Use.FORMULA if not is_cell and first.row == last.row and first.column == last.column > 0:
            begin, end = shift.filter_span(first.row, last.row, *columns)
        case Use.SERIES if is_along_row:
            begin, end = shift.point(first.row, columns[0]), shift.point(last.row, columns[0])
        case _:
            begin, end = shift.span(first.row, last.row, *columns)
    if is_cell and begin == end:
        return reference.sheet + first.at(begin).text()
    return reference.sheet + first.at(begin).text() + ":" + last.at(end).text()


def sheet_of(reference: Reference, own: str) -> str:
    """Return the name of the sheet, in lower case; empty for other workbooks and for several sheets."""
    if not reference.sheet:
        return own.casefold()
    name = reference.sheet[:-1]
    if name.startswith("'"):
        name = name[1:-1].replace("''", "'")
    return "" if ":" in name or "[" in name else name.casefold()


def translated(text: str, rows: int, columns: int) -> str:
    """Return a formula as it is some rows below and some columns to the right: relative references follow."""

    def corner(end: End) -> End:
        column = (
            end.column
            if end.is_column_fixed or not end.column
            else (end.column - 1 + columns) % MAX_COLUMNS + 1
        )
        row = end.row if end.is_row_fixed else (end.row - 1 + rows) % MAX_ROWS + 1
        return End(end.is_column_fixed, column, end.is_row_fixed, row)

    def moved(reference: Reference) -> str:
        last = corner(reference.last) if reference.last is not None else None
        return Reference(reference.sheet, corner(reference.first), last).text()

    return replaced(text, moved)


def replaced(text: str, change: Callable[[Reference], str]) -> str:
    """Return a formula with each reference to cells or rows replaced."""

    def one(found: re.Match[str]) -> str:
        g = found.groups()
        if g[4]:
            last = End(bool(g[5]), column_number(g[6]), bool(g[7]), int(g[8])) if g[8] else None
            first = End(bool(g[1]), column_number(g[2]), bool(g[3]), int(g[4]))
            reference = Reference(g[0] or "", first, last, last is None and _is_totalled(found))
        elif g[10]:
            last = End(False, 0, bool(g[11]), int(g[12]))
            reference = Reference(g[0] or "", End(False, 0, bool(g[9]), int(g[10])), last)
        else:
            return found[0]
        return change(reference) if _is_on_a_sheet(reference) else found[0]

    return _TOKEN.sub(one, text)


def _is_totalled(found: re.Match[str]) -> bool:
    """Whether what was found is a whole argument of a function such as SUM."""
    before, after = found.string[: found.start()].rstrip(), found.string[found.end() :].lstrip()
    if after[:1] not in {",", ")"} or before[-1:] not in {"(", ","}:
        return False
    return _IN_A_TOTAL.search(before) is not None


def _is_on_a_sheet(reference: Reference) -> bool:
    ends = (reference.first, reference.last or reference.first)
    return all(end.row <= MAX_ROWS and end.column <= MAX_COLUMNS for end in ends)
