"""Name databases and tables as OpenLineage names them, for what a step notes about its reads and writes.

The rules are those of https://openlineage.io/docs/spec/naming/; SQLite, DuckDB and Exasol, which these do not
name, follow the same pattern. A table that is named without a schema gets the usual one of its database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aetherflow import Statement
from aetherflow_db.connection import SqlConnector

if TYPE_CHECKING:
    from sqlalchemy import URL


class _Naming(NamedTuple):
    """How tables of a server are named: its scheme, port, whether the database is part, the usual schema."""

    scheme: str
    port: int
    has_database: bool = True
    schema: str = ""


_SERVERS = {
    "postgresql": _Naming("postgres", 5432, schema="public"),
    "mysql": _Naming("mysql", 3306),
    "mariadb": _Naming("mysql", 3306),
    "mssql": _Naming("mssql", 1433, schema="dbo"),
    "oracle": _Naming("oracle", 1521),
}


def statement_of(connector: SqlConnector, sql: str) -> Statement:
    """Return a statement with the names of the database that it runs on; it names no user and no password."""
    url: URL | None = getattr(connector, "url", None)
    naming = _SERVERS.get(connector.dialect)
    if url is not None and naming is not None:
        query = {name: value for name, value in url.query.items() if isinstance(value, str)}
        database = url.database or query.get("service_name", "")
        schema = naming.schema or (str(url.username or "").upper() if naming.scheme == "oracle" else "")
        return Statement(
            sql,
            f"{naming.scheme}://{url.host or 'localhost'}:{url.port or naming.port}",
            database if naming.has_database else "",
            schema,
            connector.dialect,
        )
    if connector.dialect in {"sqlite", "duckdb"}:
        file = url.database if url is not None else getattr(connector, "database", "")
        schema = "main" if connector.dialect == "duckdb" else ""
        return Statement(sql, f"{connector.dialect}://{file or ':memory:'}", "", schema, connector.dialect)
    return Statement(sql, f"{connector.dialect}://{connector.place}", "", "", connector.dialect)
