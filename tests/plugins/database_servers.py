"""What tests of `db:postgres` and `db:mysql` need to know of each database, so that one test serves both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aetherflow_db.query import Query
from aetherflow_db.server_connectors import MysqlConnector, PostgresConnector
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector

from aetherflow import Resource, StopSwitch
from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres

SLEEPS = 20
"""Seconds of the statement that tests interrupt."""


@dataclass(frozen=True)
class Database:
    """A database of its own on the server of the session.

    Attributes:
        sleep: a query that takes long.
        many: a query of a million rows, which the server makes while it sends them.
        running: a query, run elsewhere, for the ids of the connections that run `sleep`.
        kill: a statement that ends a connection.
        show: a statement that is no SELECT and returns rows.
    """

    server: Postgres | MariaDb
    name: str
    driver: str
    connector: type[SqlAlchemyConnector]
    sleep: str
    many: str
    running: str
    kill: str
    show: str

    def resource(self, *, options: dict[str, Any] | None = None, **config: Any) -> Resource:
        """Return the resource, with these changes of its config."""
        base = self.server.config(self.name)
        return Resource(
            "warehouse", "db", self.driver, {**base, **config}, {"timeout": 30, **(options or {})}
        )

    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[SqlAlchemyConnector]:
        """Open the connector for a block."""
        connector = await self.connector.open(self.resource(**changes))
        try:
            yield connector
        finally:
            await connector.aclose()

    def sleepers(self) -> list[int]:
        """Return the ids of the connections that run `sleep` at this moment."""
        return [row[0] for row in self.server.execute(self.running)]


def postgres_database(server: Postgres) -> Database:
    """Return a new database of PostgreSQL."""
    active = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
    return Database(
        server=server,
        name=server.new_database(),
        driver="postgres",
        connector=PostgresConnector,
        sleep=f"SELECT pg_sleep({SLEEPS})",
        many="SELECT n, repeat('x', 100) AS x FROM generate_series(1, 1000000) AS n",
        running=f"{active} AND query LIKE '%pg_sleep({SLEEPS})%'",
        kill="SELECT pg_terminate_backend({})",
        show="SHOW port",
    )


def mariadb_database(server: MariaDb) -> Database:
    """Return a new database of MariaDB."""
    return Database(
        server=server,
        name=server.new_database(),
        driver="mysql",
        connector=MysqlConnector,
        sleep=f"SELECT sleep({SLEEPS})",
        many="SELECT seq, repeat('x', 100) AS x FROM seq_1_to_1000000",
        running=f"SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep({SLEEPS})%'",
        kill="KILL {}",
        show="SHOW VARIABLES LIKE 'port'",
    )


def fetch(
    connector: SqlAlchemyConnector, sql: str, params: Any = None, switch: StopSwitch | None = None
) -> list[Sequence[Any]]:
    """Return all rows of a query."""
    with connector.rows(Query(sql, params), 1000, switch or StopSwitch()) as rows:
        return [tuple(row) for batch in rows.batches for row in batch]
