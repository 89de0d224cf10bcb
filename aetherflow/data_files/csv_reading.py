"""Read csv and tsv files: quoted fields, line ends in fields, NULL and the empty text apart."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from aetherflow.data_files.columns import Column, Row, Rows, untyped
from aetherflow.data_files.dialect import QUOTING, Dialect
from aetherflow.data_files.dtypes import with_dtypes
from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import opened, unreadable
from aetherflow.data_files.typed_rows import Typed

Field = str | None


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
        first = next(records, None)
        found = [field or "" for field in first or []] if has_header else names
        columns = with_dtypes(untyped(found or _numbered(first)), dtypes)
        rest = records if has_header or first is None else _with_first(first, records)
        yield Rows(columns, _batches(path, columns, rest, records, batch_rows))


def _numbered(first: list[Field] | None) -> list[str]:
    return [f"column_{number}" for number in range(1, len(first or []) + 1)]


def _with_first(first: list[Field], records: Iterator[list[Field]]) -> Iterator[list[Field]]:
    yield first
    yield from records


def _batches(
    path: Path,
    columns: Sequence[Column],
    rest: Iterator[list[Field]],
    records: _Records,
    batch_rows: int,
) -> Iterator[Sequence[Row]]:
    typed, width, done = Typed(path, columns), len(columns), 0
    while batch := list(islice(rest, batch_rows)):
        for number, row in enumerate(batch):
            if len(row) != width:
                raise unreadable(
                    path,
                    f"row {done + number + 1:,} has {len(row)} fields, and there are {width} columns",
                    "check the delimiter and the quotes, in the file and in the file options",
                    records.line if number == len(batch) - 1 else None,
                )
        yield typed.convert(list(batch), done + 1)
        done += len(batch)


class _Records:
    """The records of a file: a field is None if it is empty and not quoted."""

    def __init__(self, text: io.TextIOWrapper, dialect: Dialect) -> None:
        self._raw: list[str] = []
        self._quotes = dialect.quotechar * 2
        self._field = _field_pattern(dialect)
        self._reader = csv.reader(
            self._lines(text),
            delimiter=dialect.delimiter,
            quotechar=dialect.quotechar,
            escapechar=dialect.escapechar,
            doublequote=dialect.doublequote,
            quoting=QUOTING["none" if dialect.quoting == "none" else "minimal"],
            strict=True,
        )

    @property
    def line(self) -> int:
        """How many lines were read."""
        return self._reader.line_num

    def __iter__(self) -> _Records:
        return self

    def __next__(self) -> list[Field]:
        self._raw.clear()
        fields: list[Field] = list(next(self._reader))
        if not fields:
            return [None]  # an empty line is the NULL of a file with one column
        if "" not in fields:
            return fields
        raw = self._raw[0] if len(self._raw) == 1 else "".join(self._raw)
        if self._quotes not in raw:
            return [field or None for field in fields]
        quoted = [found[1] is not None for found in self._field.finditer(raw)]
        return [
            field if field or is_quoted else None for field, is_quoted in zip(fields, quoted, strict=False)
        ]

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        for line in text:
            self._raw.append(line)
            yield line


def _field_pattern(dialect: Dialect) -> re.Pattern[str]:
    """Return what matches one field of a record and the delimiter behind it; group 1 if it is quoted."""
    quote, delimiter = re.escape(dialect.quotechar), re.escape(dialect.delimiter)
    escaped = f"|{re.escape(dialect.escapechar)}." if dialect.escapechar else ""
    doubled = f"|{quote}{quote}" if dialect.doublequote else ""
    not_special = f"[^{quote}{re.escape(dialect.escapechar or '')}]"
    quoted = f"({quote}(?:{not_special}{doubled}{escaped})*{quote})"
    return re.compile(f"(?:{quoted}|[^{delimiter}\\r\\n]*)(?:{delimiter}|[\\r\\n]+|$)", re.DOTALL)
