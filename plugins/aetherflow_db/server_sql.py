"""What the databases of servers say in their own SQL and error numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aetherflow_db.driver import Cause

_CAUSES: Mapping[str, Mapping[int | str, Cause]] = {
    "postgresql": {
        "25006": "wrote",
        "40001": "collided",
        "40P01": "collided",
        "55P03": "waited",
        "25P03": "lost",
        "57P01": "lost",
        "57P02": "lost",
        "57P03": "lost",
    },
    "mysql": {1792: "wrote", 1290: "wrote", 1213: "collided", 1205: "waited", 1969: "waited", 3024: "waited"},
    "mssql": {3906: "wrote", 1205: "collided", 1222: "waited"},
    "oracle": {1456: "wrote", 60: "collided", 8177: "collided", 54: "waited", 30006: "waited"},
}
"""What SQLSTATEs and error numbers of the databases mean."""


def cause_of(dialect: str, error: Exception) -> Cause:
    """Return what the number in a driver's error says."""
    causes = _CAUSES.get("mysql" if dialect == "mariadb" else dialect, {})
    first = error.args[0] if error.args else None
    said = [getattr(error, name, None) for name in ("sqlstate", "pgcode")] + [getattr(first, "code", first)]
    known = (causes.get(number) for number in said if isinstance(number, int | str))
    return next(filter(None, known), "other")


class ServerSql(msgspec.Struct, frozen=True):
    """What statements a database has for the settings of a connection; empty: it has none.

    Attributes:
        schema: makes a schema the one of names without a schema; `{}` is its quoted name.
        never_writes: lets no transaction of the connection write.
        read_only: lets the transaction that begins not write.
        id_query: returns what the server calls the connection.
        kill: ends what another connection runs; `{}` is its id.
        notices_death: lets the server end a query soon after its client was killed; it may refuse that.
    """

    schema: str = ""
    never_writes: str = ""
    read_only: str = ""
    id_query: str = ""
    kill: str = ""
    notices_death: str = ""


_MYSQL = ServerSql(
    schema="USE {}",
    never_writes="SET SESSION TRANSACTION READ ONLY",
    read_only="START TRANSACTION READ ONLY",
    id_query="SELECT CONNECTION_ID()",
    kill="KILL QUERY {}",
)
SERVER_SQL: Mapping[str, ServerSql] = {
    "postgresql": ServerSql(
        schema="SET search_path TO {}",
        never_writes="SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        read_only="SET TRANSACTION READ ONLY",
        notices_death=(
            "SELECT set_config('client_connection_check_interval', '5s', false)"
            " WHERE current_setting('client_connection_check_interval', true) = '0'"
        ),
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mssql": ServerSql(id_query="SELECT @@SPID", kill="KILL {}"),
    "oracle": ServerSql(
        schema="ALTER SESSION SET CURRENT_SCHEMA = {}", read_only="SET TRANSACTION READ ONLY"
    ),
    "sqlite": ServerSql(never_writes="PRAGMA query_only = ON"),
    "duckdb": ServerSql(schema="SET schema = {}"),
}
"""By the name that SQLAlchemy gives a database."""
