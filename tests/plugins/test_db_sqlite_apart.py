"""Large results of SQLite are read by another process, and the files are the same as without it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from aetherflow_db import connection, sqlite_apart
from aetherflow_db.extract_stream import db_extract_stream
from aetherflow_db.sqlite_process import InexactError, SqliteProcess

from aetherflow import StepError
from tests.plugins.db_run import DbRun, Open, opener
from tests.polling import eventually, wait_until

open_run = opener(("sqlite3", "sqlite"))
file_run = opener(("sqlite3",))

ROWS = 198
TABLE = """CREATE TABLE data (id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, n NUMERIC, flag BOOLEAN,
    day DATE, at TIMESTAMP, none TEXT, "a b" TEXT)"""
NASTY: list[tuple[Any, ...]] = [
    (None, -(2**63), 1e300, "", 1.5, 0, "2026-01-01", "2026-01-01 00:00:00", None, "-0"),
    (
        None,
        2**63 - 1,
        -0.0,
        'a "quoted", \t field\r\n',
        0.1,
        1,
        "0001-01-01",
        "2026-01-01T01:02:03.5",
        None,
        "x",
    ),
    (None, None, float("inf"), "NULL\0byte \U0001f600", 1e-7, None, None, None, None, "007"),
    (None, 0, 5e-324, "=1+1", 12345678901234.5, 1, "9999-12-31", "1969-12-31 23:59:59.000001", None, " "),
    (None, 7, 1e16, None, 2.5e22, 0, "2026-02-28", "2026-01-01", None, "\\N"),
    (None, 8, None, "x", None, 1, "2026-02-28", "2026-01-01", None, "y"),
]


class Spy:
    """Counts what the other process did, and the rows of its batches."""

    started = begun = inexact = 0

    def __init__(self) -> None:
        self.rows: list[int] = []


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Let also small results be read by the other process, and count."""
    monkeypatch.setattr(sqlite_apart, "LEAST_BYTES", 0)
    monkeypatch.setattr(sqlite_apart, "FIRST_ROWS", 50)
    monkeypatch.setattr(sqlite_apart, "START_ROWS", 10)
    monkeypatch.setattr(sqlite_apart, "MOST_SECONDS", 60.0)
    found = Spy()

    class Counted(SqliteProcess):
        def start(self) -> None:
            found.started += 1
            super().start()

        def batches(self, *arguments: Any) -> Iterator[Any]:
            found.begun += 1
            try:
                for batch in super().batches(*arguments):
                    found.rows.append(batch.num_rows)
                    yield batch
            except InexactError:
                found.inexact += 1
                raise

    monkeypatch.setattr(connection, "SqliteProcess", Counted)
    return found


def fill(folder: Path, last: dict[str, Any] | None = None) -> None:
    """Make the table, with other values in the last row."""
    with sqlite3.connect(folder / "db.sqlite") as database:
        database.execute(TABLE)
        marks = ", ".join("?" * 10)
        database.executemany(f"INSERT INTO data VALUES ({marks})", NASTY * (ROWS // len(NASTY)))
        for column, value in (last or {}).items():
            database.execute(f'UPDATE data SET "{column}" = ? WHERE id = {ROWS}', (value,))
    database.close()


def content_of(result: Any) -> bytes:
    return Path(result.outputs["artifact_path"]).read_bytes()


def names(run: DbRun) -> list[str]:
    return [path.name for path in run.context().artifacts.iterdir()]


async def both_ways(run: DbRun, monkeypatch: pytest.MonkeyPatch, **inputs: Any) -> None:
    """Extract as users do, and without the other process."""
    first = await run.step(db_extract_stream, output="first", fetch_size=50, **inputs)
    content = content_of(first)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "apart", lambda *_: None)
        second = await run.step(db_extract_stream, output="second", fetch_size=50, **inputs)
    outputs = [{**one.outputs, "artifact_path": ""} for one in (first, second)]
    assert outputs[0] == outputs[1]
    assert content == content_of(second)


@pytest.mark.parametrize("file_format", ["csv", "tsv", "parquet"])
@pytest.mark.asyncio
async def test_nasty_values_are_the_same(
    open_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    fill(tmp_path)
    async with open_run() as run:
        await both_ways(run, monkeypatch, sql="SELECT * FROM data;", format=file_format)
    assert (spy.begun, spy.inexact) == (1, 0)


@pytest.mark.asyncio
async def test_parameters_are_bound(open_run: Open, tmp_path: Path, spy: Spy, monkeypatch: Any) -> None:
    fill(tmp_path)
    sql = (
        "SELECT a.id, b.t AS id FROM data AS a JOIN data AS b USING (id) WHERE a.id > :low AND b.t <> ':low'"
    )
    async with open_run() as run:
        await both_ways(
            run, monkeypatch, sql=f"{sql} ORDER BY a.id DESC -- end", params={"low": 3}, format="csv"
        )
    assert (spy.begun, spy.inexact) == (1, 0)


@pytest.mark.parametrize(
    ("changed", "value", "inexact"),
    [
        ("aetherflow_db.sqlite_process.PIPE_BYTES", 2**31 - 1, 0),  # more than the system gives
        ("sys.executable", "/no/such/python", 1),
    ],
)
@pytest.mark.asyncio
async def test_a_small_pipe_does_too_and_without_the_other_process_the_rows_come_as_usual(
    file_run: Open,
    tmp_path: Path,
    spy: Spy,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
    value: Any,
    inexact: int,
) -> None:
    fill(tmp_path)
    monkeypatch.setattr(changed, value)
    async with file_run() as run:
        await both_ways(run, monkeypatch, sql="SELECT * FROM data", format="csv")
    assert (spy.begun, spy.inexact) == (1, inexact)


@pytest.mark.parametrize(
    ("sql", "inexact"),
    [
        ("SELECT r FROM data WHERE r IS NOT NULL", 0),
        ("SELECT r FROM data ORDER BY r", 0),
        ("SELECT CASE WHEN id < 190 THEN r ELSE 3 END AS r FROM data", 1),
        ("SELECT r + i AS r FROM data", 0),
        ("SELECT s.r FROM (SELECT n AS r FROM data) AS s", 1),
    ],
)
@pytest.mark.asyncio
async def test_only_columns_of_the_type_real_make_floats_of_integers(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, sql: str, inexact: int
) -> None:
    fill(tmp_path, {"r": 3, "n": 3})
    async with file_run() as run:
        await both_ways(run, monkeypatch, sql=sql, format="csv")
    assert (spy.begun, spy.inexact) == (1, inexact)


@pytest.mark.parametrize(("length", "begun"), [(1_000, 1), (5_000, 0)])
@pytest.mark.asyncio
async def test_long_rows_come_in_small_batches_or_as_usual(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, length: int, begun: int
) -> None:
    monkeypatch.setattr(sqlite_apart, "BATCH_BYTES", 10_000)
    fill(tmp_path)
    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        database.execute("UPDATE data SET t = ?", ("x" * length,))
    database.close()
    async with file_run() as run:
        await both_ways(run, monkeypatch, sql="SELECT id, t FROM data", format="csv")
    assert (spy.begun, spy.inexact) == (begun, 0)
    assert all(rows <= 10 for rows in spy.rows)


LATE = {"i": 1.5, "r": "none", "n": 3, "t": b"blob", "none": "text", "a b": b"", "flag": 2, "day": 20260101}


@pytest.mark.parametrize("column", LATE)
@pytest.mark.asyncio
async def test_a_value_of_another_type_that_comes_late_is_noticed(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    fill(tmp_path, {column: LATE[column]})
    async with file_run() as run:
        await both_ways(run, monkeypatch, sql="SELECT * FROM data", format="csv")
        assert (spy.begun, spy.inexact) == (1, int(column != "flag"))
        if column in {"flag", "n"}:  # for Parquet such a value changes the type of its column
            await both_ways(run, monkeypatch, sql="SELECT * FROM data", format="parquet")


@pytest.mark.asyncio
async def test_a_text_that_is_no_utf8_is_the_same_error(file_run: Open, tmp_path: Path, spy: Spy) -> None:
    fill(tmp_path)
    with sqlite3.connect(tmp_path / "db.sqlite") as database:
        database.execute(f"UPDATE data SET t = CAST(x'ff41' AS TEXT) WHERE id = {ROWS}")
    database.close()
    async with file_run() as run:
        with pytest.raises(StepError, match="UTF-8"):
            await run.step(db_extract_stream, output="out.csv", sql="SELECT * FROM data", fetch_size=50)
        assert (spy.begun, spy.inexact) == (1, 1)
        assert names(run) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, round(r, 2) FROM data",
        "SELECT id, n || '' FROM data",
        "SELECT id, CAST(r AS TEXT) FROM data",
        "SELECT id, sum(r) OVER (ORDER BY id) FROM data",
        "SELECT r FROM data UNION ALL SELECT i FROM data",
    ],
)
@pytest.mark.asyncio
async def test_what_would_be_computed_in_another_way_stays_here(
    file_run: Open, tmp_path: Path, spy: Spy, sql: str
) -> None:
    fill(tmp_path, {"n": 3})
    async with file_run() as run:
        result = await run.step(db_extract_stream, output="out.csv", sql=sql, format="csv")
    assert result.outputs["row_count"] == ROWS * (1 + ("UNION" in sql))
    assert spy.started == 0


@pytest.mark.parametrize("count", [8, 40])
@pytest.mark.asyncio
async def test_small_results_stay_here(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("AETHERFLOW_TEST_MARK", str(tmp_path))
    fill(tmp_path)
    async with file_run() as run:
        sql = f"SELECT * FROM data LIMIT {count}"
        result = await run.step(db_extract_stream, output="out.csv", sql=sql, format="csv")
    assert result.outputs["row_count"] == count
    assert (spy.started, spy.begun) == (int(count > 8), 0)
    assert workers(tmp_path) == []


@pytest.mark.asyncio
async def test_without_the_extra_rows_are_read_here(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    monkeypatch.setattr(sqlite_apart, "is_installed", lambda: False)
    async with file_run() as run:
        result = await run.step(db_extract_stream, output="out.csv", sql="SELECT * FROM data", format="csv")
    assert (result.outputs["row_count"], spy.begun) == (ROWS, 0)


ENDLESS = "SELECT a.* FROM data AS a, data AS b, data AS c, data AS d, data AS e WHERE a.id * b.id > {}"


@pytest.mark.parametrize("least", [0, 39_000], ids=["while it sends", "before it sends"])
@pytest.mark.asyncio
async def test_a_cancelled_step_ends_the_other_process(
    file_run: Open, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setenv("AETHERFLOW_TEST_MARK", str(tmp_path))
    fill(tmp_path)
    async with file_run() as run:
        sql = ENDLESS.format(least)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run.step, db_extract_stream, output="out.csv", sql=sql, fetch_size=50))
            assert await eventually(lambda: spy.begun == 1 and workers(tmp_path) != [])
            tasks.cancel_scope.cancel()
        assert workers(tmp_path) == []
        assert names(run) == []
        assert run.logged == []
    assert spy.begun == 1


def workers(mark: Path) -> list[int]:
    """Return the other processes with this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_ours = f"AETHERFLOW_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes()
            if is_ours and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


PARENT = """
import sys, subprocess, time
from aetherflow_db.sqlite_process import Request, SqliteProcess
request = Request(sys.argv[1], sys.argv[2], [], ["l"], 50)
next(SqliteProcess().batches(request, ["sum"]))
"""


def test_a_killed_engine_leaves_no_other_process(tmp_path: Path) -> None:
    fill(tmp_path)
    sql = "SELECT sum(a.id + b.id + c.id + d.id), 0 FROM data AS a, data AS b, data AS c, data AS d"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, f"file:{tmp_path / 'db.sqlite'}?mode=ro", sql],
        env={**os.environ, "AETHERFLOW_TEST_MARK": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    wait_until(lambda: len(workers(tmp_path)) == 2)
    time.sleep(0.5)  # the query runs; before that a process without a request ends just so
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: workers(tmp_path) == [])
