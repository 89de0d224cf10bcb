"""Read and write references to cells, such as `B5`, `'My Sheet'!$A$1:$C$9`; pure, no workbook needed."""

from __future__ import annotations

import re

import msgspec

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384

_CELL = re.compile(r"\$?([A-Za-z]{1,3})\$?([1-9][0-9]{0,6})")
_SHEET = re.compile(r"(?:'((?:[^']|'')+)'|([^'!\[\]:*?/\\]+))!")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Area(msgspec.Struct, frozen=True):
    """A rectangle of cells; rows and columns count from 1, the last ones belong to it.

    Attributes:
        sheet: the name of the sheet; empty if the reference names none.
        row: the first row.
        column: the first column.
        last_row: the last row.
        last_column: the last column.
    """

    sheet: str
    row: int
    column: int
    last_row: int
    last_column: int


def column_number(letters: str) -> int:
    """Return the number of a column: A is 1, XFD is 16,384."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def column_letters(number: int) -> str:
    """Return the letters of a column, which counts from 1."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as B5."""
    return f"{column_letters(column)}{row}"


def quoted_sheet(name: str) -> str:
    """Return a sheet's name as formulas write it: in quotes unless it is a plain word."""
    if _PLAIN_NAME.fullmatch(name) and not _CELL.fullmatch(name):
        return name
    return "'" + name.replace("'", "''") + "'"


def place_name(sheet: str, row: int, column: int) -> str:
    """Return a cell with its sheet, such as Report!B5."""
    return f"{quoted_sheet(sheet)}!{cell_name(row, column)}"


def read_area(text: str) -> Area | None:
    """Return the cell or rectangle that a reference names, or None if the text is no such reference.

    Whole columns (`A:C`) and whole rows (`2:5`) are rectangles too.
    """
    text = text.strip()
    sheet = ""
    if found := _SHEET.match(text):
        sheet = found[1].replace("''", "'") if found[1] else found[2]
        text = text[found.end() :]
    first, separator, last = text.partition(":")
    begin, end = _corner(first, 1, 1), _corner(last if separator else first, MAX_ROWS, MAX_COLUMNS)
    is_whole = not (_CELL.fullmatch(first) and _CELL.fullmatch(last or first))
    if begin is None or end is None or (is_whole and not separator):
        return None
    rows, columns = sorted((begin[0], end[0])), sorted((begin[1], end[1]))
    return Area(sheet, rows[0], columns[0], rows[1], columns[1])


def _corner(text: str, row: int, column: int) -> tuple[int, int] | None:
    """Return the row and column of a corner; what it leaves open is the given row or column."""
    if cell := _CELL.fullmatch(text):
        row, column = int(cell[2]), column_number(cell[1])
    elif letters := re.fullmatch(r"\$?([A-Za-z]{1,3})", text):
        column = column_number(letters[1])
    elif digits := re.fullmatch(r"\$?([1-9][0-9]{0,6})", text):
        row = int(digits[1])
    else:
        return None
    return (row, column) if row <= MAX_ROWS and column <= MAX_COLUMNS else None
