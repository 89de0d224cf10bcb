"""Read csv and tsv files: quoted fields, line ends in fields, NULL and the empty text apart."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from aetherflow.data_files.columns import Column, Row, Rows, untyped
from aetherflow.data_files.csv_mistakes import broken_record, check_beginning, never_closed, wrong_width
from aetherflow.data_files.dialect import QUOTING, Dialect
from aetherflow.data_files.dtypes import with_dtypes
from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import opened
from aetherflow.data_files.typed_rows import Typed

Field = str | None

_LINE_END = re.compile(r"\r\n?|\n")
BLOCK_CHARS = 256 * 1024
"""How many characters are read at once."""


@contextmanager
def read_delimited(
    path: Path,
    compression: Compression | None,
    dialect: Dialect,
    has_header: bool,  # noqa: FBT001 - named where it is called first
    names: Sequence[str],
    dtypes: Mapping[str, Column],
    batch_rows: int,
) -> Iterator[Rows]:
    """Open a csv or tsv file; see `read_data_file`.

    Raises:
        StepError: it cannot be read, a row has too many or too few fields (AF906), or see `read_data_file`.
    """
    csv.field_size_limit(sys.maxsize)  # of the whole process; the module's own limit is 128 KiB
    encoding = "utf-8-sig" if codecs.lookup(dialect.encoding).name == "utf-8" else dialect.encoding
    with (
        opened(path, compression) as binary,
        io.TextIOWrapper(binary, encoding=encoding, newline="") as text,
    ):
        records = _Records(path, text, dialect)
        if has_header:
            check_beginning(path, dialect, *records.beginning())
        first = records.batch(1)
        found = [field or "" for field in first[0]] if has_header and first else names
        columns = with_dtypes(untyped(found or _numbered(first)), dtypes)
        yield Rows(columns, _batches(path, columns, [] if has_header else first, records, batch_rows))


def _numbered(first: list[list[Field]]) -> list[str]:
    return [f"column_{number}" for number in range(1, len(first[0]) + 1)] if first else []


def _batches(
    path: Path,
    columns: Sequence[Column],
    first: list[list[Field]],
    records: _Records,
    batch_rows: int,
) -> Iterator[Sequence[Row]]:
    typed, width, done = Typed(path, columns), len(columns), 0
    while read := first + records.batch(batch_rows - len(first)):
        batch = read
        if set(map(len, batch)) != {width}:
            batch = [row for row in batch if row != [None] or width == 1]  # an empty line is no row of many
        if {*map(len, batch)} - {width}:
            number, row = next((at, row) for at, row in enumerate(batch) if len(row) != width)
            at = next(at for at, other in enumerate(read) if other is row)
            line = records.line - sum(map(_lines_of, read[at + 1 :]))
            text = records.dialect.delimiter.join(field or "" for field in row)
            raise wrong_width(path, done + number + 1, (len(row), width), (line, text), records.dialect)
        yield typed.convert(batch, done + 1)
        done += len(batch)
        first = []


def _lines_of(record: list[Field]) -> int:
    return 1 + sum(len(_LINE_END.findall(field)) for field in record if field)


class _Records:
    """The records of a file: a field is None if it is empty and not quoted.

    A line without quotes is divided at its delimiters, which takes a third of the time of the csv module. The
    module reads the others; as it does not say whether an empty field was quoted, those that may have one are
    looked at as they are written.

    Attributes:
        dialect: how the file is spelled.
    """

    def __init__(self, path: Path, text: io.TextIOWrapper, dialect: Dialect) -> None:
        self.dialect = dialect
        self._path = path
        self._delimiter = dialect.delimiter
        self._quote = dialect.quotechar
        self._field = _field_pattern(dialect)
        self._has_plain_lines = dialect.escapechar is None and dialect.quoting != "none"
        self._lines: Iterator[str] = chain.from_iterable(iter(lambda: text.readlines(BLOCK_CHARS), []))
        self._plain = 0
        self._aside: str | None = None
        self._raw: list[str] = []
        self._has_ended = False
        self._reader = _reader(self._set_aside(), dialect)

    @property
    def line(self) -> int:
        """How many lines were read."""
        return self._plain + int(self._reader.line_num)

    def beginning(self) -> tuple[str, str]:
        """Return the first two lines, before any record is read."""
        head = list(islice(self._lines, 2))
        self._lines = chain(head, self._lines)
        return (*head, "", "")[0], (*head, "", "")[1]

    def batch(self, count: int) -> list[list[Field]]:
        """Return the next records, at most so many; none at the end of the file."""
        quote, delimiter, records = self._quote, self._delimiter, list[list[Field]]()
        for line in islice(self._lines, count):
            if quote in line or not self._has_plain_lines:
                records.append(self._record(line))
                continue
            self._plain += 1
            record: list[Any] = line.rstrip("\r\n").split(delimiter)
            empty = record.count("")
            if empty == 1:
                record[record.index("")] = None
            elif empty:
                record = [field or None for field in record]
            records.append(record)
        return records

    def _record(self, line: str) -> list[Field]:
        """Return the record that begins with a line; it may have more lines."""
        self._aside = line
        self._raw.clear()
        try:
            fields: list[str] = next(self._reader)
        except csv.Error as error:
            first = self.line - len(self._raw) + 1
            if self._has_ended:
                raise never_closed(self._path, first) from error
            raise broken_record(self._path, str(error), (first, self.line)) from error
        written = "".join(self._raw)
        if self._quote * 2 not in written:
            return [field or None for field in fields] or [None]  # an empty line is the NULL of one column
        quoted = [found[1] is not None for found in self._field.finditer(written)]
        return [
            field if field or is_quoted else None for field, is_quoted in zip(fields, quoted, strict=False)
        ]

    def _set_aside(self) -> Iterator[str]:
        """Yield what the csv module reads: the line that was set aside, and those that follow it."""
        while (line := self._aside or next(self._lines, None)) is not None:
            self._aside = None
            self._raw.append(line)
            yield line
        self._has_ended = True


def _reader(lines: Iterator[str], dialect: Dialect) -> Any:
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quotechar,
        escapechar=dialect.escapechar,
        doublequote=dialect.doublequote,
        quoting=QUOTING["none" if dialect.quoting == "none" else "minimal"],
        strict=True,
    )


def _field_pattern(dialect: Dialect) -> re.Pattern[str]:
    """Return what matches one field of a record and the delimiter behind it; group 1 if it is quoted."""
    quote, delimiter = re.escape(dialect.quotechar), re.escape(dialect.delimiter)
    escaped = f"|{re.escape(dialect.escapechar)}." if dialect.escapechar else ""
    doubled = f"|{quote}{quote}" if dialect.doublequote else ""
    not_special = f"[^{quote}{re.escape(dialect.escapechar or '')}]"
    quoted = f"({quote}(?:{not_special}{doubled}{escaped})*{quote})"
    return re.compile(f"(?:{quoted}|[^{delimiter}\\r\\n]*)(?:{delimiter}|[\\r\\n]+|$)", re.DOTALL)
