"""`watermark` of db_extract_stream on each database: which rows are read, and what the next mark is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy
from aetherflow_db.extract_stream import db_extract_stream
from aetherflow_db.query import Query
from aetherflow_db.sql_dialects import MYSQL, ORACLE, POSTGRES, SQLITE, SqlDialect
from aetherflow_db.watermark import Watermark, WatermarkInput

from aetherflow import Mark, StepError
from aetherflow.data_files import ArrowRows, Rows, untyped
from aetherflow.testing import run_step
from tests.cli.command_line import CommandLine
from tests.plugins.db_run import DbRun, Open, opener, resource_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

open_run = opener()
open_sqlite = opener(["sqlite3"])
open_postgres = opener(["postgres"])

TABLE = (
    "CREATE TABLE orders (id int, price numeric(9, 2), label varchar(20), day date, moment timestamp NULL)"
)


async def extracted(run: DbRun, column: str, sql: str = "SELECT * FROM orders", **more: Any) -> list[int]:
    """Extract the rows above the mark of a column, and return their ids."""
    params = more.pop("params", None)
    inputs = {
        "resource": "db",
        "sql": sql,
        "params": params,
        "output": "rows.csv",
        "format": "csv",
        "watermark": {"column": column, "name": column} | more,
    }
    result = await run_step(db_extract_stream, inputs, run)
    lines = (run.context().artifacts / "rows.csv").read_text().splitlines()
    ids = lines[0].split(",").index("id")
    found = [int(line.split(",")[ids]) for line in lines[1:]]
    assert result.outputs["row_count"] == len(found)
    return sorted(found)  # MariaDB leaves out the order of a statement that is a part of another


async def insert(run: DbRun, *numbers: int) -> None:
    """Insert orders of which all columns grow with the number."""
    for number in numbers:
        at = datetime(2026, 1, 1, 12, 0, 0, 250000) + timedelta(minutes=number)  # noqa: DTZ001 - a local time
        values = f"{number}, {number}.50, 'n{number:04}', '{at.date() + timedelta(days=number)}', '{at}'"
        await run.execute(f"INSERT INTO orders VALUES ({values})")


COLUMNS = ("id", "price", "label", "day", "moment")


@pytest.mark.asyncio
async def test_each_run_reads_the_rows_that_the_last_one_had_not(open_run: Open) -> None:
    async with open_run() as run:

        async def each(**more: Any) -> dict[str, list[int]]:
            return {column: await extracted(run, column, **more) for column in COLUMNS}

        await run.execute(TABLE)
        assert await each() == {key: [] for key in COLUMNS}
        assert run.marks == {}

        await insert(run, 1, 2, 3)
        assert await each() == {key: [1, 2, 3] for key in COLUMNS}
        first = dict(run.marks)
        assert await each() == {key: [] for key in COLUMNS}
        assert run.marks == first

        await insert(run, 5, 4)
        assert await each() == {key: [4, 5] for key in COLUMNS}
        assert all(run.marks[column].is_above(first[column]) for column in COLUMNS)
        assert await each() == {key: [] for key in COLUMNS}
        assert await each(inclusive=True) == {key: [5] for key in COLUMNS}
        assert all(run.marks[column].is_above(first[column]) for column in COLUMNS)


@pytest.mark.asyncio
async def test_rows_without_a_value_are_read_when_they_get_one(open_run: Open) -> None:
    async with open_run() as run:
        await run.execute(TABLE)
        await insert(run, 1, 2)
        await run.execute("INSERT INTO orders (id) VALUES (7)")
        assert await extracted(run, "moment") == [1, 2]
        await run.execute("UPDATE orders SET moment = '2026-02-01 00:00:00' WHERE id = 7")
        assert await extracted(run, "moment") == [7]


@pytest.mark.asyncio
async def test_a_statement_may_name_the_mark_itself_beside_its_own_params(open_run: Open) -> None:
    where = "WHERE id > :watermark AND id < :below -- :watermark\n ORDER BY id"
    sql = f"SELECT id, ':watermark' AS said FROM orders {where}"
    async with open_run() as run:
        await run.execute(TABLE)
        await insert(run, 1, 2, 3, 9)
        with pytest.raises(StepError, match="the mark 'id' is not set yet") as refused:
            await extracted(run, "id", sql, params={"below": 9})
        assert refused.value.code == "AF994"
        assert await extracted(run, "id", sql, params={"below": 9}, initial=1) == [2, 3]
        assert await extracted(run, "id", sql, params={"below": 10}, initial=1) == [9]


@pytest.mark.asyncio
async def test_the_first_run_starts_where_the_flow_says(open_run: Open) -> None:
    async with open_run() as run:
        await run.execute(TABLE)
        await insert(run, 1, 2, 3)
        for column, initial in {
            "id": 2,
            "price": 2.5,
            "moment": "2026-01-01 12:02:30",
            "label": "n0002",
        }.items():
            assert await extracted(run, column, initial=initial) == [3]
            assert await extracted(run, column, initial=initial) == []


@pytest.mark.asyncio
async def test_an_overlap_reads_again_what_may_have_come_late(open_run: Open) -> None:
    async with open_run() as run:
        await run.execute(TABLE)
        await insert(run, 1, 2, 10)
        assert await extracted(run, "id", overlap=3) == [1, 2, 10]
        await insert(run, 6, 7, 8)
        assert await extracted(run, "id", overlap=3) == [7, 8, 10]
        assert run.marks["id"].value == 10


EXACT = {
    "bigint": ("9007199254740993", "9007199254740994"),
    "numeric(30, 12)": ("123456789012345678.000000000001", "123456789012345678.000000000002"),
    "double precision": ("0.1", "0.30000000000000004"),
    "timestamp": ("'2026-03-29 02:30:00.000001'", "'2026-03-29 02:30:00.000002'"),
    "timestamptz": ("'2026-10-25 02:30:00.000001+02:00'", "'2026-10-25 02:30:00+01:00'"),
    "date": ("'2026-02-28'", "'2026-03-01'"),
}
"""By type, two values of which the second is the next higher one, or nearly."""


@pytest.mark.asyncio
async def test_marks_are_exact_for_each_type_of_postgresql(open_postgres: Open) -> None:
    async with open_postgres() as run:
        for number, (kind, values) in enumerate(EXACT.items()):
            sql = f"SELECT * FROM t{number}"
            await run.execute(f"CREATE TABLE t{number} (id int, v {kind})")
            for count, value in enumerate(values, 1):
                await run.execute(f"INSERT INTO t{number} VALUES ({count}, {value})")
                assert await extracted(run, "v", sql, name=kind) == [count], kind
                assert await extracted(run, "v", sql, name=kind) == [], kind


@pytest.mark.asyncio
async def test_the_mark_is_found_whatever_is_written(open_run: Open) -> None:
    async with open_run() as run:
        await run.execute(TABLE)
        await insert(run, 1, 3, 2)
        inputs = {"resource": "db", "sql": "SELECT id FROM orders", "output": "rows"}
        for file_format in ("tsv", "jsonl", "parquet"):
            more = {"format": file_format, "watermark": {"column": "id", "name": file_format}}
            result = await run_step(db_extract_stream, inputs | more, run)
            assert result.marks == {file_format: Mark.of(3)}
            assert result.outputs["watermark"] == {"name": file_format, "before": None, "after": "3"}


@pytest.mark.asyncio
async def test_a_failed_write_leaves_the_mark_and_the_file_of_before(open_sqlite: Open) -> None:
    async with open_sqlite() as run:
        await run.execute(TABLE)
        await insert(run, 1)
        await extracted(run, "id")
        file = run.context().artifacts / "rows.csv"
        before = file.read_bytes()
        await insert(run, 2, 3)
        overflow = "CASE id WHEN 3 THEN abs(-9223372036854775807 - 1) END"
        with pytest.raises(StepError):
            await extracted(run, "id", f"SELECT id, {overflow} AS n FROM orders")
        assert (file.read_bytes(), run.marks) == (before, {"id": Mark.of(1)})
        assert await extracted(run, "id") == [2, 3]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sql", "options", "code"),
    [
        ("SELECT id FROM orders", {"column": "nix"}, "AF740"),
        ("SELECT id FROM orders WHERE id > :watermark", {"column": "nix", "initial": 0}, "AF993"),
        ("SELECT id, id FROM orders WHERE id > :watermark", {"column": "id", "initial": 0}, "AF993"),
        ("SELECT id FROM orders", {"column": "id", "initial": "x", "type": "int"}, "AF706"),
        ("SELECT 1 AS id UNION ALL SELECT 'x'", {"column": "id"}, "AF992"),
        ("SELECT 1e999 AS id", {"column": "id"}, "AF990"),
    ],
)
async def test_what_cannot_be_a_watermark_is_an_error(
    open_sqlite: Open, sql: str, options: dict[str, Any], code: str
) -> None:
    inputs = {"resource": "db", "sql": sql, "output": "rows.csv", "format": "csv", "watermark": options}
    async with open_sqlite() as run:
        await run.execute(TABLE)
        await insert(run, 1)
        with pytest.raises(StepError) as refused:
            await run_step(db_extract_stream, inputs, run)
    assert refused.value.code == code
    assert refused.value.hint


@pytest.mark.asyncio
async def test_an_instance_of_a_mapped_job_needs_a_mark_with_a_name(open_sqlite: Open) -> None:
    inputs = {"resource": "db", "sql": "SELECT 1 AS id", "output": "rows.csv", "watermark": {"column": "id"}}
    async with open_sqlite() as run:
        with pytest.raises(StepError, match="each item needs a mark of its own") as refused:
            await run_step(db_extract_stream, inputs, run.context(job_id="each[0]"))
    assert refused.value.code == "AF996"


SQL = "SELECT a FROM t"


@pytest.mark.parametrize(
    ("dialect", "sql", "column", "name"),
    [
        (POSTGRES, f"{SQL};\n", "a", '"a"'),
        (SQLITE, f"{SQL} -- x", 'a"b', '"a""b"'),
        (MYSQL, SQL, "a`b", "`a``b`"),
        (ORACLE, SQL, "a", '"A"'),
    ],
)
def test_a_statement_without_the_mark_is_put_into_one_that_compares_the_column(
    dialect: SqlDialect, sql: str, column: str, name: str
) -> None:
    bare = sql.rstrip().rstrip(";")
    expected = f"SELECT * FROM (\n{bare}\n) aetherflow_rows WHERE aetherflow_rows.{name} > :watermark"
    watermark = Watermark(WatermarkInput(column), "m", Mark.of(7))
    assert watermark.bounded(Query(sql), dialect) == Query(expected, {"watermark": 7}, line=0)
    assert watermark.bounded(Query(sql, {"x": 1}), dialect).params == {"x": 1, "watermark": 7}
    in_order = watermark.bounded(Query(sql, [1]), dialect)
    assert in_order == Query(expected.replace(":watermark", "?"), [1, 7], line=0)


@pytest.mark.parametrize("params", [{"watermark": 1}, [1]])
def test_params_that_do_not_go_with_the_mark_are_refused(params: Any) -> None:
    watermark = Watermark(WatermarkInput("a"), "m", Mark.of(7))
    with pytest.raises(StepError, match="the mark cannot be bound") as refused:
        watermark.bounded(Query(f"{SQL} WHERE a > :watermark", params), SQLITE)
    assert refused.value.code == "AF998"


@pytest.mark.parametrize(
    ("value", "overlap", "lower"),
    [
        (100, 2.5, 97),
        (Decimal("100.25"), 0.5, Decimal("99.75")),
        (1.5, 0.5, 1.0),
        (datetime(2026, 1, 1, tzinfo=UTC), 300, datetime(2025, 12, 31, 23, 55, tzinfo=UTC)),
        (date(2026, 1, 3), 90_000, date(2026, 1, 1)),
    ],
)
def test_an_overlap_is_subtracted_from_the_stored_mark_only(value: Any, overlap: float, lower: Any) -> None:
    assert Watermark(WatermarkInput("a", overlap=overlap), "m", Mark.of(value)).lower == lower
    assert Watermark(WatermarkInput("a", initial=5, overlap=overlap), "m", None).lower == 5


def test_an_overlap_of_a_text_is_refused() -> None:
    with pytest.raises(StepError, match="cannot be subtracted from the mark x") as refused:
        Watermark(WatermarkInput("a", overlap=1), "m", Mark.of("x"))
    assert refused.value.code == "AF995"


@pytest.mark.parametrize(
    ("kind", "values", "highest"),
    [
        (pa.int64(), [3, None, 2**60 + 1], 2**60 + 1),
        (pa.decimal128(20, 2), [Decimal("1.50"), Decimal("1.49")], Decimal("1.50")),
        (pa.string(), ["a", "B", None], "a"),
        (pa.date32(), [date(2026, 1, 1), date(2026, 1, 2)], date(2026, 1, 2)),
        (pa.timestamp("us", "UTC"), [NOON, NOON + timedelta(1)], NOON + timedelta(1)),
        (pa.timestamp("ns", "UTC"), [1_000_000_001, 2_000_000_999], NOON.fromtimestamp(2, UTC)),
        (pa.float64(), [1.5, float("nan")], 1.5),
        (pa.int64(), [None, None], None),
    ],
)
def test_the_highest_value_of_record_batches_is_found(kind: Any, values: list[Any], highest: Any) -> None:
    batches = [pa.record_batch([pa.array([value], kind)], names=["A"]) for value in values]
    batches.append(pa.record_batch([pa.array(values, kind)], names=["A"]))
    watermark = Watermark(WatermarkInput("a"), "m", None)
    seen = watermark.watch(ArrowRows(untyped(["A"]), iter(batches)))
    assert list(seen.batches) == batches
    assert watermark.moved == ({} if highest is None else {"m": Mark.of(highest)})


def test_values_that_are_no_number_are_passed_over() -> None:
    watermark = Watermark(WatermarkInput("A"), "m", None)
    batches: list[list[tuple[float | None]]] = [[(float("nan"),), (2.5,)], [(None,)], [(float("nan"),)]]
    seen = watermark.watch(Rows(untyped(["a"]), iter(batches)))
    assert len(list(seen.batches)) == 3
    assert watermark.moved == {"m": Mark.of(2.5)}


KILLER = """
import os, pathlib
from aetherflow import step
from aetherflow.store import journal

@step("arm")
def arm(context, inputs: dict):
    pass  # the flow uses it, so that this file is imported

moved, once = journal.move_marks, pathlib.Path(__file__).with_suffix(".killed")

def move_and_die(raw, moves):
    moved(raw, moves)
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), 9)

journal.move_marks = move_and_die
"""
FLOW = """version: 1
flow: {{id: nightly}}
resources:
  shop: {{kind: db, driver: sqlalchemy, config: {{url: "{url}"}}}}
jobs:
  - id: load
    steps:
      - {{id: arm, type: arm}}
      - id: orders
        type: db_extract_stream
        inputs:
          resource: shop
          sql: SELECT id FROM orders
          output: {folder}/orders.csv
          format: csv
          watermark: {{column: id}}
"""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_run_that_is_killed_in_the_commit_of_its_success_reads_the_rows_again(
    cli: CommandLine, database: str, request: pytest.FixtureRequest
) -> None:
    _, resource = resource_of(database, cli.folder, request)
    engine = sqlalchemy.create_engine(resource.config["url"])
    with engine.begin() as shop:
        shop.execute(sqlalchemy.text("CREATE TABLE orders (id int)"))
        shop.execute(sqlalchemy.text("INSERT INTO orders VALUES (1), (2)"))
    cli.write("flow.yaml", FLOW.format(url=resource.config["url"], folder=cli.folder / "work"))
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.write("killer.py", KILLER))
    cli.env["AETHERFLOW_STRICT_SANDBOX"] = "false"

    assert cli.run("run", "flow.yaml", "--run-id", "r").code == -9
    assert (cli.folder / "work/orders.csv").read_text() == "id\n1\n2\n"
    assert cli.query("SELECT count(*) FROM marks") == [(0,)]
    with engine.begin() as shop:
        shop.execute(sqlalchemy.text("INSERT INTO orders VALUES (3)"))
    retried = cli.run("runs", "retry", "r")
    assert (retried.code, "; mark load.orders: none -> 3\n" in retried.err) == (0, True), retried
    assert (cli.folder / "work/orders.csv").read_text() == "id\n1\n2\n3\n"
    assert "reads id above 3, mark load.orders" in cli.run("run", "flow.yaml").err
    assert (cli.folder / "work/orders.csv").read_text() == "id\n"
    engine.dispose()
