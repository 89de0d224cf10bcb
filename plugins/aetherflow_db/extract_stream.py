"""The step `db_extract_stream`: write the rows of a query to a csv, tsv, parquet or jsonl file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aetherflow import Dataset, PathText, StepContext, StepResult, step
from aetherflow.data_files import (
    Compression,
    FileFormat,
    FileKeys,
    Written,
    compression_of,
    dtype_words,
    read_dtypes,
)
from aetherflow_db.connection import sql_connector
from aetherflow_db.lineage import statement_of
from aetherflow_db.query import Query
from aetherflow_db.result_file import ResultFile, extract
from aetherflow_db.sql_dialects import dialect_of
from aetherflow_db.sql_source import check_one_source, sql_source
from aetherflow_db.watermark import WatermarkInput, WatermarkOutput, open_watermark

Text = Annotated[str, Meta(min_length=1)]
FETCH_SIZE = 5000


class DbExtractStreamInput(FileKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inputs of `db_extract_stream`.

    Attributes:
        resource: a resource of kind db.
        sql: a statement that returns rows; it goes to the database as it is.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        output: the file, relative to the job's artifacts.
        params: bind parameters: {name: value} for `:name`, or for db:sqlite3 also a list for `?`.
        format: tsv, csv, parquet or jsonl.
        compression: gz or zst, for tsv, csv and jsonl; by default what the name of `output` ends with.
        fetch_size: how many rows are fetched at once.
        include_header: whether tsv and csv begin with the names of the columns.
        emit_dtypes: whether the outputs have the types of the columns.
        dtypes: types of columns, {column: type} or the same as JSON text: bool, int, float, decimal,
            decimal(18,2), date, time, datetime, string, binary, json.
        dtypes_json: another name of `dtypes`.
        watermark: read only the rows above the stored high-water mark of a column.
    """

    resource: Text
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    output: Annotated[PathText, Meta(min_length=1)]
    params: dict[str, Any] | list[Any] | None = None
    format: Literal["tsv", "csv", "parquet", "jsonl", "TSV", "CSV", "PARQUET", "JSONL"] | None = "tsv"
    compression: Literal["gz", "zst", "none"] | None = None
    fetch_size: Annotated[int, Meta(ge=1)] | None = FETCH_SIZE
    include_header: bool | None = True
    emit_dtypes: bool | None = False
    dtypes: dict[str, str] | str | None = None
    dtypes_json: dict[str, str] | str | None = None
    watermark: WatermarkInput | None = None

    def __post_init__(self) -> None:
        check_one_source(self.sql, self.sql_path)


class DbExtractStreamOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_extract_stream`.

    Attributes:
        artifact_path: the absolute path of the file.
        format: how it is written.
        columns: the names of the columns.
        row_count: how many rows it has, without the header.
        sha256: the checksum of the file.
        dtypes: the types of the columns, {column: type}, with `emit_dtypes`.
        dtypes_json: the same as JSON text.
        watermark: with `watermark`, from where the rows were read, and the mark now.
    """

    artifact_path: str
    format: FileFormat
    columns: list[str]
    row_count: int
    sha256: str
    dtypes: dict[str, str] | UnsetType = UNSET
    dtypes_json: str | UnsetType = UNSET
    watermark: WatermarkOutput | UnsetType = UNSET


_FORMATS: dict[str, FileFormat] = {"tsv": "tsv", "csv": "csv", "parquet": "parquet", "jsonl": "jsonl"}
_COMPRESSIONS: dict[str, Compression | None] = {"gz": "gz", "zst": "zst", "none": None}


@step("db_extract_stream", output=DbExtractStreamOutput, mark_input="watermark")
async def db_extract_stream(ctx: StepContext, inputs: DbExtractStreamInput) -> StepResult:
    """Write the rows of a query to a file, in bounded memory and as fast as the database allows.

    No rows are a success. Where the database has a fast way (Arrow, COPY), it is taken; the file is the same.

    Raises:
        StepError: the database or the statement fails, a value does not fit its type, or the output leaves
            the job's artifacts folder.
        MissingExtra: the format needs a package that is not installed.
    """
    file_format = _FORMATS[(inputs.format or "tsv").lower()]
    path = await ctx.run_sync(ctx.path, inputs.output)
    compression = compression_of(path) if inputs.compression is None else _COMPRESSIONS[inputs.compression]
    target = ResultFile(
        path,
        file_format,
        compression=None if file_format == "parquet" else compression,
        dialect=inputs.dialect(file_format) if file_format in {"csv", "tsv"} else None,
        has_header=inputs.include_header is not False,
        dtypes=read_dtypes(inputs.dtypes, inputs.dtypes_json),
        finds_kinds=bool(inputs.emit_dtypes),
    )
    connector = await sql_connector(ctx, inputs.resource)
    sql = await sql_source(ctx, inputs.sql, inputs.sql_path)
    query = Query(sql.text, inputs.params, source=sql.source)
    ctx.lineage(statements=[statement_of(connector, sql.text)])
    fetch_size = inputs.fetch_size or FETCH_SIZE
    if inputs.watermark is None:
        written = await extract(ctx, connector, query, target, fetch_size)
        ctx.lineage(writes=[Dataset.file(path, rows=written.rows)])
        return StepResult(outputs=_outputs(target, written, inputs, UNSET))
    mark = await open_watermark(ctx, inputs.watermark)
    query = mark.bounded(query, dialect_of(connector.dialect))
    written = await extract(ctx, connector, query, target, fetch_size, mark.watch)
    ctx.lineage(writes=[Dataset.file(path, rows=written.rows)])
    return StepResult(outputs=_outputs(target, written, inputs, mark.output), marks=mark.moved)


def _outputs(
    target: ResultFile,
    written: Written,
    inputs: DbExtractStreamInput,
    watermark: WatermarkOutput | UnsetType,
) -> dict[str, Any]:
    words: dict[str, str] | UnsetType = dtype_words(written.columns) if inputs.emit_dtypes else UNSET
    output = DbExtractStreamOutput(
        artifact_path=str(target.path),
        format=target.file_format,
        columns=[column.name for column in written.columns],
        row_count=written.rows,
        sha256=written.sha256,
        dtypes=words,
        dtypes_json=UNSET if words is UNSET else msgspec.json.encode(words).decode(),
        watermark=watermark,
    )
    return {name: value for name, value in msgspec.structs.asdict(output).items() if value is not UNSET}
