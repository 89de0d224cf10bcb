"""Write rows or record batches to a data file, in bounded memory; blocking, so called in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.data_files.columns import Column, Rows
from aetherflow.data_files.csv_writing import DelimitedWriter
from aetherflow.data_files.dialect import CSV, TSV, Dialect
from aetherflow.data_files.formats import Compression, FileFormat
from aetherflow.data_files.jsonl_writing import JsonlWriter, check_unique
from aetherflow.data_files.output import Output, output
from aetherflow.data_files.parquet_writing import ParquetWriter
from aetherflow.data_files.text_rows import TextRows, record_batches
from aetherflow.data_files.write_behind import WriteBehind
from aetherflow.sdk.files import checksum


class ArrowRows(msgspec.Struct, frozen=True):
    """The columns of a table, and its rows as record batches of Arrow, of bounded size."""

    columns: tuple[Column, ...]
    batches: Iterator[Any]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


class Written(msgspec.Struct, frozen=True):
    """What was written.

    Attributes:
        columns: the columns, with the kinds that they have in the file.
        rows: how many rows.
        size: how many bytes the file has.
        sha256: of the file.
    """

    columns: tuple[Column, ...]
    rows: int
    size: int
    sha256: str


Report = Callable[[int, int], None]
"""Is called after each batch with the rows and the bytes so far."""


def write_data_file(
    path: Path,
    rows: Rows | ArrowRows | TextRows,
    file_format: FileFormat,
    *,
    compression: Compression | None = None,
    dialect: Dialect | None = None,
    has_header: bool = True,
    report: Report = lambda _rows, _size: None,
) -> Written:
    """Write all rows to a file, which is replaced; give it a temporary name (`ctx.writing`).

    Args:
        path: the file.
        rows: what is written; the kinds of its columns are the types of a Parquet file. Text is in the
            dialect already.
        file_format: csv, tsv, jsonl or parquet.
        compression: of csv, tsv and jsonl; a Parquet file compresses itself.
        dialect: how csv or tsv is spelled; by default RFC 4180, or a tab between fields.
        has_header: whether csv or tsv begins with the names of the columns.
        report: called after each batch.

    Raises:
        StepError: a value does not fit its column (AF902) or cannot be written in the dialect (AF905), or two
            columns of jsonl or parquet have the same name (AF744).
        MissingExtra: pyarrow, or what compresses the file, is not installed.
        OSError: the file cannot be written.
    """
    if file_format == "parquet":
        if isinstance(rows, TextRows):
            rows = ArrowRows(rows.columns, record_batches(rows))
        return _write_parquet(path, rows, report)
    if file_format == "jsonl":
        check_unique(rows.columns, "JSON")
    spelled = dialect or (TSV if file_format == "tsv" else CSV)
    count = 0
    with output(path, compression) as out:
        batches, put = _prepared(out, rows, file_format, spelled, has_header=has_header)

        def write(batch: Any) -> None:
            nonlocal count
            put(batch)
            count += batch[1] if isinstance(rows, TextRows) else len(batch)
            report(count, out.size)

        with WriteBehind(write) as behind:
            for batch in batches:
                behind.put(batch)
    return Written(rows.columns, count, out.size, out.hexdigest())


def _prepared(
    out: Output,
    rows: Rows | ArrowRows | TextRows,
    file_format: FileFormat,
    dialect: Dialect,
    *,
    has_header: bool,
) -> tuple[Iterator[Any], Callable[[Any], None]]:
    """Return the batches of rows as they are best given to a second thread, and what writes them there."""
    if file_format == "jsonl":
        if isinstance(rows, TextRows):
            return record_batches(rows), JsonlWriter(out, rows.columns).write
        return rows.batches, JsonlWriter(out, rows.columns).write
    writer = DelimitedWriter(out, rows.names, dialect, has_header=has_header)
    match rows:
        case Rows():
            return map(writer.prepared, rows.batches), writer.write
        case ArrowRows():
            return rows.batches, writer.write
        case TextRows():
            return rows.blocks, lambda block: out.write(block[0])


def _write_parquet(path: Path, rows: Rows | ArrowRows, report: Report) -> Written:
    writer, count = ParquetWriter(path, rows.columns), 0
    put: Callable[[Any], None] = writer.write if isinstance(rows, Rows) else writer.write_arrow

    def write(batch: Any) -> None:
        nonlocal count
        put(batch)
        count += len(batch)
        report(count, _size(path))

    if isinstance(rows, Rows):  # its values need Python's lock, so that a second thread is no help
        for batch in rows.batches:
            write(batch)
    else:
        with WriteBehind(write) as behind:
            for batch in rows.batches:
                behind.put(batch)
    writer.close()
    return Written(tuple(writer.columns), count, _size(path), checksum(path))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
