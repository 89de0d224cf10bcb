"""The values of the manual's page data-files, on every database that can run here, in every format."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pyarrow.parquet as pq
import pytest
from aetherflow_db.extract_stream import db_extract_stream
from aetherflow_db.fetch_small import db_fetch_small
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError
from tests.plugins.db_run import DbRun, Open, opener
from tests.polling import eventually

open_run = opener()
open_postgres = opener(["postgres"])

TABLES = {
    "sqlite": "n INTEGER, f REAL, d DECIMAL(12,2), t TEXT, b BLOB, day DATE, w TIMESTAMP",
    "postgresql": "n bigint, f float8, d numeric(12,2), t text, b bytea, day date, w timestamp,"
    " z timestamptz, c time, y boolean, r real",
    "duckdb": "n bigint, f double, d decimal(12,2), t text, b blob, day date, w timestamp,"
    " z timestamptz, y bool",
    "mysql": "n bigint, f double, d decimal(12,2), t text, b blob, day date, w datetime(6), c time(6)",
}
MORE = "NULL, NULL, NULL, NULL, NULL"
ROWS = {
    "sqlite": """(-7, 0.1, 1.5, 'a,b', x'00ff', '2026-01-02', '2026-01-02 03:04:05'),
        (9007199254740993, 1e16, 2, '', x'', NULL, NULL), (NULL, 2.0, NULL, NULL, NULL, NULL, NULL),
        (1, -1234567890123456.0, 3, 'say "x"', NULL, NULL, NULL)""",
    "postgresql": f"""(-7, 0.1, 1.5, 'a,b', '\\x00ff', '2026-01-02', '2026-01-02 03:04:05.25',
        '2026-01-02 03:04:05+02', '08:30', true, 1234567), (9007199254740993, 1e16, 2, '', '', NULL,
        '2026-01-02', NULL, '08:30:00.5', false, 0.1), (NULL, 2, NULL, NULL, NULL, NULL, {MORE}),
        (1, -1234567890123456, 3, 'say "x"', NULL, {MORE}, 1e-5),
        (1, 'NaN', 3, 'tab\tend', NULL, {MORE}, 'Infinity'),
        (1, 1000000000000000.125, 3, E'two\nlines', NULL, {MORE}, 3e20)""",
    "duckdb": """(-7, 0.1, 1.5, 'a,b', '\\x00\\xff'::BLOB, '2026-01-02', '2026-01-02 03:04:05',
        '2026-01-02 03:04:05+02', true), (9007199254740993, 1e16, 2, '', ''::BLOB, NULL, '2026-01-02',
        NULL, false),
        (NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (1, -1234567890123456, 3, 'say "x"', NULL, NULL, NULL, NULL, NULL)""",
    "mysql": """(-7, 0.1, 1.5, 'a,b', x'00ff', '2026-01-02', '2026-01-02 03:04:05', '08:30'),
        (9007199254740993, 1e16, 2, '', '', NULL, NULL, '00:00:00.5'),
        (NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL),
        (1, -1234567890123456, 3, 'say "x"', NULL, NULL, NULL, NULL)""",
}
SQL = "SELECT * FROM v"
FIRST = {
    "n": "-7",
    "f": "0.1",
    "d": "1.50",
    "t": '"a,b"',
    "b": "00ff",
    "day": "2026-01-02",
    "w": "2026-01-02T03:04:05",
}


async def prepared(run: DbRun) -> str:
    dialect = {"mariadb": "mysql"}.get(run.connector.dialect, run.connector.dialect)
    await run.execute(f"CREATE TABLE v ({TABLES[dialect]})", f"INSERT INTO v VALUES {ROWS[dialect]}")
    return dialect


async def extracted(run: DbRun, file_format: str, **more: Any) -> bytes:
    result = await run.step(db_extract_stream, sql=SQL, output=f"o.{file_format}", format=file_format, **more)
    assert result.outputs["row_count"] in {4, 6}
    return (run.context().artifacts / f"o.{file_format}").read_bytes()


@pytest.mark.asyncio
async def test_values_in_text(open_run: Open) -> None:
    async with open_run() as run:
        dialect = await prepared(run)
        lines = (await extracted(run, "csv")).decode().split("\n")
        expected = dict(FIRST)
        if dialect == "sqlite":  # it has no decimals and no times: numbers and texts are what is stored
            expected |= {"d": "1.5", "w": "2026-01-02 03:04:05"}
        if dialect == "postgresql":
            expected |= {"w": "2026-01-02T03:04:05.250000", "z": "2026-01-02T01:04:05+00:00"}
            expected |= {"c": "08:30:00", "y": "true", "r": "1234567.0"}
        if dialect == "mysql":
            expected |= {"c": "08:30:00"}
        if dialect == "duckdb":
            expected |= {"z": "2026-01-02T01:04:05+00:00", "y": "true"}
        assert lines[0] == ",".join(expected)
        assert lines[1] == ",".join(expected.values())
        assert lines[2].startswith("9007199254740993,1e+16,2")
        assert lines[2].split(",")[3:5] == ['""', '""']
        assert lines[3].startswith(",2.0,,,,,")
        assert lines[4].startswith("1,-1234567890123456.0,3")
        assert '"say ""x"""' in lines[4]
        tsv = (await extracted(run, "tsv")).decode().split("\n")
        assert tsv[2].split("\t")[3:5] == ["", ""]


@pytest.mark.asyncio
async def test_values_in_jsonl_and_small_results(open_run: Open) -> None:
    async with open_run() as run:
        dialect = await prepared(run)
        rows = [json.loads(line) for line in (await extracted(run, "jsonl")).splitlines()]
        small = await run.step(db_fetch_small, sql=SQL)
        assert small.columns == list(rows[0])
        assert small.rows == [list(row.values()) for row in rows]
        assert small.row_count == len(rows)
        assert rows[0]["n"] == -7
        assert rows[0]["d"] == (1.5 if dialect == "sqlite" else "1.50")
        assert json.loads(small.rows_json)[0][2] == 1.5
        assert (rows[1]["t"], rows[2]["t"]) == ("", None)
        words = {"n": "int", "f": "float", "t": "string", "b": "binary", "day": "date", "w": "datetime"}
        number = {"sqlite": "float", "postgresql": "decimal(12,2)", "duckdb": "decimal(12,2)"}.get(dialect)
        found = dict(small.dtypes)
        assert number is None or found["d"] == number
        assert found.items() >= words.items()
        assert json.loads(small.dtypes_json) == small.dtypes


@pytest.mark.asyncio
async def test_values_in_parquet(open_run: Open) -> None:
    async with open_run() as run:
        dialect = await prepared(run)
        await extracted(run, "parquet")
        table = pq.read_table(run.context().artifacts / "o.parquet")
        types = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
        assert (types["n"], types["f"], types["t"], types["b"]) == ("int64", "double", "string", "binary")
        assert (types["day"], types["w"]) == ("date32[day]", "timestamp[us]")
        first, second = table.to_pylist()[:2]
        assert (first["n"], first["f"], first["t"], first["b"]) == (-7, 0.1, "a,b", b"\x00\xff")
        assert first["day"] == date(2026, 1, 2)
        assert (second["n"], second["t"], second["b"]) == (9007199254740993, "", b"")
        if dialect != "sqlite":
            assert first["d"] == Decimal("1.50")
        if dialect == "mysql":
            assert (first["c"], second["c"]) == (time(8, 30), time(0, 0, 0, 500000))
        if dialect == "postgresql":
            assert types["d"] == "decimal128(12, 2)"
            assert first["z"] == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
            assert (first["c"], first["y"], first["r"]) == (time(8, 30), True, 1234567.0)


@pytest.mark.asyncio
@pytest.mark.parametrize("file_format", ["csv", "tsv", "parquet"])
async def test_the_fast_way_and_the_plain_one_write_the_same_file(
    open_run: Open, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_run() as run:
        await prepared(run)
        fast = await extracted(run, file_format)
        with monkeypatch.context() as patch:
            patch.setattr("aetherflow_db.connection.fast_rows", lambda *_: None)
            patch.setattr("aetherflow.data_files.csv_writing.is_worth_it", lambda _: False)
            plain = await extracted(run, file_format)
        if file_format == "parquet":
            (run.context().artifacts / "fast.parquet").write_bytes(fast)
            (run.context().artifacts / "plain.parquet").write_bytes(plain)
            one, other = (
                pq.read_table(run.context().artifacts / f"{name}.parquet") for name in ("fast", "plain")
            )
            assert one.schema == other.schema
            assert str(one.to_pylist()) == str(other.to_pylist())
        else:
            assert fast == plain


STREAM = "SELECT a, {} AS b FROM (SELECT generate_series(1, 1000000000) AS a) AS s"


@pytest.mark.asyncio
async def test_a_copy_is_cancelled_at_the_server(open_postgres: Open) -> None:
    async with open_postgres() as run:
        await run.execute("SELECT 1")
        folder = run.context().artifacts
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                partial(run.step, db_extract_stream, sql=STREAM.format("a"), output="o.csv", format="csv")
            )
            assert await eventually(lambda: any(path.stat().st_size > 100_000 for path in folder.iterdir()))
            tasks.cancel_scope.cancel()
        assert list(folder.iterdir()) == []
        copies = "datname = current_database() AND query LIKE 'COPY (%' AND state = 'active'"
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE {copies}"
        with anyio.fail_after(60):  # the server tells the client of the end before it shows it in its table
            while await run.rows(busy) != [(0,)]:  # noqa: ASYNC110 - nothing here could set an event
                await anyio.sleep(0.05)
        assert run.logged == []


@pytest.mark.asyncio
async def test_a_copy_that_fails_in_the_middle_leaves_the_old_file(open_postgres: Open) -> None:
    async with open_postgres() as run:
        file = run.context().artifacts / "o.csv"
        file.write_text("old")
        with pytest.raises(StepError, match="division by zero") as caught:
            await run.step(
                db_extract_stream, sql=STREAM.format("1 / (a - 50000)"), output="o.csv", format="csv"
            )
        assert caught.value.code == "AF740"
        assert file.read_text() == "old"
        assert len(list(file.parent.iterdir())) == 1


@pytest.mark.asyncio
async def test_parameters_of_a_copy_are_values(open_postgres: Open) -> None:
    async with open_postgres() as run:
        evil = "x'); DROP TABLE v; --"
        sql = "SELECT cast(:text AS text) AS t, cast(:number AS int) AS n -- ) is no end"
        params = {"text": evil, "number": 7}
        result = await run.step(db_extract_stream, sql=sql, params=params, output="o.csv", format="csv")
        assert (run.context().artifacts / "o.csv").read_text() == f"t,n\n{evil},7\n"
        assert result.outputs["columns"] == ["t", "n"]


@pytest.mark.asyncio
@pytest.mark.parametrize("sql", ["SELECT a, a FROM nowhere", "SELECT 1 AS a, 2 AS b;;", "SELEC 1"])
async def test_what_cannot_be_copied_is_reported_as_written(open_postgres: Open, sql: str) -> None:
    async with open_postgres() as run:
        if sql.endswith(";;"):
            result = await run.step(db_extract_stream, sql=sql, output="o.csv", format="csv")
            assert result.outputs["row_count"] == 1
            return
        with pytest.raises(StepError) as caught:
            await run.step(db_extract_stream, sql=sql, output="o.csv", format="csv")
        assert caught.value.code == "AF740"
        assert "COPY" not in caught.value.message
        assert "aetherflow_describe" not in caught.value.message


@pytest.mark.asyncio
async def test_null_is_the_default_of_every_optional_input(tmp_path: Path) -> None:
    connector = await Sqlite3Connector.open(Resource("db", "db", "sqlite3", {"path": ":memory:"}))
    run = DbRun(tmp_path, connector)
    required = {"sql": "SELECT 1 AS n", "output": "o.tsv"}
    optional = {
        name for name in db_extract_stream.input_type.__struct_fields__ if name not in {*required, "resource"}
    }
    nulls: dict[str, Any] = dict.fromkeys(optional)
    await run.step(db_extract_stream, **required, **nulls)
    assert (run.context().artifacts / "o.tsv").read_text() == "n\n1\n"
    await connector.aclose()


@pytest.mark.asyncio
async def test_the_options_of_a_stream(tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1 AS n, 'a;b' AS t")
    connector = await Sqlite3Connector.open(Resource("db", "db", "sqlite3", {"path": ":memory:"}))
    run = DbRun(tmp_path, connector)
    result = await run.step(
        db_extract_stream,
        sql_path="q.sql",
        output="o.csv.gz",
        format="CSV",
        include_header=False,
        emit_dtypes=True,
        dtypes_json='{"n": "decimal(5,1)"}',
        file={"delimiter": ";"},
    )
    file = run.context().artifacts / "o.csv.gz"
    assert gzip.decompress(file.read_bytes()) == b'1;"a;b"\n'
    assert result.outputs["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert result.outputs["dtypes"] == {"n": "decimal(5,1)", "t": "string"}
    assert json.loads(result.outputs["dtypes_json"]) == result.outputs["dtypes"]
    await connector.aclose()


BRANCHES = {
    "float8": "0 -0 1 -1 0.1 1e-4 9.9e-5 1e-7 123456.5 1e14 999999999999999 1e15 1000000000000000.1 4.5e15 "
    "9007199254740993 9999999999999998 1e16 1.5e300 -2.5e-300 NaN Infinity -Infinity",
    "float4": "0 -0 1 0.1 1e-4 9e-5 99999.5 100000.5 123456 1234567 16777216 1e10 1e15 9e15 1e16 3e20 NaN "
    "Infinity -Infinity",
    "timestamp": "2026-01-02 2026-01-02T03:04:05.1 2026-01-02T03:04:05.12345 2026-01-02T03:04:05.123456 "
    "2026-01-02T23:59:59.999999 0001-01-01 9999-12-31T23:59:59.99999",
    "timestamptz": "2026-01-02T00:00:00+05:30 2026-01-02T03:04:05.1-11 2026-01-02T03:04:05.123456Z "
    "1900-01-01T00:00:00.5+00:19:32 2026-01-02T03:04:05.00001",
    "time": "00:00 08:30:00.5 08:30:00.12345 23:59:59.999999",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
async def test_every_branch_of_what_a_copy_writes(
    open_postgres: Open, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_postgres() as run:
        lists = ", ".join(f"'{{{','.join(values.split())}}}'::{kind}[]" for kind, values in BRANCHES.items())
        sql = f"SELECT a, b, c, d, e, a > 1 AS f FROM unnest({lists}) AS t(a, b, c, d, e)"

        async def written() -> Any:
            await run.step(db_extract_stream, sql=sql, output="b.file", format=file_format)
            file = run.context().artifacts / "b.file"
            return file.read_text() if file_format == "csv" else str(pq.read_table(file).to_pylist())

        fast = await written()
        monkeypatch.setattr("aetherflow_db.connection.fast_rows", lambda *_: None)
        assert fast == await written()
