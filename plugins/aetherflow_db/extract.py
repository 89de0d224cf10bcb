"""The step `db_extract`: write the rows of a query to a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aetherflow import PathText, StepContext, StepError, step
from aetherflow_db.connection import read, sql_connector
from aetherflow_db.query import Query, Rows
from aetherflow_db.text_files import write_jsonl, write_tsv

Text = Annotated[str, Meta(min_length=1)]
FileFormat = Literal["tsv", "jsonl"]

WRITERS: Mapping[FileFormat, Callable[[Path, Rows], int]] = {"tsv": write_tsv, "jsonl": write_jsonl}


class DbExtractInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `db_extract`.

    Attributes:
        resource: a resource of kind db.
        sql: a statement that returns rows; it goes to the database as it is.
        output: the file, relative to the job's artifacts.
        params: bind parameters: {name: value} for `:name`, or for db:sqlite3 also a list for `?`.
        format: tsv (header line, tab separated, NULL is empty) or jsonl (one JSON object per line).
    """

    resource: Text
    sql: Text
    output: Annotated[PathText, Meta(min_length=1)]
    params: dict[str, Any] | list[Any] | None = None
    format: Literal["tsv", "jsonl", "TSV", "JSONL"] | None = "tsv"


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


@step("db_extract")
async def db_extract(ctx: StepContext, inputs: DbExtractInput) -> DbExtractOutput:
    """Write the rows of a query to a TSV or JSON Lines file, in bounded memory.

    No rows are a success: the file has its header only, and `rows` is 0.

    Raises:
        StepError: the database or the statement fails, or the output leaves the job's artifacts folder.
    """
    file_format: FileFormat = "jsonl" if inputs.format in {"jsonl", "JSONL"} else "tsv"
    path = await ctx.run_sync(ctx.path, inputs.output)
    connector = await sql_connector(ctx, inputs.resource)

    def write(rows: Rows) -> int:
        try:
            with ctx.writing(path) as part:
                return WRITERS[file_format](part, rows)
        except OSError as error:
            raise StepError(
                f"cannot write {error.filename or path}: {error.strerror or error}",
                hint="make room, correct the permissions, or move away what is in its place",
                code="AF735",
            ) from error

    count = await read(ctx, connector, Query(inputs.sql, inputs.params), write)
    return DbExtractOutput(output=str(path), format=file_format, rows=count)
