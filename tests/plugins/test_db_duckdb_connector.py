"""db:duckdb: one database for the run, a connection for each query."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aetherflow_db.duckdb_connector import DuckDbConnector
from aetherflow_db.query import Query

from aetherflow import ConfigError, MissingExtra, Resource, StepError, StopSwitch

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def opened(options: dict[str, Any] | None = None, **config: Any) -> AsyncIterator[DuckDbConnector]:
    connector = await DuckDbConnector.open(Resource("lake", "db", "duckdb", config, options or {}))
    try:
        yield connector
    finally:
        await connector.aclose()


def fetch(connector: DuckDbConnector, sql: str, params: Any = None) -> list[Sequence[Any]]:
    with connector.rows(Query(sql, params), 3, StopSwitch()) as rows:
        return [tuple(row) for batch in rows.batches for row in batch]


async def test_steps_of_a_run_share_a_database_in_memory() -> None:
    async with opened() as connector:
        assert connector.execute("CREATE TABLE t (n int)") == -1
        assert connector.execute("INSERT INTO t VALUES (:a), (:b)", {"a": 1, "b": 2}) == 2
        assert connector.execute("UPDATE t SET n = n + ? WHERE n = ?", [10, 2]) == 1
        assert fetch(connector, "SELECT n FROM t WHERE n >= $least ORDER BY n", {"least": 1}) == [(1,), (12,)]
        columns, rows, types = connector.fetchmany("SELECT n, n || 'x' AS t FROM t", fetch_size=1)
        assert (columns, list(rows), types) == (["n", "t"], [(1, "1x"), (12, "12x")], [int, str])
        assert connector.fetchall("SELECT 1 AS a")[1] == [(1,)]
    async with opened() as connector:
        assert fetch(connector, "SELECT count(*) FROM duckdb_tables()") == [(0,)]


async def test_rows_come_in_batches_with_their_columns() -> None:
    async with opened() as connector:
        with connector.rows(Query("SELECT range AS n FROM range(7)"), 3, StopSwitch()) as rows:
            assert rows.names == ("n",)
            assert [len(batch) for batch in rows.batches] == [3, 3, 1]


async def test_what_is_not_committed_is_rolled_back_and_reading_changes_nothing(tmp_path: Path) -> None:
    async with opened(path=str(tmp_path / "new/lake.duckdb")) as connector:
        connector.execute("CREATE TABLE t (n int)")
        with connector.session(StopSwitch(), "write") as session:
            assert session.run(Query("INSERT INTO t VALUES (1)"), 10).row_count == 1
        with connector.session(StopSwitch(), "autocommit") as session:
            session.run(Query("INSERT INTO t VALUES (2)"), 10)
        with pytest.raises(StepError, match="writes, and this step only reads"):
            fetch(connector, "INSERT INTO t VALUES (3) RETURNING n")
        with pytest.raises(StepError, match="returns no rows"):
            fetch(connector, "SET threads = 1")
        assert fetch(connector, "SELECT n FROM t") == [(2,)]


async def test_a_query_is_interrupted() -> None:
    async with opened() as connector:
        switch, done = StopSwitch(), threading.Event()

        def press() -> None:
            while not done.wait(0.1):  # again and again, as a step does: a press is lost while nothing runs
                switch()

        presser = threading.Thread(target=press, daemon=True)
        presser.start()
        sql = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range + b.range) = 1"
        with (
            pytest.raises(StepError, match=r"(?i)interrupt"),
            connector.rows(Query(sql), 10, switch) as rows,
        ):
            list(rows.batches)
        done.set()
        presser.join()
        assert fetch(connector, "SELECT 1") == [(1,)]


async def test_options_set_up_the_database(tmp_path: Path) -> None:
    file = tmp_path / "lake.duckdb"
    with duckdb.connect(str(file)) as made:
        made.execute("CREATE SCHEMA sales; CREATE TABLE sales.t (n int); INSERT INTO sales.t VALUES (7)")
    options = {
        "pragmas": {"threads": 1, "memory_limit": "500MB", "preserve_insertion_order": True},
        "schema": "sales",
        "init_sql": ["SET VARIABLE day = 'monday'"],
    }
    async with opened(options, url=f"duckdb:///{file}", read_only="true") as connector:
        sql = "SELECT n, current_setting('threads'), getvariable('day') FROM t"
        assert fetch(connector, sql) == [(7, 1, "monday")]
        with pytest.raises(StepError, match="read-only mode") as caught:
            connector.execute("INSERT INTO t VALUES (8)")
        assert caught.value.code == "AF742"
        [check, *_] = await connector.check()
        assert (check.state, check.message) == ("ok", "1 tables and views can be seen")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"init_sql": ["SET threads = 1", "SELECT 1\n  FROM nope"]}, r"line 2, column 8\)\n    FROM nope\n"),
        ({"pragmas": {"memry_limit": "1GB"}}, r"statement at line 1\)\nstatement:\n  SET memry_limit"),
    ],
)
async def test_a_first_statement_that_fails_is_no_lost_connection(options: Any, where: str) -> None:
    async with opened(options) as connector:
        with pytest.raises(StepError, match=rf"\(options, {where}") as caught:
            fetch(connector, "SELECT 1")
    assert (caught.value.code, caught.value.kind) == ("AF740", "other")


async def test_an_extension_that_cannot_be_loaded_is_a_warning() -> None:
    async with opened({"extensions": ["json", "no_such_extension"]}) as connector:
        with pytest.warns(UserWarning, match="the extension no_such_extension cannot be loaded"):
            assert fetch(connector, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "said"), [("SELEKT 1", "syntax error"), ("SELECT * FROM nope", "nope"), ("SELECT :a, :b", ":b")]
)
async def test_a_statement_that_fails_says_what_duckdb_says(sql: str, said: str) -> None:
    async with opened() as connector:
        with pytest.raises(StepError, match=said) as caught:
            fetch(connector, sql, {"a": 1})
        assert (caught.value.code, caught.value.kind) == ("AF740", "other")


async def test_two_transactions_in_each_others_way_are_worth_a_retry() -> None:
    async with opened() as connector:
        connector.execute("CREATE TABLE t (n int)")
        connector.execute("INSERT INTO t VALUES (1)")
        update = Query("UPDATE t SET n = n + 1")
        with connector.session(StopSwitch(), "write") as first:
            first.run(update, 10)
            with (
                pytest.raises(StepError, match="met another one") as caught,
                connector.session(StopSwitch(), "write") as second,
            ):
                second.run(update, 10)
        assert (caught.value.code, caught.value.kind) == ("AF938", "connection")


async def test_a_file_that_cannot_be_used_is_a_connection_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are no blocks of a database " * 200)
    for path in (tmp_path, tmp_path / "notes.txt"):
        async with opened(path=str(path)) as connector:
            with pytest.raises(StepError, match="cannot use the DuckDB database") as caught:
                fetch(connector, "SELECT 1")
            assert (caught.value.code, caught.value.kind) == ("AF741", "connection")
    async with opened(path=str(tmp_path / "absent.duckdb")) as connector:
        [check, *_] = await connector.check()
        assert check.state == "warning"
    assert not (tmp_path / "absent.duckdb").exists()


async def test_wrong_settings_and_a_missing_package_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for config in ({"path": "a", "url": "duckdb:///b"}, {"url": "sqlite:///b"}, {"paht": "a"}):
        with pytest.raises(ConfigError, match="lake"):
            await DuckDbConnector.open(Resource("lake", "db", "duckdb", config))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtra) as caught:
        await DuckDbConnector.open(Resource("lake", "db", "duckdb"))
    assert caught.value.hint == "pip install 'aetherflow[duckdb]'"
