"""db:sqlalchemy over real SQLite files, and what it says when a URL cannot be used."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
import pytest
from aetherflow_db.options import PooledOptions
from aetherflow_db.query import Query
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlalchemy_engine import place
from sqlalchemy import make_url

from aetherflow import ConfigError, MissingExtra, Resource, StepError, StopSwitch


def resource(url: str, **options: Any) -> Resource:
    return Resource("warehouse", "db", "sqlalchemy", {"url": url}, options)


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[SqlAlchemyConnector]:
    connector = await SqlAlchemyConnector.open(resource(url, **options))
    try:
        yield connector
    finally:
        await connector.aclose()


def fetch(
    connector: SqlAlchemyConnector, sql: str, params: Any = None, size: int = 3
) -> list[list[Sequence[Any]]]:
    with connector.rows(Query(sql, params), size, StopSwitch()) as rows:
        return [list(batch) for batch in rows.batches]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def url(tmp_path: Path) -> str:
    connection = sqlite3.connect(tmp_path / "shop.sqlite", isolation_level=None)
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)")
    connection.executemany("INSERT INTO orders VALUES (?, ?)", [(n, f"item {n}") for n in range(1, 8)])
    connection.close()
    return f"sqlite:///{tmp_path / 'shop.sqlite'}"


@pytest.mark.asyncio
async def test_rows_come_in_batches_with_their_column_names(url: str) -> None:
    async with opened(url) as connector:
        query = Query("SELECT id, item AS what FROM orders WHERE id > :least ORDER BY id", {"least": 1})
        with connector.rows(query, 4, StopSwitch()) as rows:
            assert rows.names == ("id", "what")
            assert [[tuple(row) for row in batch] for batch in rows.batches] == [
                [(n, f"item {n}") for n in (2, 3, 4, 5)],
                [(n, f"item {n}") for n in (6, 7)],
            ]


@pytest.mark.asyncio
async def test_columns_of_one_name_are_all_there(url: str) -> None:
    async with opened(url) as connector:
        with connector.rows(Query("SELECT 1 AS id, 2 AS id"), 1, StopSwitch()) as rows:
            assert rows.names == ("id", "id")
            assert [tuple(row) for batch in rows.batches for row in batch] == [(1, 2)]


@pytest.mark.asyncio
async def test_the_folder_of_a_sqlite_url_is_made_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened("sqlite:///demo_state/demo.sqlite") as connector:
        assert names(tmp_path) == []
        assert fetch(connector, "SELECT 1") == [[(1,)]]
    assert (tmp_path / "demo_state/demo.sqlite").is_file()


@pytest.mark.asyncio
@pytest.mark.parametrize("memory", ["sqlite://", "sqlite:///:memory:"])
async def test_a_database_in_memory_has_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(memory) as connector:
        # In a thread, as steps do it: SQLite closes such a connection only in the thread that opened it.
        assert await anyio.to_thread.run_sync(fetch, connector, "SELECT 1") == [[(1,)]]
    assert names(tmp_path) == []


@pytest.mark.asyncio
async def test_no_folder_is_made_for_a_file_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened("sqlite:///file:gone/shop.sqlite?mode=ro&uri=true") as connector:
        with pytest.raises(StepError, match="unable to open database file"):
            fetch(connector, "SELECT 1")
    assert names(tmp_path) == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sql", "params", "said"),
    [
        ("SELECT * FROM does_not_exist", None, "no such table: does_not_exist \\(line 1, column 15\\)\n"),
        ("SELECT :day", None, "Incorrect number of bindings|did not supply a value"),
        ("SELECT :n", {"n": 2**70}, "too large to convert"),
        ("SELECT :n", {"n": [1]}, "Error binding parameter|type 'list' is not supported"),
        ("SELECT 1; SELECT 2", None, "one statement at a time"),
    ],
)
async def test_a_statement_that_fails_says_what_the_driver_says(
    url: str, sql: str, params: Any, said: str
) -> None:
    async with opened(url) as connector:
        with pytest.raises(StepError, match=f"failed on resource 'warehouse': .*({said})") as caught:
            fetch(connector, sql, params)
        assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]
    assert (caught.value.code, caught.value.kind) == ("AF740", "other")
    assert caught.value.detail == {"resource": "warehouse", "sql": sql}
    marked = "\n" + " " * 16 + "^" if "column" in str(caught.value) else ""
    assert str(caught.value).endswith(f"\n  {sql}{marked}")
    assert "sqlalche.me" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_failure_in_a_later_batch_is_reported_the_same_way(url: str) -> None:
    async with opened(url) as connector:
        with pytest.raises(StepError, match="integer overflow") as caught:
            fetch(
                connector, "SELECT CASE id WHEN 6 THEN abs(-9223372036854775807 - 1) ELSE id END FROM orders"
            )
    assert caught.value.code == "AF740"


@pytest.mark.asyncio
async def test_a_connection_that_breaks_while_rows_are_read_is_a_connection_error(url: str) -> None:
    def read_on_a_closed_connection(connector: SqlAlchemyConnector) -> None:
        switch = StopSwitch()
        with connector.rows(Query("SELECT id FROM orders"), 2, switch) as rows:
            next(rows.batches)
            driver = getattr(switch._interrupt, "__self__", None)
            assert isinstance(driver, sqlite3.Connection)
            driver.close()
            next(rows.batches)

    async with opened(url) as connector:
        with pytest.raises(
            StepError, match=r"the connection to the sqlite database .* was lost: Cannot operate on a closed"
        ) as caught:
            read_on_a_closed_connection(connector)
        assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]
    assert (caught.value.code, caught.value.kind) == ("AF741", "connection")


@pytest.mark.asyncio
async def test_a_list_of_parameters_is_refused_with_the_right_form(url: str) -> None:
    async with opened(url) as connector:
        with pytest.raises(StepError, match="takes named parameters, not a list") as caught:
            fetch(connector, "SELECT ?", [1])
    assert "params: {name: value}" in caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (item) VALUES ('new')",
        "INSERT INTO orders (item) VALUES ('new') RETURNING id",
        "DROP TABLE orders",
        "BEGIN",
    ],
)
async def test_a_statement_that_is_no_query_is_refused_and_changes_nothing(url: str, sql: str) -> None:
    async with opened(url) as connector:
        with pytest.raises(
            StepError, match=r"resource 'warehouse' (writes, and this step only reads|returns no rows)"
        ) as caught:
            fetch(connector, sql)
        assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]
    assert caught.value.code == "AF742"


@pytest.mark.asyncio
async def test_a_connection_goes_back_to_the_pool_able_to_write(url: str) -> None:
    async with opened(url, pool_size=1, max_overflow=0) as connector:
        fetch(connector, "SELECT 1")
        with connector._engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO orders (item) VALUES ('new')")
        assert fetch(connector, "SELECT count(*) FROM orders") == [[(8,)]]


@pytest.mark.asyncio
async def test_a_connection_of_a_failed_query_is_thrown_away(url: str) -> None:
    async with opened(url, pool_size=1, max_overflow=0) as connector:
        kept = [id(connection) for connection in (driver_connection(connector), driver_connection(connector))]
        assert kept[0] == kept[1]
        before = driver_connection(connector)
        with pytest.raises(StepError):
            fetch(connector, "SELECT * FROM nothing")
        assert driver_connection(connector) is not before


@pytest.mark.asyncio
async def test_a_connection_whose_rows_were_not_wanted_is_thrown_away(url: str) -> None:
    """Otherwise the next one who takes it from the pool could not write."""
    async with opened(url, pool_size=1, max_overflow=0) as connector:
        with (
            pytest.raises(OSError, match="no space left"),
            connector.rows(Query("SELECT id FROM orders"), 2, StopSwitch()),
        ):
            raise OSError("no space left")
        with connector._engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO orders (item) VALUES ('new')")


@pytest.mark.asyncio
async def test_no_more_queries_run_at_once_than_the_pool_has_connections(url: str) -> None:
    async with opened(url, pool_size=2, max_overflow=1) as connector:
        assert connector.slots.total_tokens == 3


def driver_connection(connector: SqlAlchemyConnector) -> object:
    with connector._engine.connect() as connection:
        return connection.connection.driver_connection


@pytest.mark.asyncio
@pytest.mark.parametrize("file", ["folder", "notes.txt"])
async def test_a_file_that_cannot_be_used_is_a_connection_error(tmp_path: Path, file: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("these are no pages of a b-tree " * 100)
    async with opened(f"sqlite:///{tmp_path / file}") as connector:
        with pytest.raises(
            StepError, match=r"resource 'warehouse': cannot use .*(unable to open|not a database)"
        ) as e:
            fetch(connector, "SELECT * FROM orders")
    assert (e.value.code, e.value.kind) == ("AF741", "connection")


@pytest.mark.asyncio
async def test_wrong_connect_args_are_a_connection_error(url: str) -> None:
    async with opened(url, connect_args={"no_such_argument": 1}) as connector:
        with pytest.raises(StepError, match="no_such_argument") as caught:
            fetch(connector, "SELECT 1")
    assert caught.value.code == "AF741"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("bad", "said", "hint"),
    [
        ("klingon://me:hunter22@qonos/d", "knows no database 'klingon'", "check the spelling"),
        (
            "exa+websocket://me:hunter22@h/d",
            "knows no database 'exa\\+websocket'",
            "pip install sqlalchemy-exasol",
        ),
        ("postgres://me:hunter22@h/d", "knows no database 'postgres'", "write postgresql://"),
        ("mysql://me:hunter22@h/d", "driver MySQLdb of mysql cannot be imported", "pip install mysqlclient"),
        ("mssql+pyodbc://me:hunter22@h/d", "driver pyodbc of mssql\\+pyodbc", "pip install pyodbc"),
        ("me:hunter22@h/d", "config.url is no database URL", "write dialect://"),
        ("postgresql://me:h@nter22/hunter22@h:1/d", "config.url is no database URL", "%40"),
        ("postgresql://me:hunter22@h:hunter22/d", "config.url is no database URL", "%40"),
        ("sqlite+aiosqlite:///:memory:", "an asynchronous driver", "sqlite\\+DRIVER://"),
    ],
)
async def test_a_url_that_cannot_be_used_is_reported_without_its_password(
    bad: str, said: str, hint: str
) -> None:
    with pytest.raises(StepError, match=f"resource 'warehouse': .*{said}") as caught:
        await SqlAlchemyConnector.open(resource(bad))
    assert caught.value.code == "AF745"
    assert hint.replace("\\", "") in caught.value.hint
    assert "hunter22" not in f"{caught.value.info()}"


def test_a_place_names_dialect_host_and_database_only() -> None:
    assert place(make_url("postgresql://me:pw@db.example:5433/shop?x=1")) == (
        "the postgresql database shop on db.example:5433"
    )
    assert place(make_url("sqlite:///a/b.sqlite")) == "the sqlite database a/b.sqlite"
    assert place(make_url("mysql://h")) == "the mysql database (default) on h"


def test_sqlalchemy_is_not_imported_before_a_resource_is_opened() -> None:
    """It takes a second; a flow that reads through db:sqlite3 shall not pay for it."""
    modules = "aetherflow_db.extract, aetherflow_db.sqlalchemy_connector, aetherflow_db.sqlite3_connector"
    code = f"import sys, {modules}; print([name for name in sys.modules if name.startswith('sqlalchemy')])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout.strip() == b"[]"


@pytest.mark.asyncio
async def test_without_sqlalchemy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r"resource 'warehouse' .* needs SQLAlchemy") as caught:
        await SqlAlchemyConnector.open(resource("sqlite://"))
    assert caught.value.hint == "pip install 'aetherflow[db]'"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("config", "options", "said"),
    [
        ({}, {}, "config: Object missing required field `url`"),
        ({"url": ""}, {}, "config.url: "),
        ({"url": "sqlite://", "user": "x"}, {}, "unknown field `user`"),
        ({"url": "sqlite://"}, {"pool_sise": 1}, "options: .*unknown field `pool_sise`"),
        ({"url": "sqlite://"}, {"pool": {"min": 1}}, "options.pool: .*unknown field `min`"),
    ],
)
async def test_wrong_settings_are_reported_when_the_resource_is_opened(
    config: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await SqlAlchemyConnector.open(Resource("warehouse", "db", "sqlalchemy", config, options))


def test_pool_options_have_two_spellings_and_the_group_wins() -> None:
    options = PooledOptions(pool_size=2, max_overflow=1)
    assert options.flat().most_connections == 3
    grouped = msgspec.convert(
        {"pool_size": 2, "pool": {"size": "4", "max_overflow": 0, "recycle_seconds": 60, "pre_ping": False}},
        PooledOptions,
        strict=False,
    ).flat()
    assert (grouped.pool_size, grouped.max_overflow, grouped.pool_recycle) == (4, 0, 60)
    assert grouped.pool_pre_ping is False
    assert grouped.most_connections == 4
    assert PooledOptions(max_overflow=-1).most_connections == math.inf
    assert PooledOptions(pool_size=0).most_connections == math.inf


@pytest.mark.asyncio
async def test_a_database_in_memory_is_one_for_all_threads_of_a_run() -> None:
    async with opened("sqlite://") as connector:
        await anyio.to_thread.run_sync(connector.execute, "CREATE TABLE t (n)")
        with pytest.raises(StepError):
            fetch(connector, "SELECT * FROM nope")
        assert fetch(connector, "SELECT count(*) FROM t") == [[(0,)]]
        assert connector.slots.total_tokens == 1


@pytest.mark.asyncio
async def test_a_file_that_may_only_be_read_stays_as_it_is(url: str) -> None:
    async with opened(url, read_only=True, timeout=1) as connector:
        assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]
        with pytest.raises(StepError, match="readonly database") as caught:
            connector.execute("DELETE FROM orders")
    assert caught.value.code == "AF742"
