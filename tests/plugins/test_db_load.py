"""db_load: files into tables, in one transaction, on every database that can run here."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aetherflow_db.load import DbLoadInput, DbLoadOutput, db_load
from aetherflow_db.sqlalchemy_connector import SqlAlchemyConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError
from aetherflow.data_files import import_zstd
from aetherflow.events.run_events import Event, StepProgress
from aetherflow.sdk.blocking import current_call
from tests.plugins.db_run import DbRun, Open, opener
from tests.servers.postgres import Postgres
from tests.servers.tcp_proxy import TcpProxy

a_run = opener()
one_run = opener(["sqlite3"])
postgres_run = opener(["postgres"])
read_or_copied = opener(["sqlite3", "postgres"])

TABLE = """CREATE TABLE orders (
  id INTEGER NOT NULL PRIMARY KEY, item VARCHAR(20), price DECIMAL(8, 2), day DATE, moment TIMESTAMP NULL,
  rate DOUBLE PRECISION, paid BOOLEAN, note VARCHAR(20) DEFAULT 'none')"""
CSV = """\
id,item,price,day,moment,rate,paid
1,"pen, red",1.50,2026-01-31,2026-01-31 10:30:00,0.25,true
2,"say ""hi\"\"
there",20,2026-02-01,,1e3,false
3,"",,,,,
4,Zoë,0.01,2026-02-03,2026-02-03T00:00:00,-1.5,1
"""
ROWS = [
    (1, "pen, red", 1.5),
    (2, 'say "hi"\nthere', 20),
    (3, "", None),
    (4, "Zoë", 0.01),
]
RECORDS: list[dict[str, Any]] = [
    {"id": 1, "item": "pen, red", "price": "1.50", "day": "2026-01-31", "paid": True, "rate": 0.25},
    {"id": 2, "item": 'say "hi"\nthere', "price": 20, "day": None, "paid": False, "rate": 1000},
    {"id": 3, "item": "", "price": None},
    {"id": 4, "item": "Zoë", "price": 0.01, "rate": None},
]


def parquet(path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2, 3, 4]),
            "item": pa.array([row[1] for row in ROWS]),
            "price": pa.array([Decimal("1.50"), Decimal(20), None, Decimal("0.01")]),
            "day": pa.array([date(2026, 1, 31), date(2026, 2, 1), None, None]),
            "moment": pa.array([datetime(2026, 1, 31, 10, 30), None, None, None]),  # noqa: DTZ001 - no zone
            "paid": pa.array([True, False, None, True]),
        }
    )
    pq.write_table(table, path)


def write_file(folder: Path, name: str) -> str:
    path = folder / name
    match name.removeprefix("orders."):
        case "csv":
            path.write_text(CSV, encoding="utf-8")
        case "csv.gz":
            path.write_bytes(gzip.compress(CSV.encode()))
        case "csv.zst":
            path.write_bytes(import_zstd().compress(CSV.encode()))
        case "tsv":
            text = 'id\titem\tprice\n1\tpen, red\t1.50\n2\t"say ""hi""\nthere"\t20\n3\t""\t\n4\tZoë\t0.01\n'
            path.write_text(text, encoding="utf-8")
        case "jsonl":
            path.write_bytes(msgspec.json.Encoder().encode_lines(RECORDS))
        case _:
            parquet(path)
    return str(path)


async def orders(run: DbRun) -> list[tuple[Any, ...]]:
    found = await run.rows("SELECT id, item, price FROM orders ORDER BY id")
    return [(number, item, None if price is None else float(price)) for number, item, price in found]


@pytest.mark.parametrize("name", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.asyncio
async def test_each_format_is_loaded_with_null_and_empty_text_apart(a_run: Open, name: str) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        result = await run.step(db_load, table="orders", source_path=write_file(run.folder, f"orders.{name}"))
        assert result == DbLoadOutput(row_count=4, inserted=4, updated=0, deleted=0)
        assert await orders(run) == ROWS
        assert await run.rows("SELECT count(*) FROM orders WHERE note = 'none'") == [(4,)]
        if name != "tsv":
            assert await run.rows("SELECT count(*) FROM orders WHERE day = '2026-01-31' AND paid") == [(1,)]


@pytest.mark.parametrize("name", ["csv.gz", "csv.zst"])
@pytest.mark.asyncio
async def test_a_compressed_file_is_loaded(read_or_copied: Open, name: str) -> None:
    async with read_or_copied() as run:
        await run.execute(TABLE)
        path = write_file(run.folder, f"orders.{name}")
        assert (await run.step(db_load, table="orders", source_path=path)).row_count == 4
        assert await orders(run) == ROWS


@pytest.mark.asyncio
async def test_replace_removes_the_rows_before_and_upsert_updates_those_with_the_key(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(
            TABLE, "INSERT INTO orders (id, item, note) VALUES (2, 'old', 'mine'), (9, 'x', 'y')"
        )
        path = write_file(run.folder, "orders.csv")
        result = await run.step(db_load, "up", table="orders", source_path=path, mode="upsert", key="id")
        assert result == DbLoadOutput(row_count=4, inserted=3, updated=1, deleted=0)
        assert [row[0] for row in await orders(run)] == [1, 2, 3, 4, 9]
        assert await run.rows("SELECT item, note FROM orders WHERE id = 2") == [('say "hi"\nthere', "mine")]
        result = await run.step(db_load, "new", table="orders", source_path=path, mode="replace")
        assert result == DbLoadOutput(row_count=4, inserted=4, updated=0, deleted=5)
        assert await orders(run) == ROWS


BAD_VALUES = [
    ("csv", 'id,item,price\n1,pen,2\n2,"a\nb",2\n3,ink,many\n', "row 3, column 'price'", "'many'"),
    ("csv", "id,item\n1,pen\n2.5,ink\n", "row 2, column 'id'", "'2.5'"),
    ("csv", "id,day\n1,2026-02-30\n", "row 1, column 'day'", "'2026-02-30'"),
    ("csv", "id,moment\n1,1/2/2026\n", "row 1, column 'moment'", "'1/2/2026'"),
    ("csv", "id,item\n1,pen\n,ink\n", "row 2, column 'id'", ""),
    ("csv", "id,item\n1,pen\n2,ink\n1,x\n", "row 3", ""),
    ("jsonl", '{"id": 1}\n{"id": 1.5}\n', "row 2, column 'id'", "1.5"),
    ("jsonl", '{"id": 1, "paid": "maybe"}\n', "row 1, column 'paid'", "'maybe'"),
]


@pytest.mark.parametrize(
    ("suffix", "text", "place", "value", "mode"),
    [(*bad, ("append", "replace")[number % 2]) for number, bad in enumerate(BAD_VALUES)],
)
@pytest.mark.asyncio
async def test_what_does_not_fit_is_named_and_the_table_keeps_its_content(
    a_run: Open, suffix: str, text: str, place: str, value: str, mode: str
) -> None:
    async with a_run() as run:
        await run.execute(TABLE, "INSERT INTO orders (id, item) VALUES (7, 'old')")
        path = run.folder / f"bad.{suffix}"
        path.write_text(text)
        with pytest.raises(StepError) as caught:
            await run.step(db_load, table="orders", source_path=str(path), mode=mode)
        assert caught.value.code == "AF923", caught.value.message
        if run.database == "duckdb" and place == "row 3":
            place = "rows 1 to 3"  # it does not say which one is there already
        assert f"{path}, {place}" in caught.value.message
        assert value in caught.value.message
        assert await orders(run) == [(7, "old", None)]


@pytest.mark.asyncio
async def test_a_text_that_is_too_long_for_its_column_names_it(postgres_run: Open) -> None:
    async with postgres_run() as run:
        await run.execute(TABLE)
        path = run.folder / "long.csv"
        path.write_text("id,item\n1,pen\n2," + "x" * 30 + "\n")
        with pytest.raises(StepError, match="row 2, column 'item'"):
            await run.step(db_load, table="orders", source_path=str(path))
        (run.folder / "long.jsonl").write_text('{"id": 1, "item": "%s"}' % ("x" * 30))
        with pytest.raises(StepError, match="row 1, column 'item'"):
            await run.step(db_load, table="orders", source_path=str(run.folder / "long.jsonl"))


@pytest.mark.asyncio
async def test_columns_are_found_by_name_in_any_order_and_case(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        path = run.folder / "mixed.csv"
        path.write_text("Extra,PRICE,nr,item\nx,2,1,pen\n")
        columns = {"nr": "id"}
        with pytest.raises(StepError, match="no column 'Extra'"):
            await run.step(db_load, table="orders", source_path=str(path), columns=columns)
        result = await run.step(
            db_load, table="orders", source_path=str(path), columns=columns, extra_columns="ignore"
        )
        assert result.row_count == 1
        assert await orders(run) == [(1, "pen", 2.0)]


@pytest.mark.asyncio
async def test_a_missing_column_is_an_error_if_the_table_needs_it(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute("CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR(5) NOT NULL, c INTEGER)")
        (run.folder / "t.csv").write_text("a\n1\n")
        with pytest.raises(StepError, match="no column 'b'") as caught:
            await run.step(db_load, table="t", source_path=str(run.folder / "t.csv"))
        assert caught.value.code == "AF922"


@pytest.mark.asyncio
async def test_an_empty_file_needs_its_header(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE, "INSERT INTO orders (id) VALUES (7)")
        empty = run.folder / "empty.csv"
        empty.write_text("")
        with pytest.raises(StepError) as caught:
            await run.step(db_load, "a", table="orders", source_path=str(empty), mode="replace")
        assert caught.value.code == "AF926"
        empty.write_text("id,item\n")
        inputs = {"table": "orders", "source_path": str(empty)}
        with pytest.raises(StepError, match="has 0 rows, and min_rows is 1"):
            await run.step(db_load, "b", **inputs, mode="replace", min_rows=1)
        assert (await run.step(db_load, "c", **inputs)).row_count == 0
        assert await run.step(db_load, "d", **inputs, mode="upsert", key="id") == DbLoadOutput(0, 0, 0, 0)
        (run.folder / "empty.jsonl").write_text("")
        source = str(run.folder / "empty.jsonl")
        result = await run.step(db_load, "e", table="orders", source_path=source, mode="replace")
        assert result == DbLoadOutput(row_count=0, inserted=0, updated=0, deleted=1)


@pytest.mark.parametrize(
    ("text", "key", "code", "why"),
    [
        ("id,item\n1,a\n2,b\n1,c\n", "id", "AF924", "2 rows have the key id 1"),
        ("id,item\n1,a\n2,\n", ["id", "item"], "AF924", "a row has no id or no item"),
        ("id,item\n1,a\n", "nr", "AF922", "no column 'nr'"),
    ],
)
@pytest.mark.asyncio
async def test_keys_that_identify_no_row(a_run: Open, text: str, key: Any, code: str, why: str) -> None:
    async with a_run() as run:
        await run.execute("CREATE TABLE t (id INTEGER, item VARCHAR(20))")
        (run.folder / "t.csv").write_text(text)
        with pytest.raises(StepError, match=why) as caught:
            await run.step(db_load, table="t", source_path=str(run.folder / "t.csv"), mode="upsert", key=key)
        assert caught.value.code == code


@pytest.mark.asyncio
async def test_a_table_in_a_schema_with_odd_names(postgres_run: Open) -> None:
    async with postgres_run() as run:
        await run.execute(
            'CREATE SCHEMA "my sales"', 'CREATE TABLE "my sales"."odd.name" ("a b" int, "ü%" text)'
        )
        (run.folder / "t.csv").write_text("a b,ü%\n1,x\n", encoding="utf-8")
        source = str(run.folder / "t.csv")
        await run.step(db_load, "a", table='my sales."odd.name"', source_path=source)
        await run.step(
            db_load, "b", table='my sales."odd.name"', source_path=source, mode="upsert", key="a b"
        )
        assert await run.rows('SELECT * FROM "my sales"."odd.name"') == [(1, "x")]


@pytest.mark.parametrize(
    ("table", "name", "code"),
    [
        ("nowhere", "t.csv", "AF921"),
        ("a..b", "t.csv", "AF917"),
        ("t", "gone.csv", "AF906"),
        ("t", "t.xyz", "AF925"),
    ],
)
@pytest.mark.asyncio
async def test_tables_and_files_that_are_not_there(one_run: Open, table: str, name: str, code: str) -> None:
    async with one_run() as run:
        await run.execute("CREATE TABLE t (id INTEGER)")
        (run.folder / "t.csv").write_text("id\n1\n")
        with pytest.raises(StepError) as caught:
            await run.step(db_load, table=table, source_path=str(run.folder / name))
        assert caught.value.code == code


@pytest.mark.parametrize("changes", [{"mode": "upsert"}, {"key": "id"}, {"mode": "replace", "key": ["id"]}])
def test_a_key_is_for_upsert(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="key"):
        msgspec.convert({"resource": "db", "table": "t", "source_path": "t.csv", **changes}, DbLoadInput)


@pytest.mark.asyncio
async def test_other_spellings_and_encodings(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute("CREATE TABLE t (id INTEGER, item VARCHAR(20))")
        (run.folder / "t.csv").write_bytes("id;item\r\n1;'Zoë;'\r\n".encode("latin-1"))
        options = {"delimiter": ";", "quotechar": "'", "encoding": "latin-1"}
        await run.step(db_load, table="t", source_path=str(run.folder / "t.csv"), file=options)
        assert await run.rows("SELECT * FROM t") == [(1, "Zoë;")]


class CancelsAtProgress(list[Event]):
    """Events of a run; at the first progress it cancels, and waits in the thread until the step knows."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        super().__init__()
        self._scope: anyio.CancelScope | None = scope
        self._loop = anyio.lowlevel.current_token()

    def append(self, event: Event) -> None:
        super().append(event)
        if isinstance(event, StepProgress) and (scope := self._scope) is not None:
            self._scope = None
            anyio.from_thread.run_sync(scope.cancel, token=self._loop)
            call = current_call.get()
            assert call is not None
            assert call.stop.wait(60)


@pytest.mark.parametrize("mode", ["replace", "upsert"])
@pytest.mark.asyncio
async def test_a_cancelled_load_changes_nothing_and_its_connection_is_free(a_run: Open, mode: str) -> None:
    async with a_run() as run:
        await run.execute(TABLE, "INSERT INTO orders (id, item) VALUES (7, 'old')")
        path = run.folder / "many.csv"
        path.write_text("id,item\n" + "".join(f"{number},pen\n" for number in range(30_000)))
        key = {"key": "id"} if mode == "upsert" else {}
        async with anyio.create_task_group() as tasks:

            async def load() -> None:
                await run.step(db_load, table="orders", source_path=str(path), mode=mode, **key)

            run.events = CancelsAtProgress(tasks.cancel_scope)
            tasks.start_soon(load)
        assert tasks.cancel_scope.cancelled_caught
        assert await orders(run) == [(7, "old", None)]
        result = await run.step(db_load, "again", table="orders", source_path=str(path), mode=mode, **key)
        assert result.row_count == 30_000


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.asyncio
async def test_a_lost_connection_is_said_so_and_may_be_retried(
    postgres_server: Postgres, tmp_path: Path, suffix: str
) -> None:
    database = postgres_server.new_database()
    postgres_server.execute(TABLE, database)
    path = tmp_path / f"many.{suffix}"
    line = '{{"id": {}, "item": "pen"}}\n' if suffix == "jsonl" else "{},pen\n"
    rows = "".join(line.format(number) for number in range(30_000))
    path.write_text(rows if suffix == "jsonl" else f"id,item\n{rows}")
    with TcpProxy(postgres_server.port) as proxy:
        config = {"url": postgres_server.url(database, port=proxy.port)}
        connector = await SqlAlchemyConnector.open(Resource("db", "db", "sqlalchemy", config, {}))
        run = DbRun(tmp_path, connector)
        proxy.cut_after(150_000, "up")
        with pytest.raises(StepError, match="was lost") as caught:
            await run.step(db_load, table="orders", source_path=str(path))
        assert caught.value.kind == "connection"
        proxy.heal()
        assert await run.rows("SELECT count(*) FROM orders") == [(0,)]
        assert (await run.step(db_load, table="orders", source_path=str(path))).row_count == 30_000
        await connector.aclose()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.asyncio
async def test_a_time_with_an_offset_counts_in_utc_in_a_column_without_time_zone(
    a_run: Open, suffix: str
) -> None:
    async with a_run() as run:
        await run.execute("CREATE TABLE t (id INTEGER, moment TIMESTAMP NULL)")
        times = ["2026-01-31T10:30:00+02:00", "2026-01-31T08:30:00Z", "2026-01-31T08:30:00"]
        line = '{{"id": {}, "moment": "{}"}}\n' if suffix == "jsonl" else "{},{}\n"
        lines = "".join(line.format(number, time) for number, time in enumerate(times))
        path = run.folder / f"t.{suffix}"
        path.write_text(lines if suffix == "jsonl" else f"id,moment\n{lines}")
        await run.step(db_load, table="t", source_path=str(path))
        found = await run.rows("SELECT moment FROM t ORDER BY id")
        if isinstance(found[0][0], str):  # SQLite has no such type: the offset stays
            assert [one[0][19:] for one in found] == ["+02:00", found[1][0][19:], ""]
        else:
            assert [one[0] for one in found] == [datetime(2026, 1, 31, 8, 30)] * 3  # noqa: DTZ001 - no zone


@pytest.mark.asyncio
async def test_empty_lines_and_stray_quotes_are_read_alike_everywhere(read_or_copied: Open) -> None:
    async with read_or_copied() as run:
        await run.execute("CREATE TABLE notes (id INTEGER, note VARCHAR(20))")
        path = run.folder / "notes.csv"
        path.write_text('id,note\n1,a"b\n\n2,"c\nd"\n\n')
        loaded = await run.step(db_load, table="notes", source_path=str(path))
        assert loaded.row_count == 2
        assert sorted(await run.rows("SELECT * FROM notes")) == [(1, 'a"b'), (2, "c\nd")]
        path.write_text("id,note\n3,a\n4\n")
        said = r"notes\.csv, line 3: row 2 has 1 fields, and there are 2 columns"
        with pytest.raises(StepError, match=said):
            await run.step(db_load, "again", table="notes", source_path=str(path))
        assert await run.rows("SELECT count(*) FROM notes") == [(2,)]


@pytest.mark.asyncio
async def test_a_disk_that_is_full_is_named_though_sqlite_ended_the_transaction(tmp_path: Path) -> None:
    resource = Resource(
        "db", "db", "sqlite3", {"path": str(tmp_path / "db.sqlite")}, {"pragmas": {"max_page_count": 8}}
    )
    run = DbRun(tmp_path, await Sqlite3Connector.open(resource))
    await run.execute("CREATE TABLE notes (note TEXT)", "INSERT INTO notes VALUES ('old')")
    path = tmp_path / "notes.csv"
    path.write_text("note\n" + f"{'x' * 500}\n" * 500)
    with pytest.raises(StepError, match="database or disk is full") as caught:
        await run.step(db_load, table="notes", source_path=str(path), mode="replace")
    assert caught.value.code == "AF740"
    assert await run.rows("SELECT note FROM notes") == [("old",)]
