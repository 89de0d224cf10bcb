"""db:mssql, db:oracledb and db:exasol against doubles of their modules: their servers cannot run here."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import anyio
import oracledb
import pyexasol
import pymssql
import pytest
from aetherflow_db.connection import SqlConnector
from aetherflow_db.exasol_connector import ExasolConnector
from aetherflow_db.oracle_connector import OracleConnector
from aetherflow_db.query import Query
from aetherflow_db.server_connectors import MssqlConnector, MysqlConnector, PostgresConnector

from aetherflow import ConfigError, MissingExtra, Resource, StepError, StopSwitch
from tests.plugins.driver_doubles import Connection, ExaConnection, Server, oracle_error
from tests.polling import wait_until

pytestmark = pytest.mark.asyncio

LOGIN = {"user": "me", "password": "pässword"}
CONNECTORS: dict[str, type[SqlConnector]] = {
    "mssql": MssqlConnector,
    "oracledb": OracleConnector,
    "exasol": ExasolConnector,
}
CONFIGS = {
    "mssql": {"host": "sql.example", "database": "shop", **LOGIN},
    "oracledb": {"dsn": "ora.example:1521/shop", **LOGIN},
    "exasol": {"dsn": "exa.example:8563", "schema": "SALES", **LOGIN},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """Answer what the modules' connect functions would connect to."""
    server = Server()
    server.answers = {
        "SELECT @@SPID": (["id"], [(57,)]),
        "SELECT 1.1 FROM": (["number"], [("1.1",)]),
        "@@version": (["v"], [("Microsoft SQL Server 2022 - 16.0.1000.6",)]),
        "schema_name()": (["s"], [("dbo",)]),
        "sys_context": (["s"], [("ME",)]),
        "orders": (["id", "item"], [(n, f"item {n}") for n in range(1, 6)]),
    }
    monkeypatch.setattr(pymssql, "connect", lambda **login: Connection(server, pymssql.Error, login))
    monkeypatch.setattr(oracledb, "connect", lambda **login: Connection(server, oracledb.Error, login))
    made = lambda **login: ExaConnection(server, ExaFailure, login)  # noqa: E731 - as the two above
    monkeypatch.setattr(pyexasol, "connect", made)
    return server


class ExaFailure(pyexasol.ExaError):
    """An error of Exasol without a connection to describe."""

    def __init__(self, message: str, code: str = "42000") -> None:
        Exception.__init__(self, message)
        self.message, self.code = message, code

    def __str__(self) -> str:
        return str(self.message)


@asynccontextmanager
async def opened(driver: str, **options: Any) -> AsyncIterator[SqlConnector]:
    connector = await CONNECTORS[driver].open(Resource("far", "db", driver, CONFIGS[driver], options))
    try:
        yield connector
    finally:
        await connector.aclose()


def fetch(connector: SqlConnector, sql: str, params: Any = None) -> list[Sequence[Any]]:
    with connector.rows(Query(sql, params), 2, StopSwitch()) as rows:
        return [tuple(row) for batch in rows.batches for row in batch]


PARAMS = {"n": Decimal("1.50"), "day": date(2026, 1, 2), "unused": 1}
SENT: dict[str, tuple[str, Any]] = {
    "mssql": ("SELECT * FROM orders WHERE n = %(n)s AND d = %(day)s AND t = ':n 5%%'", PARAMS),
    "oracledb": ("SELECT * FROM orders WHERE n = :n AND d = :day AND t = ':n 5%'", PARAMS),
    "exasol": ("SELECT * FROM orders WHERE n = ? AND d = ? AND t = ':n 5%'", [("1.50", "2026-01-02")]),
}


@pytest.mark.parametrize("driver", CONNECTORS)
async def test_a_query_is_sent_as_the_driver_takes_it(driver: str, server: Server) -> None:
    async with opened(driver) as connector:
        rows = fetch(connector, "SELECT * FROM orders WHERE n = :n AND d = :day AND t = ':n 5%'", PARAMS)
        assert rows == [(n, f"item {n}") for n in range(1, 6)]
        sql, params = SENT[driver]
        named = {key: PARAMS[key] for key in ("n", "day")}
        assert server.statements[-1] == (sql, named if params is PARAMS else params)
        columns, [first, *_], types = connector.fetchmany("SELECT id, item FROM orders", fetch_size=2)
        assert (columns, first, types) == (["id", "item"], (1, "item 1"), [int, str])


@pytest.mark.parametrize("driver", CONNECTORS)
async def test_a_write_is_committed_and_a_failed_one_is_not(driver: str, server: Server) -> None:
    async with opened(driver) as connector:
        assert connector.execute("DELETE FROM lines") == 3
        assert "commit" in server.events
        server.events.clear()
        with pytest.raises(StepError, match="writes, and this step only reads"):
            fetch(connector, "DELETE FROM lines")
        assert "commit" not in server.events
        assert "close" in server.events


@pytest.mark.parametrize("driver", CONNECTORS)
async def test_a_query_is_cancelled_at_the_server(driver: str, server: Server) -> None:
    async with opened(driver) as connector:
        fetch(connector, "SELECT 1 FROM orders")
        switch = StopSwitch()

        def press() -> None:
            wait_until(lambda: any(sql == "SELECT HANG" for sql, _ in list(server.statements)))
            switch()  # not before: a press is lost while nothing runs

        presser = threading.Thread(target=press, daemon=True)
        presser.start()
        with pytest.raises(StepError, match="interrupted"), connector.rows(Query("SELECT HANG"), 1, switch):
            pass
        await anyio.to_thread.run_sync(presser.join)
    if driver == "mssql":
        assert ("KILL 57", None) in server.statements
        assert server.logins[-1]["login_timeout"] == 3  # by a connection of its own
    else:
        assert "cancel" in server.events


@pytest.mark.parametrize("driver", CONNECTORS)
async def test_a_connection_is_used_again_until_it_fails(driver: str, server: Server) -> None:
    async with opened(driver) as connector:
        fetch(connector, "SELECT 1 FROM orders")
        fetch(connector, "SELECT 1 FROM orders")
        assert len(server.logins) == 1
        server.errors["nope"] = {
            "mssql": pymssql.ProgrammingError(208, b"Invalid object name 'nope'."),
            "oracledb": oracle_error(942, "ORA-00942: table or view does not exist: nope"),
            "exasol": ExaFailure("object nope not found"),
        }[driver]
        with pytest.raises(StepError, match="nope") as caught:
            fetch(connector, "SELECT 1 FROM nope")
        assert (caught.value.code, caught.value.kind) == ("AF740", "other")
        fetch(connector, "SELECT 1 FROM orders")
        assert len(server.logins) == 2


COLLISIONS: dict[str, Callable[[], Exception]] = {
    "mssql": lambda: pymssql.OperationalError(1205, b"was deadlocked"),
    "oracledb": lambda: oracle_error(60, "ORA-00060: deadlock detected"),
    "exasol": lambda: ExaFailure("GlobalTransactionRollback", "40001"),
}
LOSSES: dict[str, Callable[[], Exception]] = {
    "mssql": lambda: pymssql.OperationalError(20047, b"DB-Lib error message 20047, DBPROCESS is dead"),
    "oracledb": lambda: oracle_error(3113, "ORA-03113: end-of-file on communication channel"),
}


@pytest.mark.parametrize("driver", CONNECTORS)
async def test_what_a_retry_may_mend_is_a_connection_error(driver: str, server: Server) -> None:
    async with opened(driver) as connector:
        server.errors["UPDATE"] = COLLISIONS[driver]()
        with pytest.raises(StepError, match="met another one") as caught:
            connector.execute("UPDATE t SET n = 1")
        assert "b'" not in caught.value.message
        assert (caught.value.code, caught.value.kind) == ("AF938", "connection")
        if driver in LOSSES:
            server.errors["broken"] = LOSSES[driver]()
            with pytest.raises(StepError, match="was lost") as caught:
                fetch(connector, "SELECT 1 FROM broken")
            assert (caught.value.code, caught.value.kind) == ("AF741", "connection")


async def test_the_settings_of_sql_server_reach_the_driver(server: Server) -> None:
    options = {"timeout": 7, "init_sql": "SET LOCK_TIMEOUT 1000", "connect_args": {"appname": "flow"}}
    async with opened("mssql", **options) as connector:
        fetch(connector, "SELECT 1 FROM orders")
    [login] = server.logins
    assert login.items() >= {"host": "sql.example", "database": "shop", "login_timeout": 7}.items()
    assert login.items() >= {**LOGIN, "appname": "flow"}.items()
    assert ("SET LOCK_TIMEOUT 1000", None) in server.statements
    for option in ("schema", "read_only"):
        with pytest.raises(ConfigError, match=f"has no {option}") as caught:
            async with opened("mssql", **{option: "true"}):
                pass
        assert caught.value.code == "AF936"


async def test_the_settings_of_oracle_reach_the_driver(server: Server) -> None:
    options = {"timeout": 7, "schema": "sales", "pool": {"enabled": True, "size": 2}, "arraysize": 700}
    async with opened("oracledb", **options) as connector:
        assert connector.slots.total_tokens == 12
        assert connector.place == "the oracle database ora.example:1521/shop"
        fetch(connector, "SELECT 1 FROM orders")
    [login] = server.logins
    assert login.items() >= {**LOGIN, "dsn": "ora.example:1521/shop", "tcp_connect_timeout": 7}.items()
    assert ("ALTER SESSION SET CURRENT_SCHEMA = sales", None) in server.statements
    assert "arraysize 700" in server.events
    parts = {"host": "h", "database": "shop", **LOGIN}
    connector = await OracleConnector.open(Resource("far", "db", "oracledb", parts, {"pool_enabled": False}))
    fetch(connector, "SELECT 1 FROM orders")
    fetch(connector, "SELECT 1 FROM orders")
    assert [login["dsn"] for login in server.logins[1:]] == ["h:1521/shop"] * 2


async def test_the_client_of_oracle_is_loaded_from_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[str] = []

    def load(lib_dir: str) -> None:
        folders.append(lib_dir)
        if lib_dir == "/opt/nothing":
            raise oracle_error(0, "DPI-1047: Cannot locate a 64-bit Oracle Client library")

    monkeypatch.setattr(oracledb, "init_oracle_client", load)
    for options in ({"lib_dir": "/opt/a"}, {"oracle": {"lib_dir": "/opt/b"}}):
        async with opened("oracledb", **options):
            pass
    assert folders == ["/opt/a", "/opt/b"]
    with pytest.raises(StepError, match="Oracle's client in /opt/nothing cannot be used") as caught:
        async with opened("oracledb", lib_dir="/opt/nothing"):
            pass
    assert caught.value.code == "AF939"


async def test_the_settings_of_exasol_reach_the_driver(server: Server) -> None:
    async with opened("exasol", timeout=7, init_sql=["ALTER SESSION SET TIME_ZONE='UTC'"]) as connector:
        fetch(
            connector,
            "SELECT * FROM orders WHERE t = :t",
            {"t": datetime.fromisoformat("2026-01-02T03:04:05.000006")},
        )
        with connector.session(StopSwitch(), "autocommit") as session:
            session.run(Query("COMMENT"), 1)
        assert [check.state for check in await _checked(connector, server)] == ["ok", "ok"]
    login = server.logins[0]
    assert login.items() >= {**LOGIN, "dsn": "exa.example:8563", "schema": "SALES"}.items()
    assert (login["connection_timeout"], login["autocommit"]) == (7, False)
    assert server.statements[0][0] == "ALTER SESSION SET TIME_ZONE='UTC'"
    assert server.statements[1][1] == [("2026-01-02 03:04:05.000006",)]
    assert "autocommit True" in server.events
    assert server.events[-1] == "close"


async def test_a_connection_of_exasol_that_cannot_be_set_up_is_closed(server: Server) -> None:
    server.errors["TIME_ZONE"] = ExaFailure("unknown time zone")
    async with opened("exasol", init_sql="ALTER SESSION SET TIME_ZONE='Mars'") as connector:
        with pytest.raises(StepError, match="unknown time zone") as caught:
            fetch(connector, "SELECT 1 FROM orders")
        assert (caught.value.code, caught.value.kind) == ("AF740", "other")
        assert "statement at line 1" in caught.value.message
    assert server.events == ["close"]


async def _checked(connector: SqlConnector, server: Server) -> list[Any]:
    server.answers["exa_all_objects"] = (["count"], [(4,)])
    return await connector.check()


@pytest.mark.parametrize(
    ("driver", "config"),
    [
        ("oracledb", {}),
        ("oracledb", {"dsn": "a", "host": "b"}),
        ("exasol", {}),
        ("exasol", {"dsn": "a", "host": "b"}),
        ("mssql", {"url": "mysql://h/d"}),
    ],
)
async def test_a_config_that_names_no_database_is_an_error(driver: str, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="far") as caught:
        await CONNECTORS[driver].open(Resource("far", "db", driver, config))
    assert caught.value.code == "AF935"


@pytest.mark.parametrize(
    ("connector", "driver", "module", "extra"),
    [
        (MssqlConnector, "mssql", "pymssql", "mssql"),
        (OracleConnector, "oracledb", "oracledb", "oracle"),
        (ExasolConnector, "exasol", "pyexasol", "exasol"),
        (MysqlConnector, "mysql", "pymysql", "mysql"),
        (PostgresConnector, "postgres", "psycopg", "postgres"),
    ],
)
async def test_a_missing_driver_names_the_extra(
    connector: type[SqlConnector], driver: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    config = CONFIGS.get(driver, {"host": "h", "database": "d"})
    with pytest.raises(
        (MissingExtra, StepError), match=f"{module}.*(cannot be imported|not installed)"
    ) as caught:
        await connector.open(Resource("far", "db", driver, config))
    assert f"'aetherflow[{extra}]'" in caught.value.hint
