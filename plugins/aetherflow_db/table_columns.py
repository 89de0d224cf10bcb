"""The columns of a table as the database describes them: names, types, and which of them need a value."""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow import StepError
from aetherflow.data_files import Column
from aetherflow_db.column_types import typed_column
from aetherflow_db.query import Query
from aetherflow_db.sql_dialects import DUCKDB, EXASOL, MSSQL, MYSQL, ORACLE, POSTGRES, SQLITE, SqlDialect
from aetherflow_db.table_names import name_parts, quoted_table
from aetherflow_db.transaction import Transaction

_QUERIES = {
    POSTGRES.name: """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
  CASE WHEN a.atthasdef OR a.attidentity <> '' THEN 1 END, a.attgenerated <> '' OR a.attidentity = 'a'
FROM pg_attribute a WHERE a.attrelid = to_regclass(:quoted) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum""",
    MYSQL.name: """
SELECT column_name, column_type, is_nullable = 'YES', COALESCE(column_default, NULLIF(extra, '')),
  generation_expression IS NOT NULL AND generation_expression <> ''
FROM information_schema.columns WHERE table_name = :table AND table_schema = COALESCE(:schema, DATABASE())
ORDER BY ordinal_position""",
    DUCKDB.name: """
SELECT column_name, data_type, is_nullable, column_default, is_generated FROM duckdb_columns()
WHERE table_name = :table AND schema_name = COALESCE(:schema, current_schema())
ORDER BY column_index""",
    MSSQL.name: """
SELECT c.name, CONCAT(t.name, CASE WHEN t.name IN ('decimal', 'numeric')
    THEN CONCAT('(', c.precision, ',', c.scale, ')') ELSE '' END), c.is_nullable,
  CASE WHEN c.default_object_id <> 0 OR c.is_identity = 1 THEN 1 END, c.is_computed
FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.user_type_id
WHERE c.object_id = OBJECT_ID(:quoted) ORDER BY c.column_id""",
    ORACLE.name: """
SELECT column_name, data_type || CASE WHEN data_type = 'NUMBER' AND data_precision IS NOT NULL
    THEN '(' || data_precision || ',' || data_scale || ')' ELSE '' END, DECODE(nullable, 'Y', 1, 0),
  default_length, DECODE(virtual_column, 'YES', 1, 0)
FROM all_tab_cols WHERE table_name = :table AND hidden_column = 'NO'
  AND owner = COALESCE(:schema, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) ORDER BY column_id""",
    EXASOL.name: """
SELECT column_name, column_type, column_is_nullable, COALESCE(column_default, TO_CHAR(column_identity)), FALSE
FROM exa_all_columns WHERE column_table = :table AND column_schema = COALESCE(:schema, CURRENT_SCHEMA)
ORDER BY column_ordinal_position""",
}
"""Each returns: name, type, may it be NULL, its default or NULL, is it computed."""


class TableColumn(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        column: its name and the kind of its values.
        is_required: a row needs a value for it.
        refuses_null: NULL is no value for it.
        is_computed: it takes no value.
    """

    column: Column
    is_required: bool = False
    refuses_null: bool = False
    is_computed: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.column.name


def table_columns(transaction: Transaction, table: str) -> list[TableColumn]:
    """Return the columns of a table in order.

    Raises:
        StepError: there is no such table (AF921), or its name is none.
    """
    dialect = transaction.dialect
    if dialect == SQLITE:
        found = _of_sqlite(transaction, table)
    elif dialect.name in _QUERIES:
        rows = transaction.fetch(Query(_QUERIES[dialect.name], _names(dialect, table)))
        found = [_column(dialect, *row) for row in rows]
    else:
        sql = f"SELECT * FROM {quoted_table(dialect, table)} WHERE 1 = 0"
        found = [TableColumn(Column(name)) for name in transaction.column_names(Query(sql))]
    if not found:
        raise StepError(
            f"there is no table {table!r} on resource {transaction.resource!r}",
            hint="check its name and its schema, or make it by db_execute before",
            code="AF921",
        )
    return found


def _names(dialect: SqlDialect, table: str) -> dict[str, Any]:
    """Return the parameters that a query takes: those that its database needs."""
    parts = [dialect.folded(part) for part in name_parts(table)]
    if dialect in {POSTGRES, MSSQL}:
        return {"quoted": quoted_table(dialect, table)}
    return {"table": parts[-1], "schema": parts[-2] if len(parts) > 1 else None}


def _column(
    dialect: SqlDialect, name: str, declared: str, nullable: object, default: object, computed: object
) -> TableColumn:
    column = typed_column(name, declared, has_date_times=dialect == ORACLE)
    refuses_null = not nullable and not (dialect == MYSQL and "auto_increment" in str(default))
    return TableColumn(
        column, not nullable and default is None and not computed, refuses_null, bool(computed)
    )


def _of_sqlite(transaction: Transaction, table: str) -> list[TableColumn]:
    """Return what SQLite knows: a column INTEGER PRIMARY KEY gets a number by itself."""
    parts = name_parts(table)
    schema = f"{SQLITE.quoted(parts[-2])}." if len(parts) > 1 else ""
    rows = transaction.fetch(Query(f"PRAGMA {schema}table_xinfo({SQLITE.quoted(parts[-1])})"))
    keys = [row for row in rows if row[5]]
    found = []
    for _, name, declared, not_null, default, key, hidden in rows:
        is_rowid = bool(key) and len(keys) == 1 and declared.upper() == "INTEGER"
        is_required = bool(not_null) and default is None and not is_rowid
        found.append(TableColumn(typed_column(name, declared), is_required, bool(not_null), hidden in {2, 3}))
    return found
