"""1,000,000 rows x 10 columns from SQLite, PostgreSQL and DuckDB to files, against their own tools."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from measure import Median, Row, Seconds, timed

from tests.servers.postgres import missing_for_postgres, postgres

WORKER = Path(__file__).with_name("db_extract_only.py")
ROWS = int(os.environ.get("AETHERFLOW_BENCH_ROWS", "1000000"))

LAG = 0.020

_SQLITE = f"""
CREATE TABLE sales (id INTEGER PRIMARY KEY, customer TEXT, amount REAL, price REAL, qty INTEGER,
  is_paid BOOLEAN, day DATE, at TIMESTAMP, note TEXT, code TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
INSERT INTO sales SELECT i, 'customer ' || (i % 5000), (i * 7919 % 1000003) / 1009.0,
  (i % 99991) / 100.0, i % 97, i % 2, date('2026-01-01', (i % 300) || ' days'),
  datetime('2026-01-01', i || ' seconds'),
  CASE WHEN i % 7 THEN 'plain text of usual length' ELSE NULL END, 'C' || i FROM n;
"""
_POSTGRES = f"""
CREATE TABLE sales AS SELECT i AS id, 'customer ' || (i % 5000) AS customer,
  (i::bigint * 7919 % 1000003) / 1009.0::float8 AS amount, ((i % 99991) / 100.0)::numeric(12,2) AS price,
  i % 97 AS qty, i % 2 = 0 AS is_paid, date '2026-01-01' + i % 300 AS day,
  timestamp '2026-01-01' + i * interval '1 second' AS at,
  CASE WHEN i % 7 > 0 THEN 'plain text of usual length' END AS note, 'C' || i AS code
FROM generate_series(1, {ROWS}) AS i
"""


_DUCKDB = f"""
CREATE TABLE sales AS SELECT i AS id, 'customer ' || (i % 5000) AS customer,
  (i * 7919 % 1000003) / 1009.0::double AS amount, ((i % 99991) / 100.0)::decimal(12, 2) AS price,
  (i % 97)::int AS qty, i % 2 = 0 AS is_paid, date '2026-01-01' + (i % 300)::int AS day,
  timestamp '2026-01-01' + i * interval '1 second' AS at,
  CASE WHEN i % 7 > 0 THEN 'plain text of usual length' END AS note, 'C' || i AS code
FROM range(1, {ROWS} + 1) AS t(i)
"""
_DUCKDB_COPY = """
import duckdb, sys
duckdb.connect(sys.argv[1], read_only=True).execute(f"COPY sales TO '{sys.argv[2]}' ({sys.argv[3]})")
"""
_DUCKDB_OPTIONS = {"csv": "HEADER", "tsv": r"HEADER, DELIMITER '\t'", "parquet": "FORMAT parquet"}


class Tool(NamedTuple):
    """A database's own tool, the rate of it to reach, and the most memory for csv in MB.

    Attributes:
        command: its command for a format; `sqlite3` and `psql` always write csv.
    """

    command: Callable[[str], list[str]]
    name: str
    rate: float | None
    memory: int


def db_extract(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure each database that is installed here."""
    place = folder / "extract"
    place.mkdir()
    out = place / "out"
    if shutil.which("sqlite3"):
        file = place / "sales.sqlite"
        connection = sqlite3.connect(file)
        connection.executescript(_SQLITE)
        connection.close()
        tool = ["sqlite3", "-csv", "-header", "-cmd", f".output {out}.tool", str(file), "SELECT * FROM sales"]
        ours = "SQLite", "sqlite3", {"path": str(file)}
        yield from _all(*ours, Tool(lambda _: tool, "sqlite3 -csv", 1.0, 150), out, rounds)
    if shutil.which("psql") and not missing_for_postgres():
        with postgres() as server:
            server.execute(_POSTGRES)
            url = server.url(scheme="postgresql")
            psql = ["psql", "-q", url, "-c", rf"\copy (SELECT * FROM sales) TO '{out}.tool' CSV HEADER"]
            ours = "PostgreSQL", "sqlalchemy", {"url": server.url()}
            yield from _all(*ours, Tool(lambda _: psql, r"psql \copy", 0.9, 80), out, rounds)
    if find_spec("duckdb"):
        yield from _duckdb(place, out, rounds)


def _duckdb(place: Path, out: Path, rounds: int) -> Iterator[Row]:
    import duckdb  # noqa: PLC0415 - it need not be installed

    file = str(place / "sales.duckdb")
    with duckdb.connect(file) as connection:
        connection.execute(_DUCKDB)

    def copy(file_format: str) -> list[str]:
        return [sys.executable, "-c", _DUCKDB_COPY, file, f"{out}.tool", _DUCKDB_OPTIONS[file_format]]

    yield from _all("DuckDB", "duckdb", {"path": file}, Tool(copy, "DuckDB COPY", None, 150), out, rounds)


def _all(
    name: str,
    driver: str,
    config: dict[str, Any],
    tool: Tool,
    out: Path,
    rounds: int,
) -> Iterator[Row]:
    """Measure each format in turn with the tool, and csv also in the plain way of Python."""

    def ours(file_format: str, way: str = "step") -> dict[str, float]:
        return _worker(way, driver, config, file_format, out)

    def theirs(file_format: str) -> float:
        return timed(lambda: subprocess.run(tool.command(file_format), check=True, stdout=subprocess.DEVNULL))

    for file_format in ("csv", "tsv", "parquet"):
        runs, floors = [], []
        for _ in range(rounds):
            runs.append(ours(file_format))
            floors.append(theirs(file_format))
        took, floor = Median([one["seconds"] for one in runs]), Median(floors)
        what = f"{ROWS:,} rows, {name} to {file_format}"
        yield Row(what, tool.name, took, floor, f">= {tool.rate}x rate" if tool.rate else "")
        peak = statistics.median(one["peak"] for one in runs)
        limit = tool.memory if file_format == "csv" else 150
        yield Row(f"memory of that, {file_format}", f"{limit} MB", peak, float(limit), "<= 1x", "MB")
        lag = statistics.median(one["lag"] for one in runs)
        yield Row(f"lag of the loop p99, {file_format}", "20 ms", lag, LAG, "<= 1x")
        idle = statistics.median(one["idle"] for one in runs)
        yield Row("the same before the step begins", "20 ms", idle, LAG, "")
    pairs = [(ours("csv"), ours("csv", "plain")) for _ in range(rounds)]
    took, floor = (Median([pair[side]["seconds"] for pair in pairs]) for side in (0, 1))
    yield Row(f"{ROWS:,} rows, {name} to csv", "cursor and csv module", took, floor, "")


def _worker(way: str, driver: str, config: dict[str, Any], file_format: str, out: Path) -> dict[str, float]:
    arguments = [way, driver, json.dumps(config), file_format, f"{out}.{file_format}"]
    done = subprocess.run(
        [sys.executable, WORKER, *arguments], check=True, capture_output=True, cwd=WORKER.parents[2]
    )
    found: dict[str, float] = json.loads(done.stdout)
    if (cpu := found.pop("cpu")) is not None:
        found["seconds"] = Seconds(found["seconds"], cpu)
    return found
