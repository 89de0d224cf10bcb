"""Run database steps in a test, on each database that can run here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from aetherflow_db.connection import SqlConnector
from aetherflow_db.duckdb_connector import DuckDbConnector
from aetherflow_db.query import Query
from aetherflow_db.server_connectors import MysqlConnector
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector
from aetherflow_db.transaction import Transaction, write

from aetherflow import Connector, Resource, StepType
from aetherflow.clock import SystemClock
from aetherflow.spec.flow_place import FlowPlace
from aetherflow.testing import FakeRun

DATABASES = ("sqlite3", "sqlite", "duckdb", "postgres", "mariadb")
"""db:sqlite3, db:duckdb, db:sqlalchemy with SQLite and PostgreSQL, db:mysql with MariaDB."""


class DbRun(FakeRun):
    """A run whose resource `db` is one connector; its flow is in `folder`.

    Attributes:
        on_interrupt: as the flow says it for each step.
        database: one of DATABASES.
    """

    on_interrupt: Literal["rerun", "fail", "skip"] = "rerun"

    def __init__(self, folder: Path, connector: SqlConnector, database: str = "") -> None:
        super().__init__(folder, clock=SystemClock(), connectors={"db": connector})
        self.folder = folder
        self.connector = connector
        self.database = database
        self.services = msgspec.structs.replace(self.services, place=FlowPlace(directory=str(folder)))

    async def step(self, step: StepType, step_id: str = "step", **inputs: Any) -> Any:
        """Run a step on the resource, and return its outputs."""
        converted = msgspec.convert({"resource": "db", **inputs}, step.input_type, strict=False)
        context = self.context(step_id=step_id)
        context.on_interrupt = self.on_interrupt
        return await step.run(context, converted)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query finds now, on a connection of its own."""

        def fetch(transaction: Transaction) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in transaction.fetch(Query(sql))]

        return await write(self.context(step_id="look"), self.connector, fetch)

    async def execute(self, *statements: str) -> None:
        """Run statements, each by itself."""

        def run(transaction: Transaction) -> None:
            for sql in statements:
                transaction.execute(Query(sql))

        await write(self.context(step_id="prepare"), self.connector, run, mode="autocommit")


Open = Callable[[], Any]


def resource_of(name: str, folder: Path, request: pytest.FixtureRequest) -> tuple[type[Connector], Resource]:
    """Return the connector and the resource of an empty database for one test."""
    match name:
        case "sqlite3":
            return Sqlite3Connector, Resource("db", "db", "sqlite3", {"path": str(folder / "db.sqlite")}, {})
        case "duckdb":
            return DuckDbConnector, Resource("db", "db", "duckdb", {"path": str(folder / "db.duckdb")}, {})
        case "sqlite":
            url = f"sqlite:///{folder / 'db.sqlite'}"
        case "postgres":
            server = request.getfixturevalue("postgres_server")
            url = server.url(server.new_database())
        case _:
            server = request.getfixturevalue("mariadb_server")
            config = server.config(server.new_database())
            return MysqlConnector, Resource("db", "db", "mysql", config, {})
    return SqlAlchemyConnector, Resource("db", "db", "sqlalchemy", {"url": url}, {})


def opener(names: Sequence[str] = DATABASES) -> Any:
    """Return a fixture: what opens a run on each of these databases."""

    @pytest.fixture(params=names)
    def open_run(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
        connector_type, resource = resource_of(request.param, tmp_path, request)

        @asynccontextmanager
        async def opened() -> AsyncIterator[DbRun]:
            connector = await connector_type.open(resource)
            assert isinstance(connector, SqlConnector)
            try:
                yield DbRun(tmp_path, connector, request.param)
            finally:
                await connector.aclose()

        return opened

    return open_run
