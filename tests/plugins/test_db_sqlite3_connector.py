"""db:sqlite3 against real files."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aetherflow_db.query import Query
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import AetherFlowError, ConfigError, Resource, StepError, StopSwitch


def resource(**config: Any) -> Resource:
    return Resource(name="shop", kind="db", driver="sqlite3", config=config)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(n, f"item {n}") for n in range(1, 8)])
    connection.close()
    return path


def fetch(
    connector: Sqlite3Connector, sql: str, params: Any = None, size: int = 3
) -> list[list[Sequence[Any]]]:
    with connector.rows(Query(sql, params), size, StopSwitch()) as rows:
        return [list(batch) for batch in rows.batches]


@pytest.mark.asyncio
async def test_rows_come_in_batches_with_their_column_names(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    query = Query("SELECT id, item AS what FROM orders ORDER BY id")
    with connector.rows(query, 3, StopSwitch()) as rows:
        assert rows.names == ("id", "what")
        assert [[row[0] for row in batch] for batch in rows.batches] == [[1, 2, 3], [4, 5, 6], [7]]
    await connector.aclose()


@pytest.mark.asyncio
async def test_parameters_are_named_or_positional_and_never_sql(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    evil = "x'; DROP TABLE orders; --"
    assert fetch(connector, "SELECT :v", {"v": evil}) == [[(evil,)]]
    assert fetch(connector, "SELECT ?, ?", [evil, 2]) == [[(evil, 2)]]
    assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["path", "database", "url"])
async def test_the_folder_is_made_as_sqlite_makes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    prefix = "sqlite:///" if key == "url" else ""
    connector = await Sqlite3Connector.open(resource(**{key: f"{prefix}demo_state/deep/demo.sqlite"}))
    assert names(tmp_path) == []
    assert fetch(connector, "SELECT 1") == [[(1,)]]
    assert (tmp_path / "demo_state/deep/demo.sqlite").is_file()


@pytest.mark.asyncio
@pytest.mark.parametrize("path", [":memory:", "file:missing/shop.sqlite?mode=ro"])
async def test_no_folder_is_made_for_memory_and_file_uris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    connector = await Sqlite3Connector.open(resource(path=path))
    with nullcontext() if path == ":memory:" else pytest.raises(StepError, match="unable to open"):
        fetch(connector, "SELECT 1")
    await connector.aclose()
    assert names(tmp_path) == []


@pytest.mark.asyncio
async def test_a_file_uri_is_opened_as_it_says(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=f"file:{database}?mode=ro"))
    assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_made_is_a_connection_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    connector = await Sqlite3Connector.open(resource(path=str(tmp_path / "file" / "shop.sqlite")))
    with pytest.raises(StepError, match="cannot use the folder") as caught:
        fetch(connector, "SELECT 1")
    assert (caught.value.code, caught.value.kind) == ("AF741", "connection")


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_opened_is_a_connection_error(tmp_path: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(tmp_path)))
    with pytest.raises(StepError, match=r"resource 'shop': .*unable to open database file") as caught:
        fetch(connector, "SELECT 1")
    assert (caught.value.code, caught.value.kind) == ("AF741", "connection")


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_is_a_connection_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are no pages of a b-tree " * 100)
    connector = await Sqlite3Connector.open(resource(path=str(tmp_path / "notes.txt")))
    with pytest.raises(StepError, match="file is not a database") as caught:
        fetch(connector, "SELECT * FROM orders")
    assert (caught.value.code, caught.value.kind) == ("AF741", "connection")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sql", "params", "said"),
    [
        ("SELECT * FROM does_not_exist", None, "no such table: does_not_exist"),
        ("SELEKT 1", None, 'near "SELEKT": syntax error'),
        ("SELECT 1\n FROM nope", None, r"nope \(line 2, column 7\)"),
        ("SELECT :day", {}, "Incorrect number of bindings|did not supply a value"),
        ("SELECT ?", [2**70], "too large"),
        ("SELECT 1; SELECT 2", None, "one statement at a time"),
    ],
)
async def test_a_statement_that_fails_says_what_the_driver_says(
    database: Path, sql: str, params: Any, said: str
) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    with pytest.raises(StepError, match=f"failed on resource 'shop': .*({said})") as caught:
        fetch(connector, sql, params)
    assert caught.value.code == "AF740"
    assert caught.value.kind == "other"
    assert caught.value.detail == {"resource": "shop", "sql": sql}
    assert caught.value.hint


@pytest.mark.asyncio
async def test_a_failure_in_a_later_batch_is_reported_the_same_way(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    sql = "SELECT CASE id WHEN 6 THEN abs(-9223372036854775807 - 1) ELSE id END FROM orders"
    with pytest.raises(StepError, match="integer overflow") as caught:
        fetch(connector, sql)
    assert caught.value.code == "AF740"


@pytest.mark.asyncio
async def test_a_long_statement_is_shortened_in_the_detail(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    with pytest.raises(StepError) as caught:
        fetch(connector, f"SELECT {'1, ' * 1000} FROM")
    assert len(caught.value.detail["sql"]) == 500
    assert caught.value.detail["sql"].endswith("...")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders (item) VALUES ('new')",
        "INSERT INTO orders (item) VALUES ('new') RETURNING id",
        "DELETE FROM orders",
        "DROP TABLE orders",
        "BEGIN",
        "-- nothing",
    ],
)
async def test_a_statement_that_is_no_query_is_refused_and_changes_nothing(database: Path, sql: str) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    with pytest.raises(
        StepError, match=r"resource 'shop' (writes, and this step only reads|returns no rows)"
    ) as caught:
        fetch(connector, sql)
    assert caught.value.code == "AF742"
    assert fetch(connector, "SELECT count(*) FROM orders") == [[(7,)]]


@pytest.mark.asyncio
async def test_a_locked_file_is_waited_for_as_long_as_the_options_say(database: Path) -> None:
    locked = Resource("shop", "db", "sqlite3", {"path": str(database)}, {"timeout_seconds": "0.05"})
    connector = await Sqlite3Connector.open(locked)
    writer = sqlite3.connect(database, isolation_level=None)
    try:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StepError, match="database is locked") as caught:
            fetch(connector, "SELECT * FROM orders")
    finally:
        writer.close()
    assert (caught.value.code, caught.value.kind) == ("AF740", "timeout")
    assert "timeout_seconds" in caught.value.hint


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (resource(), "needs one of config.path"),
        (resource(path=""), "needs one of config.path"),
        (resource(path="a", database="b"), "needs one of config.path"),
        (resource(url="postgresql://h/d"), "no SQLite URL"),
        (resource(url="sqlite:///"), "no SQLite URL"),
        (resource(paht="a"), "config: Object contains unknown field `paht`"),
        (
            Resource("shop", "db", "sqlite3", {"path": "a"}, {"timeout_second": 1}),
            "options: .*unknown field `timeout_second`",
        ),
    ],
)
async def test_wrong_settings_are_reported_when_the_resource_is_opened(wrong: Resource, said: str) -> None:
    with pytest.raises(ConfigError, match=f"'shop'.*{said}"):
        await Sqlite3Connector.open(wrong)


@pytest.mark.asyncio
async def test_two_queries_run_on_connections_of_their_own(database: Path) -> None:
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    query = Query("SELECT id FROM orders ORDER BY id")
    with connector.rows(query, 2, StopSwitch()) as one, connector.rows(query, 5, StopSwitch()) as two:
        assert [len(batch) for batch in two.batches] == [5, 2]
        assert [len(batch) for batch in one.batches] == [2, 2, 2, 1]


@pytest.mark.asyncio
async def test_every_connection_is_closed(database: Path) -> None:
    """A file that nobody has open can be locked exclusively at once."""
    connector = await Sqlite3Connector.open(resource(path=str(database)))
    with connector.rows(Query("SELECT id FROM orders"), 1, StopSwitch()) as rows:
        next(rows.batches)
    with pytest.raises(AetherFlowError):
        fetch(connector, "SELECT * FROM nothing")
    writer = sqlite3.connect(database, timeout=0, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.close()


def test_a_switch_interrupts_only_while_it_is_armed() -> None:
    pressed: list[str] = []
    switch = StopSwitch()
    switch()
    with switch.armed(lambda: pressed.append("now")):
        switch()
        switch()
    switch()
    with switch.armed(None):
        switch()
    assert pressed == ["now", "now"]


@pytest.mark.asyncio
async def test_a_database_in_memory_lasts_as_long_as_its_run() -> None:
    connector = await Sqlite3Connector.open(resource(path=":memory:"))
    connector.execute("CREATE TABLE t (n)")
    connector.execute("INSERT INTO t VALUES (:n)", {"n": 1})
    with pytest.raises(StepError):
        fetch(connector, "SELECT * FROM nope")
    assert fetch(connector, "SELECT n FROM t") == [[(1,)]]
    assert connector.slots.total_tokens == 1
    await connector.aclose()


@pytest.mark.asyncio
async def test_options_set_up_each_connection(database: Path) -> None:
    options = {
        "pragmas": {"cache_size": -500, "recursive_triggers": True, "temp_store": "MEMORY"},
        "init_sql": "CREATE TEMP TABLE day AS SELECT 'monday' AS name",
        "timeout": "1s",
        "read_only": "true",
        "connect_args": {"cached_statements": 5},
    }
    connector = await Sqlite3Connector.open(
        Resource("shop", "db", "sqlite3", {"path": str(database)}, options)
    )
    assert fetch(connector, "SELECT name FROM day") == [[("monday",)]]
    for pragma, value in (("cache_size", -500), ("recursive_triggers", 1), ("temp_store", 2)):
        assert fetch(connector, f"PRAGMA {pragma}") == [[(value,)]]
    with pytest.raises(StepError, match="readonly database") as caught:
        connector.execute("DELETE FROM orders")
    assert caught.value.code == "AF742"


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Sqlite3Connector, SqlAlchemyConnector])
async def test_a_file_that_is_only_read_is_not_made(tmp_path: Path, kind: type[Any]) -> None:
    file = tmp_path / "gone" / "shop.sqlite"
    config = {"url": f"sqlite:///{file}"}
    connector = await kind.open(Resource("shop", "db", "any", config, {"read_only": True}))
    with pytest.raises(StepError, match="it does not exist, and read_only does not make it") as caught:
        fetch(connector, "SELECT 1")
    assert caught.value.code == "AF741"
    assert names(tmp_path) == []


@pytest.mark.asyncio
async def test_init_sql_that_fails_is_reported_with_its_text(database: Path) -> None:
    options = {"init_sql": ["SELECT 1", "SELEKT 2"]}
    connector = await Sqlite3Connector.open(
        Resource("shop", "db", "sqlite3", {"path": str(database)}, options)
    )
    with pytest.raises(StepError, match="SELEKT 2"):
        fetch(connector, "SELECT 1")
