"""Upsert by a key: load into a temporary table, then update the rows that are there and insert the others.

It needs no unique index, and a column that the file does not have keeps its value.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aetherflow import StepError
from aetherflow_db.bulk_insert import Target
from aetherflow_db.column_mapping import Mapped
from aetherflow_db.query import Query
from aetherflow_db.row_errors import shown
from aetherflow_db.sql_dialects import EXASOL, MSSQL, MYSQL, ORACLE, SqlDialect
from aetherflow_db.transaction import Transaction

STAGE = "aetherflow_stage"


class Upserted(msgspec.Struct, frozen=True):
    """How many rows were new, and how many were there."""

    inserted: int
    updated: int


def stage_of(transaction: Transaction, target: Target) -> Target:
    """Make an empty temporary table with the columns that are loaded, and return it as a target."""
    dialect = transaction.dialect
    names = ", ".join(target.names(dialect))
    match dialect:
        case _ if dialect == MSSQL:
            stage = f"#{STAGE}"
            sql = f"SELECT {names} INTO {stage} FROM {target.table} WHERE 1 = 0"
        case _ if dialect == ORACLE:
            stage = f"ORA$PTT_{STAGE.upper()}"
            sql = f"CREATE PRIVATE TEMPORARY TABLE {stage} AS SELECT {names} FROM {target.table} WHERE 1 = 0"
        case _ if dialect == EXASOL:
            stage = STAGE.upper()
            sql = f"CREATE TABLE {stage} AS SELECT {names} FROM {target.table} WHERE 1 = 0"
        case _:
            stage = STAGE
            word = "TEMPORARY" if dialect == MYSQL else "TEMP"
            sql = f"CREATE {word} TABLE {stage} AS SELECT {names} FROM {target.table} WHERE 1 = 0"
    transaction.execute(Query(sql))
    return msgspec.structs.replace(target, table=stage)


def merge(transaction: Transaction, target: Target, stage: Target, key: Sequence[Mapped]) -> Upserted:
    """Move the rows of the stage to the table, and drop the stage.

    Raises:
        StepError: a key is NULL, or in the file twice (AF924); or the database refuses a row.
    """
    dialect = transaction.dialect
    keys = [dialect.quoted(one.target.name) for one in key]
    _check_keys(transaction, target, stage, key, keys)
    others = [name for name in target.names(dialect) if name not in keys]
    same = " AND ".join(f"t.{name} = s.{name}" for name in keys)
    count = transaction.fetch(Query(f"SELECT count(*) FROM {stage.table}"))[0][0]
    known = transaction.fetch(
        Query(
            f"SELECT count(*) FROM {stage.table} s WHERE EXISTS (SELECT 1 FROM {target.table} t WHERE {same})"
        )
    )[0][0]
    if others and known:
        transaction.execute(Query(_update_sql(dialect, target.table, stage.table, others, same)))
    if known < count:
        names = target.names(dialect)
        columns, values = ", ".join(names), ", ".join(f"s.{name}" for name in names)
        transaction.execute(
            Query(
                f"INSERT INTO {target.table} ({columns}) SELECT {values} FROM {stage.table} s"
                f" WHERE NOT EXISTS (SELECT 1 FROM {target.table} t WHERE {same})"
            )
        )
    word = "TEMPORARY TABLE" if dialect == MYSQL else "TABLE"
    transaction.execute(Query(f"DROP {word} {stage.table}"))
    return Upserted(int(count - known), int(known))


def _check_keys(
    transaction: Transaction, target: Target, stage: Target, key: Sequence[Mapped], keys: Sequence[str]
) -> None:
    columns = ", ".join(keys)
    missing = " OR ".join(f"{name} IS NULL" for name in keys)
    if transaction.fetch(Query(f"SELECT count(*) FROM {stage.table} WHERE {missing}"))[0][0]:
        raise _no_key(target, f"a row has no {' or no '.join(one.source.name for one in key)}")
    twice = transaction.fetch(
        Query(
            f"SELECT {columns}, times FROM (SELECT {columns}, count(*) AS times FROM {stage.table}"
            f" GROUP BY {columns} HAVING count(*) > 1) d ORDER BY {columns} {_first(transaction.dialect)}"
        )
    )
    if twice:
        values = ", ".join(
            f"{one.source.name} {shown(value)}" for one, value in zip(key, twice[0], strict=False)
        )
        raise _no_key(target, f"{twice[0][-1]} rows have the key {values}")


def _first(dialect: SqlDialect) -> str:
    return "OFFSET 0 ROWS FETCH NEXT 1 ROWS ONLY" if dialect in {MSSQL, ORACLE} else "LIMIT 1"


def _update_sql(dialect: SqlDialect, table: str, stage: str, columns: Sequence[str], same: str) -> str:
    """Return the statement that updates the rows that are there; each database joins in its own way."""
    plain = ", ".join(f"{name} = s.{name}" for name in columns)
    aliased = ", ".join(f"t.{name} = s.{name}" for name in columns)
    match dialect:
        case _ if dialect == MYSQL:
            return f"UPDATE {table} t JOIN {stage} s ON {same} SET {aliased}"
        case _ if dialect == MSSQL:
            return f"UPDATE t SET {plain} FROM {table} t JOIN {stage} s ON {same}"
        case _ if dialect in {ORACLE, EXASOL}:
            return f"MERGE INTO {table} t USING {stage} s ON ({same}) WHEN MATCHED THEN UPDATE SET {aliased}"
        case _:
            return f"UPDATE {table} AS t SET {plain} FROM {stage} s WHERE {same}"


def _no_key(target: Target, why: str) -> StepError:
    return StepError(
        f"cannot upsert {target.source.file} into {target.source.table}: {why}",
        hint="each row needs a key of its own; name all columns of the key in key",
        code="AF924",
    )
