"""The step `db_extract`: write the rows of a query to a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, StepContext, step
from aetherflow_db.connection import sql_connector
from aetherflow_db.lineage import statement_of
from aetherflow_db.query import Query
from aetherflow_db.result_file import ResultFile, extract
from aetherflow_db.sql_source import check_one_source, sql_source

Text = Annotated[str, Meta(min_length=1)]
FileFormat = Literal["tsv", "jsonl", "csv"]


class DbExtractInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inputs of `db_extract`.

    Attributes:
        resource: a resource of kind db.
        sql: a statement that returns rows; it goes to the database as it is.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        output: the file, relative to the job's artifacts.
        params: bind parameters: {name: value} for `:name`, or for db:sqlite3 also a list for `?`.
        format: tsv (header line, tab separated, NULL is empty), csv, or jsonl (one JSON object per line).
    """

    resource: Text
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    output: Annotated[PathText, Meta(min_length=1)]
    params: dict[str, Any] | list[Any] | None = None
    format: Literal["tsv", "jsonl", "csv", "TSV", "JSONL", "CSV"] | None = "tsv"

    def __post_init__(self) -> None:
        check_one_source(self.sql, self.sql_path)


class DbExtractOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_extract`.

    Attributes:
        output: the absolute path of the file.
        format: how it is written.
        rows: how many rows it has, without the header.
    """

    output: str
    format: FileFormat
    rows: int


_FORMATS: dict[str, FileFormat] = {"tsv": "tsv", "jsonl": "jsonl", "csv": "csv"}


@step("db_extract")
async def db_extract(ctx: StepContext, inputs: DbExtractInput) -> DbExtractOutput:
    """Write the rows of a query to a TSV, CSV or JSON Lines file, in bounded memory.

    No rows are a success: the file has its header only, and `rows` is 0.

    Raises:
        StepError: the database or the statement fails, or the output leaves the job's artifacts folder.
    """
    file_format = _FORMATS[(inputs.format or "tsv").lower()]
    path = await ctx.run_sync(ctx.path, inputs.output)
    connector = await sql_connector(ctx, inputs.resource)
    sql = await sql_source(ctx, inputs.sql, inputs.sql_path)
    query = Query(sql.text, inputs.params, source=sql.source)
    ctx.lineage(statements=[statement_of(connector, sql.text)])
    written = await extract(ctx, connector, query, ResultFile(path, file_format))
    ctx.lineage(writes=[Dataset.file(path, rows=written.rows)])
    return DbExtractOutput(output=str(path), format=file_format, rows=written.rows)
