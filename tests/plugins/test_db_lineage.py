"""How databases and tables are named for lineage: as the naming helpers of OpenLineage name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aetherflow_db.connection import SqlConnector
from aetherflow_db.lineage import statement_of
from aetherflow_db.server_connectors import MssqlConnector, MysqlConnector, PostgresConnector
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector
from openlineage.client.naming.dataset import MySQL, Postgres

from aetherflow import Dataset, Resource


async def opened(kind: type[SqlConnector], **config: Any) -> SqlConnector:
    """Open a connector, which connects to nothing before its first query."""
    connector: SqlConnector = await kind.open(Resource("db", "db", "x", config, {}))
    return connector


@pytest.mark.asyncio
async def test_a_table_of_postgresql_is_named_as_the_rules_say_and_the_login_is_not_in_it() -> None:
    connector = await opened(PostgresConnector, url="postgresql://ann:hush@db1/dwh")
    naming = Postgres("db1", "5432", "dwh", "public", "orders")

    statement = statement_of(connector, "select 1")

    assert (statement.sql, statement.dialect) == ("select 1", "postgresql")
    assert statement.table("orders") == Dataset(naming.get_namespace(), naming.get_name())
    assert statement.table("raw.orders").name == "dwh.raw.orders"
    assert "hush" not in repr(statement)
    assert "ann" not in repr(statement)
    await connector.aclose()


@pytest.mark.asyncio
async def test_a_table_of_mysql_has_no_schema() -> None:
    connector = await opened(MysqlConnector, host="db2", port=3307, database="shop")
    naming = MySQL("db2", "3307", "shop", "orders")

    assert statement_of(connector, "").table("orders") == Dataset(naming.get_namespace(), naming.get_name())
    await connector.aclose()


@pytest.mark.asyncio
async def test_a_table_of_sql_server_and_of_a_file(tmp_path: Path) -> None:
    server = await opened(MssqlConnector, host="db3", database="dwh")
    file = await opened(Sqlite3Connector, path=str(tmp_path / "a.sqlite"))
    by_url = await opened(SqlAlchemyConnector, url=f"sqlite:///{tmp_path}/a.sqlite")

    assert statement_of(server, "").table("orders") == Dataset("mssql://db3:1433", "dwh.dbo.orders")
    expected = Dataset(f"sqlite://{tmp_path}/a.sqlite", "orders")
    assert statement_of(file, "").table("orders") == statement_of(by_url, "").table("orders") == expected
    for one in (server, file, by_url):
        await one.aclose()
