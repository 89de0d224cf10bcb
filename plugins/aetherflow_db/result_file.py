"""Write the rows of a query to a file: what the steps that extract have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from aetherflow import StepContext, files
from aetherflow.data_files import (
    CSV,
    TSV,
    ArrowRows,
    Column,
    Compression,
    Dialect,
    FileFormat,
    Observed,
    Rows,
    TextRows,
    Written,
    with_dtypes,
    write_data_file,
)
from aetherflow_db.connection import FETCH_SIZE, SqlConnector, read_table
from aetherflow_db.fast_rows import Wanted
from aetherflow_db.query import Query

ValueRows = Rows | ArrowRows
"""Rows whose values one can see."""


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
    watch: Callable[[ValueRows], ValueRows] | None = None,
) -> Written:
    """Run a query and write its rows, in bounded memory; `watch` sees the rows as they pass.

    Raises:
        StepError: the database or the statement fails, a value or the file cannot be written (AF735).
        MissingExtra: what the format needs is not installed.
    """

    def write(rows: Rows | ArrowRows | TextRows) -> Written:
        if watch is not None and not isinstance(rows, TextRows):
            rows = watch(rows)
        try:
            return _write(ctx, rows, target)
        except OSError as error:
            raise files.cannot_write(target.path, error) from error

    is_text = target.file_format in {"csv", "tsv"}
    usual = TSV if target.file_format == "tsv" else CSV
    is_parquet = target.file_format == "parquet"
    needs_values = bool(target.dtypes) if is_parquet else target.finds_kinds
    wanted = Wanted((target.dialect or usual) if is_text else None, is_parquet, needs_values)
    if watch is not None:
        wanted = Wanted()  # it must see the values, and text has none
    return await read_table(ctx, connector, query, write, fetch_size, wanted)


def _write(ctx: StepContext, rows: Rows | ArrowRows | TextRows, target: ResultFile) -> Written:
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
