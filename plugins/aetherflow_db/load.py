"""The step `db_load`: load a data file into a table, in one transaction."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from aetherflow import Dataset, PathText, StepContext, StepError, step
from aetherflow.data_files import Compression, FileFormat, FileKeys, compression_of, format_of
from aetherflow_db.column_mapping import ExtraColumns
from aetherflow_db.commit_once import write_once
from aetherflow_db.connection import sql_connector
from aetherflow_db.lineage import statement_of
from aetherflow_db.load_file import Loading, load_file

Text = Annotated[str, Meta(min_length=1)]


class DbLoadInput(FileKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inputs of `db_load`.

    Attributes:
        resource: a resource of kind db.
        table: the table, which exists: name or schema.name.
        source_path: the file, relative to the job's artifacts.
        mode: append; replace: delete all rows before; upsert: update the rows whose key is there.
        key: upsert: the column or the columns that identify a row.
        format: csv, tsv, jsonl or parquet; by default what the name of the file says.
        compression: gz or zst; by default what the name of the file says.
        columns: {column of the file: column of the table}, where the names differ.
        extra_columns: what a column of the file is that the table does not have: error or ignore.
        min_rows: a file with fewer rows is an error, and the table keeps its content.
        receipts_table: a table in which the transaction leaves a receipt, made if it is missing: by it
            a resumed run knows whether it was committed; PostgreSQL needs none.
    """

    resource: Text
    table: Text
    source_path: Annotated[PathText, Meta(min_length=1)]
    mode: Literal["append", "replace", "upsert"] = "append"
    key: Text | list[Text] | None = None
    format: Literal["csv", "tsv", "jsonl", "parquet", "CSV", "TSV", "JSONL", "PARQUET"] | None = None
    compression: Compression | None = None
    columns: dict[str, str] | None = None
    extra_columns: ExtraColumns = "error"
    min_rows: Annotated[int, Meta(ge=0)] = 0
    receipts_table: Text | None = None

    def __post_init__(self) -> None:
        if (self.mode == "upsert") != bool(self.keys):
            raise ValueError(
                "mode: upsert needs key" if self.mode == "upsert" else "key is for mode: upsert only"
            )

    @property
    def keys(self) -> list[str]:
        """The columns of the key."""
        return [self.key] if isinstance(self.key, str) else self.key or []


class DbLoadOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_load`.

    Attributes:
        row_count: how many rows the file has; all are in the table.
        inserted: how many of them are new.
        updated: how many rows of the table had their key.
        deleted: replace: how many rows there were before.
    """

    row_count: int
    inserted: int
    updated: int
    deleted: int


_FORMATS: dict[str, FileFormat] = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "parquet": "parquet"}


@step("db_load")
async def db_load(ctx: StepContext, inputs: DbLoadInput) -> DbLoadOutput:
    """Load a csv, tsv, jsonl or parquet file into a table: append, replace or upsert, in one transaction.

    Raises:
        StepError: a value does not fit the table, with row and column, or the database or the file fails; the
            table keeps its content then.
    """
    path = await ctx.run_sync(ctx.path, inputs.source_path)
    file_format = _FORMATS[inputs.format.lower()] if inputs.format else format_of(path)
    if file_format is None:
        raise StepError(
            f"the name of {path} does not say what kind of file it is",
            hint="name its format: csv, tsv, jsonl or parquet",
            code="AF925",
        )
    connector = await sql_connector(ctx, inputs.resource)
    loading = Loading(
        path=path,
        file_format=file_format,
        compression=inputs.compression or compression_of(path),
        dialect=inputs.dialect(file_format) if file_format in {"csv", "tsv"} else None,
        table=inputs.table,
        mode=inputs.mode,
        keys=inputs.keys,
        renamed=inputs.columns or {},
        extra=inputs.extra_columns,
        min_rows=inputs.min_rows,
    )

    def work(transaction: Any) -> dict[str, Any]:
        return msgspec.structs.asdict(DbLoadOutput(*load_file(ctx, transaction, loading)))

    table = statement_of(connector, "").table(inputs.table)
    ctx.lineage(reads=[Dataset.file(path)], writes=[table])
    is_repeatable = inputs.mode != "append"
    done = await write_once(
        ctx, connector, work, is_repeatable=is_repeatable, receipts_table=inputs.receipts_table
    )
    rows = done["row_count"]
    ctx.lineage(reads=[Dataset.file(path, rows=rows)], writes=[replace(table, rows=rows)])
    return DbLoadOutput(**done)
