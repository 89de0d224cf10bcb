"""db:postgres and db:mysql on real servers: statements, cancellation at the server, lost connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_db.connection import read
from aetherflow_db.query import Query
from aetherflow_db.server_connectors import PostgresConnector
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector

from aetherflow import ConfigError, Resource, StepError, StopSwitch
from aetherflow.testing import FakeRun
from tests.plugins.database_servers import Database, fetch, mariadb_database, postgres_database
from tests.polling import wait_until
from tests.servers.postgres import Postgres
from tests.servers.tcp_proxy import How, TcpProxy

pytestmark = pytest.mark.asyncio


@pytest.fixture(params=[("postgres_server", postgres_database), ("mariadb_server", mariadb_database)])
def database(request: pytest.FixtureRequest) -> Database:
    """A new database of each server."""
    fixture, make = request.param
    made: Database = make(request.getfixturevalue(fixture))
    return made


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


async def test_values_are_bound_and_texts_with_colons_and_percents_stay(database: Database) -> None:
    async with database.opened() as connector:
        evil = "x'; DROP TABLE t; --"
        row = fetch(connector, "SELECT ':v at 12:30 %d' AS a, :v AS b, :n AS c -- :none", {"v": evil, "n": 5})
        assert [tuple(map(str, one)) for one in row] == [(":v at 12:30 %d", evil, "5")]
        with connector.rows(Query("SELECT 1 AS a, 2 AS b WHERE 1 = 0"), 10, StopSwitch()) as rows:
            assert (rows.names, list(rows.batches)) == (("a", "b"), [])
        assert str(connector.url.port) in map(str, fetch(connector, database.show)[0])


async def test_rows_come_while_the_query_runs(database: Database) -> None:
    with TcpProxy(database.server.port) as proxy:
        async with database.opened(port=proxy.port) as connector:
            with suppress(OSError), connector.rows(Query(database.many), 1000, StopSwitch()) as rows:
                assert len(next(rows.batches)) == 1000
                raise OSError("disk full")
            # Of the million, 100 MB, came what buffers hold: the rest was not read.
            assert 100_000 < proxy.down < 50_000_000
            assert fetch(connector, "SELECT 7") == [(7,)]


async def test_a_reading_step_changes_nothing(database: Database) -> None:
    async with database.opened() as connector:
        connector.execute("CREATE TABLE t (n int)")
        for sql in ("INSERT INTO t VALUES (1) RETURNING n", "DELETE FROM t", "CREATE TABLE u (n int)"):
            with pytest.raises(StepError, match="writes, and this step only reads") as caught:
                fetch(connector, sql)
            assert caught.value.code == "AF742"
        assert fetch(connector, "SELECT count(*) FROM t") == [(0,)]


async def test_a_statement_that_fails_says_what_the_server_says(database: Database) -> None:
    async with database.opened() as connector:
        with pytest.raises(StepError, match=r"\(line 2, column 4\)\n     FROM FROM") as caught:
            fetch(connector, "SELECT 1,\n   FROM FROM t")
        with pytest.raises(StepError, match=r"\(line 2, column 6\)\n  FROM nope"):
            fetch(connector, "SELECT *\nFROM nope")
        with pytest.raises(StepError, match="dict") as caught:
            fetch(connector, "SELECT :day", {"day": {"a": 1}})
        assert caught.value.code == "AF740"
        with pytest.raises(StepError) as caught:
            fetch(connector, "SELECT :day")
        assert caught.value.hint == "if :day is a parameter, give its value: params: {day: ...}"
        for sql, said in (("SELEKT 1", "syntax"), ("SELECT * FROM nope", "nope"), ("SELECT :a, :b", ":b")):
            with pytest.raises(StepError, match=said) as caught:
                fetch(connector, sql, {"a": 1})
            assert (caught.value.code, caught.value.kind) == ("AF740", "other")
            assert ": (" not in caught.value.message  # the driver's message, not its arguments
        assert fetch(connector, "SELECT 1") == [(1,)]


async def test_a_cancelled_step_ends_its_query_at_the_server(database: Database, tmp_path: Path) -> None:
    async with database.opened() as connector:
        context = FakeRun(tmp_path).context()
        query = Query(database.sleep)

        async def extract() -> None:
            await read(context, connector, query, lambda rows: list(rows.batches))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(extract)
            await anyio.to_thread.run_sync(wait_until, lambda: bool(database.sleepers()))
            started = time.monotonic()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - started < 20
        await anyio.to_thread.run_sync(wait_until, lambda: not database.sleepers())
        assert fetch(connector, "SELECT 1") == [(1,)]


async def test_postgres_ends_the_query_of_a_killed_client(postgres_server: Postgres) -> None:
    database = postgres_database(postgres_server)
    async with database.opened() as connector:
        assert fetch(connector, "SHOW client_connection_check_interval") == [("5s",)]
    given = "SET client_connection_check_interval = '1s'"
    async with database.opened(options={"init_sql": given}) as connector:
        assert fetch(connector, "SHOW client_connection_check_interval") == [("1s",)]


async def test_a_connection_that_the_server_ends_is_a_lost_connection(database: Database) -> None:
    def kill() -> None:
        wait_until(lambda: bool(database.sleepers()))
        for number in database.sleepers():
            database.server.execute(database.kill.format(number))

    async with database.opened() as connector:
        killer = in_thread(kill)
        with pytest.raises(StepError, match=r"the connection to the .* database .* was lost: ") as caught:
            fetch(connector, database.sleep)
        killer.join()
        assert (caught.value.code, caught.value.kind) == ("AF741", "connection")
        assert str(connector.url.password) not in str(caught.value)
        assert fetch(connector, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_a_network_that_breaks_in_the_middle_is_a_lost_connection(database: Database, how: How) -> None:
    with TcpProxy(database.server.port) as proxy:
        async with database.opened(port=proxy.port) as connector:
            assert fetch(connector, "SELECT 1") == [(1,)]
            proxy.cut_after(100_000, "down", how)
            with pytest.raises(StepError, match="was lost") as caught:
                fetch(connector, database.many)
            assert (caught.value.code, caught.value.kind) == ("AF741", "connection")
            assert fetch(connector, "SELECT 1") == [(1,)]
            proxy.cut(how)  # between two statements: the connection is tested, and a new one taken
            assert fetch(connector, "SELECT 1") == [(1,)]
            proxy.refuse()
            proxy.cut()
            with pytest.raises(StepError, match=r"cannot use the .* database") as caught:
                fetch(connector, "SELECT 1")
            assert caught.value.kind == "connection"


async def test_a_step_is_cancelled_though_the_network_is_a_black_hole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aetherflow_db.interruption.CUT_SECONDS", 0.1)
    monkeypatch.setattr("aetherflow_db.server_drivers.CANCEL_SECONDS", 0.3)
    monkeypatch.setattr("aetherflow_db.sqlalchemy_connector.CANCEL_SECONDS", 1)
    switch, done = StopSwitch(), threading.Event()

    def press() -> None:
        while not done.wait(0.1):
            with suppress(Exception):  # the server cannot be asked, either
                switch()

    with TcpProxy(database.server.port) as proxy:
        async with database.opened(port=proxy.port) as connector:
            assert fetch(connector, "SELECT 1") == [(1,)]
            proxy.pause()
            presser = in_thread(press)
            with pytest.raises(StepError, match="was lost"):
                fetch(connector, "SELECT 1", switch=switch)
            done.set()
            presser.join()


async def test_two_transactions_in_each_others_way_are_worth_a_retry(database: Database) -> None:
    async with database.opened() as connector:
        connector.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        connector.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
        both, errors = threading.Barrier(2), []

        def update(first: int, second: int) -> None:
            try:
                with connector.session(StopSwitch(), "write") as session:
                    session.run(Query("UPDATE t SET n = n + 1 WHERE id = :id", {"id": first}), 10)
                    both.wait(60)
                    session.run(Query("UPDATE t SET n = n + 1 WHERE id = :id", {"id": second}), 10)
                    session.commit()
            except StepError as error:
                errors.append(error)

        threads = [in_thread(lambda: update(1, 2)), in_thread(lambda: update(2, 1))]
        for thread in threads:
            thread.join(60)
        assert [(error.code, error.kind) for error in errors] == [("AF938", "connection")]
        assert fetch(connector, "SELECT n FROM t ORDER BY id") == [(1,), (1,)]


async def test_a_session_ends_with_what_it_committed(database: Database) -> None:
    async with database.opened() as connector:
        connector.execute("CREATE TABLE t (n int)")
        with connector.session(StopSwitch(), "write") as session:
            assert session.run(Query("INSERT INTO t VALUES (1), (2)"), 10).row_count == 2
        assert fetch(connector, "SELECT count(*) FROM t") == [(0,)]
        with connector.session(StopSwitch(), "write") as session:
            session.run(Query("INSERT INTO t VALUES (1)"), 10)
            session.commit()
        with connector.session(StopSwitch(), "autocommit") as session:
            session.run(Query("INSERT INTO t VALUES (2)"), 10)
        with connector.session(StopSwitch(), "write") as session:
            session.run(Query("INSERT INTO t VALUES (3)"), 10)  # the connection commits no more by itself
        assert fetch(connector, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]


async def test_a_resource_has_one_pool_and_no_more_connections_than_it_allows(database: Database) -> None:
    async with database.opened(options={"pool": {"size": 1, "max_overflow": 0}}) as connector:
        connector.execute("CREATE TABLE t (n int)")
        assert connector.slots.total_tokens == 1
        first = fetch(connector, _own_id(database))
        with pytest.raises(StepError):
            fetch(connector, "SELECT * FROM nope")
        second = fetch(connector, _own_id(database))
        assert first != second  # a connection is not used again after a failure
        assert second == fetch(connector, _own_id(database))
    async with database.opened(options={"pool_enabled": False}) as connector:
        assert fetch(connector, _own_id(database)) != fetch(connector, _own_id(database))


def _own_id(database: Database) -> str:
    return "SELECT pg_backend_pid()" if database.driver == "postgres" else "SELECT CONNECTION_ID()"


async def test_options_set_up_each_connection(database: Database) -> None:
    async with database.opened() as connector:
        is_postgres = database.driver == "postgres"
        schema = "sales" if is_postgres else database.server.new_database()
        connector.execute("CREATE SCHEMA sales" if is_postgres else "SELECT 1")
        connector.execute(f"CREATE TABLE {schema}.t (n int)")
    wait = "SET lock_timeout = 1234" if is_postgres else "SET lock_wait_timeout = 1234"
    options = {"schema": schema, "init_sql": [wait, "SELECT 1"], "arraysize": 10, "connect_args": {}}
    async with database.opened(options=options) as connector:
        assert fetch(connector, "SELECT count(*) FROM t") == [(0,)]
        shown = "SHOW lock_timeout" if is_postgres else "SELECT @@lock_wait_timeout"
        assert str(fetch(connector, shown)[0][0]).startswith("1234")
        assert connector.execute("INSERT INTO t VALUES (1)") == 1
    async with database.opened(options={**options, "read_only": True}) as connector:
        assert fetch(connector, "SELECT n FROM t") == [(1,)]
        said = r"(?i)does not let the statement write: .*read.only transaction"
        with pytest.raises(StepError, match=said) as caught:
            connector.execute("INSERT INTO t VALUES (2)")
        assert caught.value.code == "AF742"


async def test_init_sql_that_fails_names_the_resource(database: Database) -> None:
    async with database.opened(options={"init_sql": "SET nothing.at_all TO"}) as connector:
        for use in (lambda: fetch(connector, "SELECT 1"), lambda: connector.read("SELECT 1")):
            with pytest.raises(StepError, match=r"on resource 'warehouse': .*\(options, line 1") as caught:
                use()
            assert (caught.value.code, caught.value.kind) == ("AF740", "other")
        with pytest.raises(StepError, match="failed on resource 'warehouse'"):
            await connector.check()


@pytest.mark.parametrize(
    ("change", "said"), [({"password": "hunter22"}, "password|denied"), ({"database": "nope"}, "nope")]
)
async def test_a_login_that_is_refused_is_a_connection_error(
    database: Database, change: dict[str, Any], said: str
) -> None:
    async with database.opened(**change) as connector:
        with pytest.raises(StepError, match=f"cannot use .*({said})") as caught:
            fetch(connector, "SELECT 1")
        with pytest.raises(StepError, match=f"cannot use .*({said})"):
            await connector.check()
    assert (caught.value.code, caught.value.kind) == ("AF741", "connection")
    assert "hunter22" not in f"{caught.value.info()}"


async def test_a_check_logs_in_and_counts_tables(database: Database) -> None:
    async with database.opened() as connector:
        connector.execute("CREATE TABLE t (n int)")
        found = {check.subject: (check.state, check.message) for check in await connector.check()}
        assert found["login"][0] == "ok"
        assert found["read"] == ("ok", "1 tables and views can be seen")


async def test_a_url_may_replace_the_parts(database: Database) -> None:
    short = "postgresql" if database.driver == "postgres" else "mysql"
    login = {"user": database.server.user, "password": database.server.password}
    bare = f"{short}://{database.server.host}:{database.server.port}/{database.name}"
    for config in ({"url": database.server.url(database.name, scheme=short)}, {"url": bare, **login}):
        connector = await database.connector.open(Resource("w", "db", database.driver, config))
        assert fetch(connector, "SELECT 1") == [(1,)]
        await connector.aclose()


async def test_a_host_and_a_database_are_no_files() -> None:
    def absolute(_key: str, path: str) -> str:
        return f"/flows/{path}"

    parts = {"host": "h", "user": "me", "database": "shop", "port": 5}
    assert PostgresConnector.absolute_paths(parts, absolute) == parts
    url = {"url": "postgresql://h/shop", "user": "me"}
    assert PostgresConnector.absolute_paths(url, absolute) == url
    file = {"url": "sqlite:///shop.sqlite"}
    assert SqlAlchemyConnector.absolute_paths(file, absolute) == {"url": "sqlite:////flows/shop.sqlite"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "no config.url and no config.host"),
        ({"user": "me"}, "no config.url and no config.host"),
        ({"url": "postgresql://h/d", "host": "h"}, "config.url and parts of it"),
        ({"url": "oracle://h/d"}, "is of a database oracle"),
        ({"host": "h", "port": 0}, "config.port"),
        ({"hots": "h"}, "unknown field `hots`"),
    ],
)
async def test_a_config_that_names_no_database_is_an_error(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await PostgresConnector.open(Resource("w", "db", "postgres", config))
