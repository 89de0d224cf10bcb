"""Load into PostgreSQL by COPY: a csv or tsv file as it is, other rows as psycopg writes them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from aetherflow.data_files import Column, Compression, Dialect, Kind, opened
from aetherflow_db.bulk_insert import Target
from aetherflow_db.query import Query, Row
from aetherflow_db.row_errors import refused_value
from aetherflow_db.transaction import Transaction

BLOCK_BYTES = 256 * 1024

_CONTEXT = re.compile(r'COPY .+?, line (\d+)(?:, column (.+?)(?:: "(.*)"|: null input)|: ".*")?$', re.DOTALL)
_OFFSET = re.compile(rb":\d\d(?:\.\d+)?(?:[+-]\d\d|[zZ])")
_LONGEST_TIME = 40
_NO_CSV = "22P04"
_DATA_ERRORS = ("22", "23")
"""The classes of PostgreSQL's errors that say that a value or a row does not fit."""


class ReadByServerError(Exception):
    """PostgreSQL would not read a file as it is meant: it must be read here.

    It has a time with an offset, which PostgreSQL would leave out in a column without time zone; or an empty
    line, a quote inside of a field, or too few or many fields.
    """


def can_copy(transaction: Transaction) -> bool:
    """Whether the connection is one of psycopg 3 to PostgreSQL."""
    return transaction.dialect.name == "postgresql" and hasattr(transaction.raw, "pipeline")


def can_copy_file(dialect: Dialect, kinds: Sequence[Kind | None]) -> bool:
    """Whether PostgreSQL reads a csv or tsv file as it is, and takes its texts for what they are here."""
    return (
        dialect.doublequote
        and dialect.escapechar is None
        and dialect.quoting != "none"
        and not {"binary", None} & set(kinds)
    )


def copy_rows(transaction: Transaction, target: Target, batches: Iterator[Sequence[Row]]) -> int:
    """Load rows and return their number.

    Raises:
        StepError: a row does not fit (AF923), or the connection is lost.
    """
    names = ", ".join(target.names(transaction.dialect))
    count = 0
    with (
        _errors(transaction, target, lambda line: line),
        transaction.raw.cursor() as cursor,
        cursor.copy(f"COPY {target.table} ({names}) FROM STDIN") as copy,
    ):
        for batch in batches:
            for row in batch:
                copy.write_row(row)
            count += len(batch)
    return count


def copy_file(
    transaction: Transaction,
    target: Target,
    path: Path,
    compression: Compression | None,
    dialect: Dialect,
    advanced: Callable[[int], None],
) -> int:
    """Load a csv or tsv file with a header as it is, and return the number of its rows.

    Args:
        transaction: where it is loaded.
        target: its columns are all those of the file, in the order of the file.
        path: the file.
        compression: how it is compressed.
        dialect: how it is spelled; one of `can_copy_file`.
        advanced: called with the number of bytes that were sent since the last call.

    Raises:
        StepError: a row does not fit (AF923), the file cannot be read, or the connection is lost.
        ReadByServerError: PostgreSQL would not read it as it is meant.
    """
    has_no_offsets = any(_is_zoneless(one.target.column) for one in target.columns)

    def row_of(line: int) -> int:
        return _row_of_line(path, compression, dialect, line)

    with _errors(transaction, target, row_of, reads_file=True), transaction.raw.cursor() as cursor:
        cursor.execute("SET LOCAL datestyle = 'ISO, YMD'")  # a date like 1/2/2026 is no date here
        with (
            opened(path, compression) as file,
            cursor.copy(_copy_sql(transaction, target, dialect)) as copy,
        ):
            end = b""
            for block in _utf8_blocks(file, dialect.encoding):
                if has_no_offsets and _OFFSET.search(end + block):
                    raise ReadByServerError
                end = block[-_LONGEST_TIME:]
                copy.write(block)
                advanced(len(block))
        count: int = cursor.rowcount
    return count


def _is_zoneless(column: Column) -> bool:
    return column.kind == "datetime" and not column.is_zoned


def _copy_sql(transaction: Transaction, target: Target, dialect: Dialect) -> str:
    names = target.names(transaction.dialect)
    typed = [
        name for name, one in zip(names, target.columns, strict=True) if one.target.column.kind != "string"
    ]
    options = [
        "FORMAT csv, HEADER true, NULL '', ENCODING 'UTF8'",
        f"DELIMITER {_literal(dialect.delimiter)}",
        f"QUOTE {_literal(dialect.quotechar)}, ESCAPE {_literal(dialect.quotechar)}",
    ]
    if typed:  # a quoted empty text is NULL in a column that has no texts
        options.append(f"FORCE_NULL ({', '.join(typed)})")
    return f"COPY {target.table} ({', '.join(names)}) FROM STDIN WITH ({', '.join(options)})"


def _literal(char: str) -> str:
    escaped = char.replace("\\", "\\\\").replace("'", "''").replace("\t", "\\t")
    return f"E'{escaped}'"


def _utf8_blocks(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Yield the content of a file in UTF-8, without a byte order mark."""
    if encoding.lower() in {"utf-8", "utf8"}:
        yield file.read(BLOCK_BYTES).removeprefix(codecs.BOM_UTF8)
        while block := file.read(BLOCK_BYTES):
            yield block
        return
    with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        while piece := text.read(BLOCK_BYTES):
            yield piece.encode()


@contextmanager
def _errors(
    transaction: Transaction, target: Target, row_of: Callable[[int], int], *, reads_file: bool = False
) -> Iterator[None]:
    """Report PostgreSQL's errors of a COPY: it names the line, and mostly the column and the value.

    Raises:
        StepError: a row does not fit (AF923), or the connection is lost.
    """
    try:
        yield
    except transaction.refusals as error:
        diag: Any = getattr(error, "diag", None)
        found = _CONTEXT.search(getattr(diag, "context", None) or "")
        state = getattr(diag, "sqlstate", None) or ""
        if state == _NO_CSV and reads_file:
            raise ReadByServerError from error
        if found is None or not state.startswith(_DATA_ERRORS):
            raise transaction.failure(error, Query(f"COPY {target.table} FROM STDIN")) from error
        row = row_of(int(found[1]))
        column = found[2] or getattr(diag, "column_name", None) or ""
        reason = ": ".join(filter(None, (diag.message_primary, diag.message_detail)))
        raise refused_value(target.source, row, column, found[3], reason) from error


def _row_of_line(path: Path, compression: Compression | None, dialect: Dialect, line: int) -> int:
    """Return the row, without the header, that a line of the file belongs to: a field may have line ends."""
    with opened(path, compression) as file:
        text = io.TextIOWrapper(file, encoding=dialect.encoding, newline="")
        reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quotechar)
        for number, _ in enumerate(reader):
            if reader.line_num >= line:
                return number
    return line - 1
