"""Load a data file into a table, in a transaction that somebody else commits; blocking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from aetherflow import StepContext, StepError
from aetherflow.data_files import Compression, Dialect, FileFormat, Row, Rows, read_data_file
from aetherflow_db.bulk_insert import Savepoint, Target, insert_batches
from aetherflow_db.column_mapping import ExtraColumns, Mapped, map_columns
from aetherflow_db.copy_load import ReadByServerError, can_copy, can_copy_file, copy_file, copy_rows
from aetherflow_db.fitted_values import Fitter, MisfitError
from aetherflow_db.query import Query
from aetherflow_db.row_errors import Source, misfit
from aetherflow_db.sql_dialects import EXASOL, MSSQL, MYSQL, ORACLE, SqlDialect
from aetherflow_db.table_columns import TableColumn, table_columns
from aetherflow_db.table_names import quoted_table
from aetherflow_db.transaction import Transaction
from aetherflow_db.upsert import Upserted, merge, stage_of

BATCH_ROWS = 200
"""How many rows are read and converted at once: as few as the caches of a processor hold."""

SENT_ROWS: Mapping[SqlDialect, int] = {EXASOL: 20_000, MYSQL: 2000, ORACLE: 2000, MSSQL: 1000}
"""How many rows are sent at once where each time costs more; else BATCH_ROWS."""


class Loading(msgspec.Struct, frozen=True):
    """What is loaded, and how; see the inputs of `db_load`."""

    path: Path
    file_format: FileFormat
    compression: Compression | None
    dialect: Dialect | None
    table: str
    mode: Literal["append", "replace", "upsert"]
    keys: Sequence[str]
    renamed: Mapping[str, str]
    extra: ExtraColumns
    min_rows: int

    @property
    def source(self) -> Source:
        """The file and the table, as messages name them."""
        return Source(str(self.path), self.table)


class Loaded(NamedTuple):
    """How many rows the file has, and what became of them."""

    row_count: int
    inserted: int
    updated: int
    deleted: int


def load_file(ctx: StepContext, transaction: Transaction, loading: Loading) -> Loaded:
    """Load a file and return the counts.

    Raises:
        StepError: the columns, a key or a row do not fit, the file cannot be read or has too few rows
            (AF926), or the database fails.
    """
    table = table_columns(transaction, loading.table)
    with _opened(loading, transaction.dialect) as rows:
        mapped = _mapped(loading, rows, table)
        target = Target(loading.source, quoted_table(transaction.dialect, loading.table), mapped)
        key = _key(loading, mapped)
        deleted = 0
        if loading.mode == "replace":
            deleted = transaction.execute(Query(f"DELETE FROM {target.table}"))
        is_upsert = loading.mode == "upsert" and bool(mapped)
        stage = stage_of(transaction, target) if is_upsert else target
        count = _insert(ctx, transaction, loading, rows, stage) if mapped else 0
    if count < loading.min_rows:
        raise StepError(
            f"{loading.path} has {count:,} rows, and min_rows is {loading.min_rows:,}",
            hint=f"the table {loading.table} has its old content; look at what makes the file",
            code="AF926",
        )
    done = merge(transaction, target, stage, key) if is_upsert else Upserted(count, 0)
    return Loaded(count, done.inserted, done.updated, deleted)


def _opened(loading: Loading, dialect: SqlDialect) -> AbstractContextManager[Rows]:
    return read_data_file(
        loading.path,
        loading.file_format,
        compression=loading.compression,
        dialect=loading.dialect,
        batch_rows=SENT_ROWS.get(dialect, BATCH_ROWS),
    )


def _mapped(loading: Loading, rows: Rows, table: Sequence[TableColumn]) -> list[Mapped]:
    """Return which columns are loaded; none of an empty jsonl file, in which nothing names them.

    Raises:
        StepError: the columns do not fit (AF922), or a csv or tsv file has no header (AF926).
    """
    if rows.columns:
        where = f"{loading.path} into {loading.table}"
        return map_columns(where, rows.columns, table, renamed=loading.renamed, extra=loading.extra)
    if loading.file_format == "jsonl":
        return []
    raise StepError(
        f"{loading.path} is empty: it has no line with the names of its columns",
        hint="a file without rows has this line all the same",
        code="AF926",
    )


def _key(loading: Loading, mapped: Sequence[Mapped]) -> list[Mapped]:
    """Return the columns of the key, which are named as in the file or as in the table.

    Raises:
        StepError: the file has no such column (AF922).
    """
    found = []
    for name in loading.keys if mapped else ():
        same = [
            one
            for one in mapped
            if name.casefold() in {one.source.name.casefold(), one.target.name.casefold()}
        ]
        if not same:
            raise StepError(
                f"{loading.path} has no column {name!r}, which is in key",
                hint=f"it has {', '.join(one.source.name for one in mapped)}",
                code="AF922",
            )
        found.append(same[0])
    return found


def _insert(ctx: StepContext, transaction: Transaction, loading: Loading, rows: Rows, target: Target) -> int:
    """Insert all rows on the fastest way that there is, and return their number."""
    kinds = [one.target.column.kind for one in target.columns]
    is_whole = len(target.columns) == len(rows.columns)
    if not can_copy(transaction):
        return insert_batches(transaction, target, _fitted(ctx, transaction, loading, rows, target))
    if loading.dialect is None or not is_whole or not can_copy_file(loading.dialect, kinds):
        return copy_rows(transaction, target, _fitted(ctx, transaction, loading, rows, target))
    sent = 0

    def advanced(size: int) -> None:
        nonlocal sent
        ctx.raise_if_stopping()
        sent += size
        ctx.progress(sent, unit="bytes")

    savepoint = Savepoint(transaction)
    savepoint.set()
    try:
        return copy_file(transaction, target, loading.path, loading.compression, loading.dialect, advanced)
    except ReadByServerError:
        savepoint.roll_back()
        return copy_rows(transaction, target, _fitted(ctx, transaction, loading, rows, target))


def _fitted(
    ctx: StepContext, transaction: Transaction, loading: Loading, rows: Rows, target: Target
) -> Iterator[Sequence[Row]]:
    """Yield the rows as the driver takes them.

    Raises:
        StepError: a value does not fit its column (AF923), or the step must stop.
    """
    fitter = Fitter(target.columns, transaction.dialect, is_text=loading.dialect is not None)
    done = 0
    for batch in rows.batches:
        ctx.raise_if_stopping()
        try:
            fitted = fitter.fitted(batch)
        except MisfitError as error:
            raise misfit(target.source, done + error.offset + 1, error.mapped, error.value) from None
        yield fitted
        done += len(batch)
        ctx.progress(done, unit="rows")
