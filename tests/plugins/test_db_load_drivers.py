"""db_load over the ways of single drivers: DuckDB itself, and doubles of those that no test machine has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aetherflow_db.bulk_insert import Target, inserter
from aetherflow_db.column_mapping import Mapped
from aetherflow_db.driver import Cause, Driver
from aetherflow_db.load_file import Loaded, Loading, load_file
from aetherflow_db.query import Query
from aetherflow_db.row_errors import Source
from aetherflow_db.session import Session
from aetherflow_db.sql_dialects import EXASOL, MSSQL, ORACLE
from aetherflow_db.table_columns import TableColumn, table_columns
from aetherflow_db.transaction import Transaction
from aetherflow_db.upsert import merge, stage_of

from aetherflow import StepError
from aetherflow.data_files import Dialect, FileFormat
from aetherflow.testing import FakeRun

TABLE = """CREATE TABLE orders (id INTEGER PRIMARY KEY, item VARCHAR NOT NULL, price DECIMAL(8, 2), day DATE,
  paid BOOLEAN, note VARCHAR DEFAULT 'none')"""


def other(_error: Exception, _raw: Any) -> Cause:
    return "other"


class Shared:
    """A connection of DuckDB whose cursors are the connection: its own are connections of their own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Shared:
        return self

    def close(self) -> None:
        """Stay open."""


@pytest.fixture
def duck() -> Iterator[Transaction]:
    connection = duckdb.connect(":memory:")
    connection.execute(TABLE)
    connection.begin()
    driver = Driver("duckdb", (duckdb.Error,), other, "dollar")
    yield Transaction(Session("shop", "a file", "duckdb", driver, Shared(connection), "write"), "shop")
    connection.close()


def load(
    folder: Path, transaction: Transaction, text: str, file_format: FileFormat = "csv", **changes: Any
) -> Loaded:
    path = folder / f"orders.{file_format}"
    path.write_text(text)
    given: dict[str, Any] = {"mode": "append", "keys": [], "renamed": {}, "extra": "error", "min_rows": 0}
    dialect = Dialect() if file_format == "csv" else None
    loading = Loading(
        path=path,
        file_format=file_format,
        compression=None,
        dialect=dialect,
        table="orders",
        **(given | changes),
    )
    return load_file(FakeRun(folder).context(), transaction, loading)


def test_duckdb_gets_arrow_tables(duck: Transaction, tmp_path: Path) -> None:
    text = 'id,item,price,day,paid\n1,pen,1.50,2026-01-31,true\n2,"",,,\n'
    assert load(tmp_path, duck, text) == Loaded(2, 2, 0, 0)
    lines = '{"id": 2, "item": "ink", "price": 12.5, "paid": false}\n{"id": 3, "item": "x"}\n'
    assert load(tmp_path, duck, lines, "jsonl", mode="upsert", keys=["ID"]) == Loaded(2, 1, 1, 0)
    rows = duck.fetch(Query("SELECT id, item, price::DOUBLE, paid, note FROM orders ORDER BY id"))
    assert rows == [
        (1, "pen", 1.5, True, "none"),
        (2, "ink", 12.5, False, "none"),
        (3, "x", None, None, "none"),
    ]
    assert load(tmp_path, duck, text, mode="replace") == Loaded(2, 2, 0, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,item\n1,pen\nx,ink\n", "row 2, column 'id': the value 'x' is no int"),
        ("id,item\n1,pen\n2,\n", "row 2, column 'item': it has no value"),
        ("id,item\n1,pen\n1,ink\n", "rows 1 to 2: Constraint Error"),
        ("id,item\n99999999999,pen\n", "row 1"),
    ],
)
def test_what_does_not_fit_duckdb_is_named(
    duck: Transaction, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(StepError, match="orders") as caught:
        load(tmp_path, duck, text)
    assert message in caught.value.message
    assert caught.value.code == "AF923"


class Cursor:
    """Notes what it is given; a query of a catalog returns the columns of one table."""

    def __init__(self, said: list[tuple[str, Any]], catalog: list[tuple[Any, ...]]) -> None:
        self._said = said
        self._catalog = catalog
        self.description: Any = None
        self.rowcount = -1
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str, params: Any = None) -> None:
        self._said.append((" ".join(sql.split()), params))
        is_catalog = "all_tab_cols" in sql or "sys.columns" in sql or "exa_all_columns" in sql
        self._rows = (
            list(self._catalog)
            if is_catalog
            else [(1,)]
            if "count(*) FROM" in sql and "IS NULL" not in sql
            else []
        )
        if sql.lstrip().startswith("SELECT") and " INTO " not in sql:
            self.description = [("x",)]
            if "IS NULL" in sql:
                self._rows = [(0,)]
            if "times" in sql:
                self._rows = []

    def executemany(self, sql: str, rows: Any) -> None:
        self._said.append((sql, list(rows)))

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        found, self._rows = self._rows[:count], self._rows[count:]
        return found

    def close(self) -> None:
        """Nothing is open."""


class Connection:
    """A connection of a driver that is not installed."""

    def __init__(self, catalog: list[tuple[Any, ...]]) -> None:
        self.said: list[tuple[str, Any]] = []
        self._catalog = catalog

    def cursor(self) -> Cursor:
        return Cursor(self.said, self._catalog)


CATALOG = [("ID", "NUMBER(9,0)", 0, None, 0), ("ITEM", "VARCHAR2", 1, None, 0), ("DAY", "DATE", 1, None, 0)]


def opened(dialect: str, style: Any) -> tuple[Connection, Transaction]:
    connection = Connection(CATALOG)
    driver = Driver("double", (ValueError,), other, style)
    return connection, Transaction(Session("shop", "there", dialect, driver, connection, "write"), "shop")


def target(columns: list[TableColumn]) -> Target:
    mapped = [Mapped(index, one.column, one) for index, one in enumerate(columns[:2])]
    return Target(Source("f.csv", "t"), "T", mapped)


@pytest.mark.parametrize(
    ("dialect", "style", "expected"),
    [
        ("oracle", "named", 'INSERT INTO T ("ID", "ITEM") VALUES (:1, :2)'),
        ("mssql", "pyformat", "INSERT INTO T ([ID], [ITEM]) VALUES (%s, %s), (%s, %s)"),
        ("exa", "qmark", 'INSERT INTO T ("ID", "ITEM") VALUES (?, ?), (?, ?)'),
    ],
)
def test_databases_without_a_server_here_get_their_own_sql(dialect: str, style: Any, expected: str) -> None:
    connection, transaction = opened(dialect, style)
    columns = table_columns(transaction, "sales.t")
    assert [one.column.kind for one in columns[:2]] == ["decimal", "string"]
    assert columns[0].is_required
    assert transaction.dialect in {ORACLE, MSSQL, EXASOL}
    inserter(transaction, target(columns))([(number, "x") for number in range(50)])
    assert connection.said[-1][0].startswith(expected)
    stage = stage_of(transaction, target(columns))
    merge(transaction, target(columns), stage, target(columns).columns[:1])
    said = [sql for sql, _ in connection.said]
    changes = [sql for sql in said if sql.startswith(("UPDATE", "MERGE"))]
    assert len(changes) == 1
    assert ("MERGE" in changes[0]) == (dialect != "mssql")
    assert said[-1] == f"DROP TABLE {stage.table}"


def test_exasol_gets_rows_by_its_own_import() -> None:
    connection, transaction = opened("exa", "qmark")
    given: list[Any] = []
    connection.import_from_iterable = lambda *args, **more: given.append((args, more))  # type: ignore[attr-defined]
    inserter(transaction, target(table_columns(transaction, "t")))([(1, "x")])
    assert given == [(([(1, "x")], "T"), {"import_params": {"columns": ['"ID"', '"ITEM"']}})]
