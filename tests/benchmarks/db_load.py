"""1,000,000 rows x 10 columns loaded from csv, against the database's own tool and the plain Python way.

Ours and the tool are whole commands: ours is `aetherflow run` with one step, with its start, types that are
checked and effects; the plain way is a process that reads with the csv module and inserts or copies.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

from measure import Row, Timed, command, interleaved

sys.path.insert(0, str(Path(__file__).parents[2]))  # the server of the tests

from tests.servers.postgres import Postgres, missing_for_postgres, postgres

AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
ROWS = 1_000_000
TABLE = """CREATE TABLE orders (id bigint, name varchar(40), city varchar(40), amount decimal(10, 2),
  quantity int, price double precision, day date, moment timestamp, paid boolean, note varchar(40))"""
PLAIN_SQLITE = """
import csv, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
with open(sys.argv[2], encoding="utf-8", newline="") as file:
    rows = csv.reader(file)
    next(rows)
    typed = (
        (int(r[0]), r[1], r[2], float(r[3]), int(r[4]), float(r[5]), r[6], r[7], r[8] == "true", r[9] or None)
        for r in rows
    )
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", typed)
connection.commit()
"""
PLAIN_POSTGRES = """
import csv, itertools, psycopg, sys
with psycopg.connect(sys.argv[1]) as connection, open(sys.argv[2], encoding="utf-8", newline="") as file:
    rows = csv.reader(file)
    next(rows)
    typed = ((int(r[0]), r[1], r[2], r[3], int(r[4]), float(r[5]), r[6], r[7], r[8] == "true", r[9] or None)
             for r in rows)
    with connection.cursor() as cursor:
        while batch := list(itertools.islice(typed, 5000)):
            cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", batch)
"""
COPY_DUCKDB = """
import duckdb, sys
duckdb.connect(sys.argv[1]).execute(f"COPY orders FROM '{sys.argv[2]}' (HEADER)")
"""


def db_load(folder: Path, rounds: int) -> Iterator[Row]:
    """SQLite, and DuckDB and PostgreSQL where they are installed."""
    source = folder / "orders.csv"
    _write(source)
    yield from _sqlite(folder, source, min(rounds, 3))
    if find_spec("duckdb"):
        yield from _duckdb(folder, source, min(rounds, 3))
    if reason := missing_for_postgres():
        sys.stderr.write(f"db_load: PostgreSQL is not measured, {reason}\n")
        return
    with postgres() as server:
        yield from _postgres(folder, source, server, min(rounds, 3))


def _write(path: Path) -> None:
    random.seed(1)
    first = date(2020, 1, 1)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["id", "name", "city", "amount", "quantity", "price", "day", "moment", "paid", "note"])
        for number in range(ROWS):
            day = first + timedelta(number % 2000)
            price, note = random.random(), "" if number % 5 else "a, b"  # noqa: S311 - data
            out.writerow(
                (
                    *(number, f"name {number % 9973}", ("Oslo", "Köln", "Paris")[number % 3]),
                    *(f"{number % 100_000 / 100:.2f}", number % 77, price, day),
                    *(f"{day} 10:{number % 60:02d}:00", ("true", "false")[number % 2], note),
                )
            )


def _prepared(prepare: Callable[[], None], timed: Timed) -> Timed:
    def run() -> float:
        prepare()
        return timed()

    return run


def _sqlite(folder: Path, source: Path, rounds: int) -> Iterator[Row]:
    file = folder / "shop.sqlite"

    def empty() -> None:
        file.unlink(missing_ok=True)
        with sqlite3.connect(file) as connection:
            connection.execute(TABLE)
        connection.close()

    config = f"kind: db, driver: sqlite3, config: {{path: {file}}}"
    ours = _prepared(empty, command(_flow(folder, "sqlite", config, source), dict(os.environ)))
    if shutil.which("sqlite3"):
        tool = command(
            ["sqlite3", str(file), ".mode csv", f".import --skip 1 {source} orders"], dict(os.environ)
        )
        times = interleaved(ours, _prepared(empty, tool), rounds)
        yield Row("SQLite: load 1 M rows x 10 from csv", "sqlite3 .import (checks no types)", *times, "")
    plain = command([sys.executable, "-c", PLAIN_SQLITE, str(file), str(source)], dict(os.environ))
    times = interleaved(ours, _prepared(empty, plain), rounds)
    yield Row("SQLite: load 1 M rows x 10 from csv", "csv module and executemany", *times, "")


def _duckdb(folder: Path, source: Path, rounds: int) -> Iterator[Row]:
    import duckdb  # noqa: PLC0415 - it need not be installed

    file = folder / "shop.duckdb"

    def empty() -> None:
        file.unlink(missing_ok=True)
        with duckdb.connect(str(file)) as connection:
            connection.execute(TABLE)

    config = f"kind: db, driver: duckdb, config: {{path: {file}}}"
    ours = _prepared(empty, command(_flow(folder, "duckdb", config, source), dict(os.environ)))
    copy = command([sys.executable, "-c", COPY_DUCKDB, str(file), str(source)], dict(os.environ))
    times = interleaved(ours, _prepared(empty, copy), rounds)
    yield Row("DuckDB: load 1 M rows x 10 from csv", "DuckDB COPY", *times, "")


def _postgres(folder: Path, source: Path, server: Postgres, rounds: int) -> Iterator[Row]:
    database = server.new_database()
    url = server.url(database, scheme="postgresql")
    server.execute(TABLE, database)

    def empty() -> None:
        server.execute("TRUNCATE orders", database)

    config = f"kind: db, driver: sqlalchemy, config: {{url: '{server.url(database)}'}}"
    ours = _prepared(empty, command(_flow(folder, "postgres", config, source), dict(os.environ)))
    tool = ["psql", "-q", url, "-c", f"\\copy orders from '{source}' with (format csv, header)"]
    times = interleaved(ours, _prepared(empty, command(tool, dict(os.environ))), rounds)
    yield Row("PostgreSQL: load 1 M rows x 10 from csv", "psql \\copy", *times, "")
    plain = command([sys.executable, "-c", PLAIN_POSTGRES, url, str(source)], dict(os.environ))
    times = interleaved(ours, _prepared(empty, plain), 1)
    yield Row("PostgreSQL: load 1 M rows x 10 from csv", "csv module and executemany", *times, "")


def _flow(folder: Path, name: str, config: str, source: Path) -> list[str]:
    path = folder / f"load-{name}.yaml"
    path.write_text(
        f"version: 1\n"
        f"flow: {{id: f, state: {{path: {folder}/s.sqlite}}, workspace: {{root: {folder}/work}}}}\n"
        f"resources: {{shop: {{{config}}}}}\n"
        f"jobs:\n  - id: a\n    steps:\n"
        f"      - id: s\n        type: db_load\n"
        f"        inputs: {{resource: shop, table: orders, source_path: {source}}}\n"
    )
    return [AETHERFLOW, "run", str(path)]
