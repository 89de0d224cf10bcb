"""Read csv and tsv files: quoted fields, line ends in fields, NULL and the empty text apart."""

from __future__ import annotations

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
from aetherflow.data_files.dialect import QUOTING, Dialect
from aetherflow.data_files.dtypes import with_dtypes
from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import opened, unreadable
from aetherflow.data_files.typed_rows import Typed

Field = str | None

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
    encoding = "utf-8-sig" if dialect.encoding.lower() in {"utf-8", "utf8"} else dialect.encoding
    with (
        opened(path, compression) as binary,
        io.TextIOWrapper(binary, encoding=encoding, newline="") as text,
    ):
        records = _Records(text, dialect)
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
    while batch := first + records.batch(batch_rows - len(first)):
        if set(map(len, batch)) != {width}:
            batch = [row for row in batch if row != [None] or width == 1]  # an empty line is no row of many
        if {*map(len, batch)} - {width}:
            number, row = next((at, row) for at, row in enumerate(batch) if len(row) != width)
            raise unreadable(
                path,
                f"row {done + number + 1:,} has {len(row)} fields, and there are {width} columns",
                "check the delimiter and the quotes, in the file and in the file options",
                records.line if number == len(batch) - 1 else None,
            )
        yield typed.convert(batch, done + 1)
        done += len(batch)
        first = []


class _Records:
    """The records of a file: a field is None if it is empty and not quoted.

    The csv module does not say whether an empty field was quoted. Only lines with two quotes in a row can
    have such a field, so all others are read many at once.
    """

    def __init__(self, text: io.TextIOWrapper, dialect: Dialect) -> None:
        self._dialect = dialect
        self._quotes = dialect.quotechar * 2
        self._field = _field_pattern(dialect)
        self._lines: list[str] = []
        self._given = 0
        self._reader = _reader(chain.from_iterable(self._blocks(text)), dialect)

    @property
    def line(self) -> int:
        """How many lines were read."""
        return int(self._reader.line_num)

    def batch(self, count: int) -> list[list[Field]]:
        """Return the next records, at most so many; none at the end of the file."""
        records: list[list[Field]] = list(islice(self._reader, count))
        taken = self._reader.line_num - self._given
        lines, self._lines[:taken] = self._lines[:taken], []
        self._given += taken
        if self._quotes in "".join(lines):
            return list(self._looked_at(lines))
        return [
            [field or None for field in record] if "" in record else record or [None] for record in records
        ]

    def _blocks(self, text: io.TextIOWrapper) -> Iterator[list[str]]:
        while lines := text.readlines(BLOCK_CHARS):
            self._lines += lines
            yield lines

    def _looked_at(self, lines: list[str]) -> Iterator[list[Field]]:
        """Yield the records of some lines, each of which is looked at as it is written."""
        raw: list[str] = []

        def noted() -> Iterator[str]:
            for line in lines:
                raw.append(line)
                yield line

        for fields in _reader(noted(), self._dialect):
            written = "".join(raw)
            raw.clear()
            if self._quotes not in written:
                yield [field or None for field in fields] or [None]  # an empty line is the NULL of one column
                continue
            quoted = [found[1] is not None for found in self._field.finditer(written)]
            yield [
                field if field or is_quoted else None
                for field, is_quoted in zip(fields, quoted, strict=False)
            ]


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
