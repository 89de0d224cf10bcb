"""Write the rows of a query to a file: what the steps that extract have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from aetherflow import StepContext, StepError
from aetherflow.data_files import (
    ArrowRows,
    Column,
    Compression,
    Dialect,
    FileFormat,
    Observed,
    Rows,
    Written,
    with_dtypes,
    write_data_file,
)
from aetherflow_db.connection import FETCH_SIZE, SqlConnector, read
from aetherflow_db.query import Query

AnyRows = Rows | ArrowRows


class ResultFile(msgspec.Struct, frozen=True):
    """How the result of a query is written.

    Attributes:
        path: the file, which is replaced when it is complete.
        file_format: csv, tsv, jsonl or parquet.
        compression: of csv, tsv and jsonl.
        dialect: how csv or tsv is spelled; None: as usual.
        has_header: whether csv or tsv begins with the names of the columns.
        dtypes: kinds of columns that the flow names.
        finds_kinds: whether `Written.columns` must have the kinds of all columns.
    """

    path: Path
    file_format: FileFormat
    compression: Compression | None = None
    dialect: Dialect | None = None
    has_header: bool = True
    dtypes: Mapping[str, Column] = {}
    finds_kinds: bool = False


async def extract(
    ctx: StepContext,
    connector: SqlConnector,
    query: Query,
    target: ResultFile,
    fetch_size: int = FETCH_SIZE,
    watch: Callable[[AnyRows], AnyRows] = lambda rows: rows,
) -> Written:
    """Run a query and write its rows, in bounded memory; `watch` sees the rows as they pass.

    Raises:
        StepError: the database or the statement fails, a value or the file cannot be written (AF735).
        MissingExtra: what the format needs is not installed.
    """

    def write(rows: AnyRows) -> Written:
        try:
            return _write(ctx, watch(rows), target)
        except OSError as error:
            raise StepError(
                f"cannot write {error.filename or target.path}: {error.strerror or error}",
                hint="make room, correct the permissions, or move away what is in its place",
                code="AF735",
            ) from error

    return await read(ctx, connector, query, write, fetch_size)


def _write(ctx: StepContext, rows: AnyRows, target: ResultFile) -> Written:
    rows = msgspec.structs.replace(rows, columns=with_dtypes(rows.columns, target.dtypes))
    observed = None
    if target.finds_kinds and isinstance(rows, Rows) and target.file_format != "parquet":
        observed = Observed(rows)
        rows = observed.rows

    def report(count: int, size: int) -> None:
        ctx.progress(count, unit="rows", note=f"{size / 1e6:,.1f} MB")

    with ctx.writing(target.path) as part:
        written = write_data_file(
            part,
            rows,
            target.file_format,
            compression=target.compression,
            dialect=target.dialect,
            has_header=target.has_header,
            report=report,
        )
    return msgspec.structs.replace(written, columns=tuple(observed.columns)) if observed else written
