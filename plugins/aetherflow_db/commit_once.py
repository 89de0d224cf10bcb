"""Commit what a step writes, and find out in a later attempt whether an earlier one committed.

Before the commit, the intent is stored with something by which the database recognises the transaction:
PostgreSQL's own number of it, or a receipt that the transaction wrote to a table of receipts. Other databases
do not know what became of a commit whose answer was lost: it is repeated, unless `on_interrupt` forbids that.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from aetherflow import StepContext, StepError
from aetherflow_db.connection import SqlConnector
from aetherflow_db.query import Query
from aetherflow_db.sql_dialects import POSTGRES
from aetherflow_db.table_names import quoted_table
from aetherflow_db.transaction import Transaction, write

COMMIT = "commit"
"""The key of the effect."""

Found = Literal["committed", "not committed", "unknown"]

_RECEIPTS = (
    "step_key VARCHAR(400) NOT NULL PRIMARY KEY, receipt VARCHAR(40) NOT NULL,"
    " committed_at VARCHAR(40) NOT NULL"
)


class Intent(msgspec.Struct, frozen=True):
    """What is stored before a commit.

    Attributes:
        result: what the step returns once it is committed.
        transaction: PostgreSQL's number of the transaction.
        receipt: what the transaction wrote to the table of receipts.
    """

    result: dict[str, Any]
    transaction: int | None = None
    receipt: str | None = None


class CommitLost(StepError):
    """The connection ended before the database answered whether it has committed.

    Attributes:
        is_final: whether the flow forbids to commit it a second time (`on_interrupt`).
    """

    default_code = "AF928"

    def __init__(self, error: StepError, *, is_final: bool) -> None:
        super().__init__(
            f"nobody knows whether this was committed: {error.message}",
            hint="look in the table; receipts_table lets the next attempt find it out",
            kind="connection",
        )
        self.is_final = is_final

    def info(self) -> Any:
        """Return the error as data."""
        return msgspec.structs.replace(super().info(), is_final=self.is_final)


async def write_once(
    ctx: StepContext,
    connector: SqlConnector,
    work: Callable[[Transaction], dict[str, Any]],
    *,
    is_repeatable: bool = False,
    receipts_table: str | None = None,
) -> dict[str, Any]:
    """Call `work` in a transaction and commit; return its result, also if an earlier attempt committed it.

    Args:
        ctx: the context of the step.
        connector: the database.
        work: changes the database and returns the outputs of the step; called in a worker thread.
        is_repeatable: whether the tables are the same when it is committed twice.
        receipts_table: a table in the same database with a row for each commit; made if it is missing.

    Raises:
        StepError: see `write`; or an earlier transaction has not ended yet.
    """
    effect = ctx.effect(COMMIT)
    if effect.done:
        ctx.log("an earlier attempt has committed this; it is not repeated")
        return effect.result
    if receipts_table is not None:
        table = receipts_table
        await write(ctx, connector, lambda one: _make_receipts(one, table), mode="autocommit")

    def call(transaction: Transaction) -> dict[str, Any]:
        earlier = _earlier(ctx)
        found = "not committed" if earlier is None else _look(ctx, transaction, earlier, receipts_table)
        if earlier is not None and found == "committed":
            with ctx.effect(COMMIT, verify=lambda: earlier.result):
                ctx.log("an earlier attempt has committed this; it is not repeated")
            return earlier.result
        if found == "unknown" and not is_repeatable:
            ctx.log(
                "an earlier attempt may have committed this, which cannot be verified; it is repeated",
                "warning",
            )
        return _commit(ctx, transaction, work(transaction), receipts_table, is_repeatable=is_repeatable)

    return await write(ctx, connector, call)


def _commit(
    ctx: StepContext,
    transaction: Transaction,
    result: dict[str, Any],
    receipts_table: str | None,
    *,
    is_repeatable: bool,
) -> dict[str, Any]:
    intent = Intent(result)
    if receipts_table is not None:
        intent = Intent(result, receipt=_receipt(ctx, transaction, receipts_table))
    elif transaction.dialect == POSTGRES:
        intent = Intent(result, transaction=int(transaction.fetch(Query("SELECT txid_current()"))[0][0]))
    is_verifiable = intent.receipt is not None or intent.transaction is not None
    with ctx.effect(COMMIT, detail=msgspec.to_builtins(intent)) as effect:
        try:
            transaction.commit()
        except StepError as error:
            if error.kind == "connection" and not (is_verifiable or is_repeatable):
                raise CommitLost(error, is_final=ctx.on_interrupt != "rerun") from error
            raise
        effect.result = result
    return result


def _earlier(ctx: StepContext) -> Intent | None:
    """Return the intent of an earlier attempt, whose commit was not confirmed."""
    stored = ctx.earlier_effects.get(COMMIT)
    return None if stored is None else msgspec.convert(stored.detail, Intent)


def _look(ctx: StepContext, transaction: Transaction, earlier: Intent, receipts_table: str | None) -> Found:
    """Ask the database whether an earlier transaction was committed.

    Raises:
        StepError: it has not ended yet.
    """
    if earlier.receipt is not None and receipts_table is not None:
        table = quoted_table(transaction.dialect, receipts_table)
        key = {"step_key": ctx.idempotency_key}
        # Waits for a transaction that still has the row.
        transaction.execute(Query(f"UPDATE {table} SET step_key = step_key WHERE step_key = :step_key", key))
        rows = transaction.fetch(Query(f"SELECT receipt FROM {table} WHERE step_key = :step_key", key))
        return "committed" if any(row[0] == earlier.receipt for row in rows) else "not committed"
    if earlier.transaction is None or transaction.dialect != POSTGRES:
        return "unknown"
    number = {"number": str(earlier.transaction)}
    match transaction.fetch(Query("SELECT txid_status(CAST(:number AS bigint))", number))[0][0]:
        case "committed":
            return "committed"
        case "aborted":
            return "not committed"
        case "in progress":
            raise StepError(
                f"the transaction of an earlier attempt still runs on resource {transaction.resource!r}",
                hint="the database ends it when it notices that its client is gone; try again then",
                kind="connection",
                code="AF916",
            )
        case _:
            return "unknown"


def _make_receipts(transaction: Transaction, receipts_table: str) -> None:
    table = quoted_table(transaction.dialect, receipts_table)
    try:
        transaction.fetch(Query(f"SELECT receipt FROM {table} WHERE 1 = 0"))
    except StepError:
        transaction.execute(Query(f"CREATE TABLE {table} ({_RECEIPTS})"))


def _receipt(ctx: StepContext, transaction: Transaction, receipts_table: str) -> str:
    """Write the receipt of this transaction, instead of that of an earlier one of the same step."""
    table, receipt = quoted_table(transaction.dialect, receipts_table), str(uuid.uuid4())
    values = {
        "step_key": ctx.idempotency_key,
        "receipt": receipt,
        "committed_at": ctx.clock.now().isoformat(),
    }
    transaction.execute(
        Query(f"DELETE FROM {table} WHERE step_key = :step_key", {"step_key": ctx.idempotency_key})
    )
    transaction.execute(Query(f"INSERT INTO {table} VALUES (:step_key, :receipt, :committed_at)", values))
    return receipt
