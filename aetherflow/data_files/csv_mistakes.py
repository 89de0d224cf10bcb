"""Say what is wrong with a csv or tsv file, in which line, and which file option to set. Pure."""

from __future__ import annotations

import codecs
from pathlib import Path

from aetherflow.data_files.dialect import Dialect
from aetherflow.data_files.streams import unreadable
from aetherflow.errors import StepError

_DELIMITERS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}
"""Those in common use, each as YAML has it."""

_QUOTES = (
    "write a quote inside of a field twice; if quotes mean nothing in the file: quoting: none; "
    "if a backslash is before them: escapechar: '\\', doublequote: false"
)


def check_beginning(path: Path, dialect: Dialect, first: str, second: str) -> None:
    """Check that the header of a file is one in this encoding and with this delimiter.

    Args:
        path: the file.
        dialect: how it is said to be spelled.
        first: its first line.
        second: the next one, or nothing.

    Raises:
        StepError: it begins with the mark of another encoding, has NUL characters as UTF-16 read as another
            encoding has, or both lines have one field, with another delimiter in it (AF906).
    """
    mark = codecs.BOM_UTF8.decode(dialect.encoding, "replace")
    if first.startswith("\ufeff") and codecs.lookup(dialect.encoding).name.startswith("utf-16-"):
        raise unreadable(path, "it begins with the byte order mark of UTF-16", "set encoding: utf-16", 1)
    if mark != "\ufeff" and "\ufffd" not in mark and first.startswith(mark):
        raise unreadable(path, "it begins with the byte order mark of UTF-8", "set encoding: utf-8", 1)
    if "\0" in first:
        order = "be" if first.startswith("\0") else "le"
        why = "its header has NUL characters, as a file in UTF-16 has if it is read in another encoding"
        raise unreadable(path, why, f"set encoding: utf-16-{order}, or write the file again", 1)
    other = other_delimiter(first, dialect)
    if other and second.count(other) == first.count(other):
        why = f"it has no {_named(dialect.delimiter)} in its header, but {_named(other)}"
        hint = f"set delimiter: {_DELIMITERS[other]}; if it is one column, quote its name in the file"
        raise unreadable(path, why, hint, 1)


def other_delimiter(line: str, dialect: Dialect) -> str:
    """Return a delimiter in common use that a line has, if it has neither its own one nor quotes."""
    if dialect.delimiter in line or dialect.quotechar in line:
        return ""
    return next((one for one in _DELIMITERS if one in line), "")


def wrong_width(
    path: Path, row: int, counts: tuple[int, int], line: tuple[int, str], dialect: Dialect
) -> StepError:
    """Return the error for a row that has too many or too few fields.

    Args:
        path: the file.
        row: its number.
        counts: how many fields it has, and how many there should be.
        line: the number of its last line, and its fields as text.
        dialect: how the file is said to be spelled.
    """
    (fields, width), (number, text) = counts, line
    hint = "check the delimiter and the quotes, in the file and in the file options"
    if "\0" in text:
        hint = "it has NUL characters: the file is damaged, or in UTF-16: set encoding: utf-16"
    elif fields == 1 and (other := other_delimiter(text, dialect)):
        hint = f"this line has {_named(other)}: if it is the delimiter, set delimiter: {_DELIMITERS[other]}"
    return unreadable(path, f"row {row:,} has {fields} fields, and there are {width} columns", hint, number)


def broken_record(path: Path, why: str, lines: tuple[int, int]) -> StepError:
    """Return the error for a record that cannot be read; `lines` are its first and its last line."""
    first, last = lines
    since = f" (the record begins in line {first:,})" if last > first else ""
    return unreadable(path, f"{why}{since}", _QUOTES, last)


def never_closed(path: Path, line: int) -> StepError:
    """Return the error for a record that has no end: the quote of one of its fields."""
    return unreadable(path, "the quote of a field that begins in this line is never closed", _QUOTES, line)


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else repr(delimiter)
