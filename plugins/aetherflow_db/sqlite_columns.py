"""What the tables of SQLite declare about the columns of a query, asked without running it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import suppress
from typing import Any

from aetherflow.data_files import Column
from aetherflow_db.column_kinds import kind_of_declared
from aetherflow_db.query import Query

_PARAMETERS = re.compile(
    r"""(?P<passed>'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z))"""
    r"""|[:@$][A-Za-z_]\w*|\?\d*""",
    re.DOTALL,
)
_VIEW = "aetherflow_columns"


def declared_columns(connection: Any, query: Query) -> tuple[Column, ...] | None:
    """Return the columns of a query with the kinds that are declared; None: nobody can say, or no SQLite.

    A view shows them; it is temporary, so the file does not change. It takes no parameters.
    """
    if not isinstance(connection, sqlite3.Connection):
        return None
    sql = _PARAMETERS.sub(lambda found: found["passed"] or "NULL", query.sql.strip().rstrip(";"))
    try:
        connection.execute("PRAGMA query_only = OFF")
        connection.execute(f"CREATE TEMP VIEW {_VIEW} AS SELECT * FROM (\n{sql}\n)")
        found = connection.execute(f"PRAGMA temp.table_info({_VIEW})").fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise  # it waited for the lock; the query itself would only wait again
        return None
    finally:
        with suppress(sqlite3.Error):
            connection.execute(f"DROP VIEW IF EXISTS temp.{_VIEW}")
        connection.execute("PRAGMA query_only = ON")
    return tuple(Column(name, kind_of_declared(declared), is_soft=True) for _, name, declared, *_ in found)
