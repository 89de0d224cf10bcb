"""The step `db_execute`: run a statement, or a script, in one transaction."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import PathText, StepContext, step
from aetherflow_db.commit_once import write_once
from aetherflow_db.connection import sql_connector
from aetherflow_db.lineage import statement_of
from aetherflow_db.script_queries import script_queries
from aetherflow_db.sql_source import check_one_source, sql_source
from aetherflow_db.transaction import Transaction, write

Text = Annotated[str, Meta(min_length=1)]
Params = dict[str, Any] | list[Any] | None


class DbExecuteInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `db_execute`.

    Attributes:
        resource: a resource of kind db.
        sql: one statement, or a script of several.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        params: bind parameters: {name: value} for `:name`, or for db:sqlite3 also a list for `?`; a statement
            of a script gets those that it names.
        transaction: whether all statements are one transaction; false: each is durable by itself.
        receipts_table: a table in which the transaction leaves a receipt, made if it is missing: by it
            a resumed run knows whether it was committed; PostgreSQL needs none.
    """

    resource: Text
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    params: Params = None
    transaction: bool = True
    receipts_table: Text | None = None

    def __post_init__(self) -> None:
        check_one_source(self.sql, self.sql_path)
        if self.receipts_table and not self.transaction:
            raise ValueError("receipts_table needs the transaction: leave out transaction: false")


class DbExecuteOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_execute`.

    Attributes:
        row_count: how many rows all statements together inserted, updated and deleted.
        statements: how many statements ran.
    """

    row_count: int
    statements: int


@step("db_execute")
async def db_execute(ctx: StepContext, inputs: DbExecuteInput) -> DbExecuteOutput:
    """Run a statement or a script that changes a database, in one transaction.

    Raises:
        StepError: the SQL cannot be read, or a statement fails; then nothing has changed.
    """
    connector = await sql_connector(ctx, inputs.resource)
    sql = await sql_source(ctx, inputs.sql, inputs.sql_path)
    ctx.lineage(statements=[statement_of(connector, sql.text)])

    def work(transaction: Transaction) -> dict[str, Any]:
        queries = script_queries(
            sql, inputs.params, transaction.dialect, is_in_transaction=inputs.transaction
        )
        count = 0
        for number, query in enumerate(queries, 1):
            ctx.raise_if_stopping()
            count += transaction.execute(query)
            ctx.progress(number, len(queries), unit="statements")
        return msgspec.structs.asdict(DbExecuteOutput(count, len(queries)))

    if inputs.transaction:
        done = await write_once(ctx, connector, work, receipts_table=inputs.receipts_table)
    else:
        done = await write(ctx, connector, work, mode="autocommit")
    return DbExecuteOutput(**done)
