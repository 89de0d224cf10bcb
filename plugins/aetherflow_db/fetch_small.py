"""The step `db_fetch_small`: the rows of a query as outputs, for templates and small reports."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import PathText, StepContext, StepError, step
from aetherflow.data_files import Observed, Rows, dtype_words, json_value
from aetherflow_db.connection import read, sql_connector
from aetherflow_db.lineage import statement_of
from aetherflow_db.query import Query
from aetherflow_db.sql_source import check_one_source, sql_source

Text = Annotated[str, Meta(min_length=1)]


class DbFetchSmallInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `db_fetch_small`.

    Attributes:
        resource: a resource of kind db.
        sql: a statement that returns rows; it goes to the database as it is.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        params: bind parameters: {name: value} for `:name`, or for db:sqlite3 also a list for `?`.
        max_rows: more rows are an error.
        fetch_size: how many rows are fetched at once.
    """

    resource: Text
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    params: dict[str, Any] | list[Any] | None = None
    max_rows: Annotated[int, Meta(ge=0)] | None = 50_000
    fetch_size: Annotated[int, Meta(ge=1)] | None = 5000

    def __post_init__(self) -> None:
        check_one_source(self.sql, self.sql_path)


class DbFetchSmallOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_fetch_small`.

    Attributes:
        columns: the names of the columns.
        rows: the rows, each a list of values.
        row_count: how many there are.
        columns_json: `columns` as JSON text.
        rows_json: `rows` as JSON text, decimals as numbers.
        dtypes: the types of the columns, {column: type}.
        dtypes_json: the same as JSON text.
    """

    columns: list[str]
    rows: list[list[Any]]
    row_count: int
    columns_json: str
    rows_json: str
    dtypes: dict[str, str]
    dtypes_json: str


@step("db_fetch_small")
async def db_fetch_small(ctx: StepContext, inputs: DbFetchSmallInput) -> DbFetchSmallOutput:
    """Return the rows of a query as outputs; they are stored with the run, so there may not be many.

    Raises:
        StepError: the database or the statement fails, or there are more than `max_rows` rows (AF903).
    """
    most = 50_000 if inputs.max_rows is None else inputs.max_rows
    connector = await sql_connector(ctx, inputs.resource)

    def collect(rows: Rows) -> tuple[dict[str, str], list[str], list[list[Any]]]:
        observed, found = Observed(rows), list[list[Any]]()
        for batch in observed.rows.batches:
            found.extend(map(list, batch))
            if len(found) > most:
                raise StepError(
                    f"the query returns more than max_rows ({most:,}) rows",
                    hint="db_extract_stream writes any number of rows to a file; or raise max_rows",
                    code="AF903",
                )
        return dtype_words(observed.columns), list(rows.names), found

    size = min(inputs.fetch_size or 5000, most + 1)
    sql = await sql_source(ctx, inputs.sql, inputs.sql_path)
    query = Query(sql.text, inputs.params, source=sql.source)
    ctx.lineage(statements=[statement_of(connector, sql.text)])
    dtypes, columns, rows = await read(ctx, connector, query, collect, size)
    as_numbers = [[json_value(_number(value)) for value in row] for row in rows]
    return DbFetchSmallOutput(
        columns=columns,
        rows=[[json_value(value) for value in row] for row in rows],
        row_count=len(rows),
        columns_json=msgspec.json.encode(columns).decode(),
        rows_json=msgspec.json.encode(as_numbers).decode(),
        dtypes=dtypes,
        dtypes_json=msgspec.json.encode(dtypes).decode(),
    )


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
