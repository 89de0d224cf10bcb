"""Kill or cancel the engine while it extracts, loads, fills a report and packs: nothing half is to be seen.

One run is resumed until it has ended, then the next one begins. After every stop each file under its final
name must have the bytes that an undisturbed run wrote, each table all of its rows or none of the new ones,
and no process of the run may live.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from aetherflow.data_files import import_zstd
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.far_servers import is_temporary
from tests.torture.processes import UNIQUE, marked, query, said, seed, start

STOPS = 500 if LARGE else 16
STOPS_OF_A_RUN = 10
ROWS = 1_500
START = 0.4
"""The part of an undisturbed run's time that passes before its steps begin."""
DEADLINE_SECONDS = 120.0
SECRET = "not so secret"  # noqa: S105 - of this test

pytestmark = pytest.mark.torture


def make_source(path: Path) -> None:
    """Make the database that is extracted."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE, name TEXT, price DECIMAL(10,2))"
        )
        rows = (
            (n, f"2026-11-{n % 30 + 1:02}", f"näme {n * 7919}" if n % 9 else None, f"{n}.25")
            for n in range(ROWS)
        )
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)


def make_target(path: Path) -> None:
    """Make the database that is loaded, with a row of before in each table."""
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("replaced", "merged", "appended"):
            database.execute(
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, day DATE, name TEXT, price DECIMAL(10,2))"
            )
            database.execute(f"INSERT INTO {table} VALUES (-1, '2026-01-01', 'before', '0.00')")
        database.execute("CREATE TABLE script (name TEXT PRIMARY KEY, value INTEGER)")


def make_template(path: Path) -> None:
    """Make a template with a sample row and a total below."""
    with xlsxwriter.Workbook(path) as book:
        book.set_properties({"created": datetime(2026, 11, 1)})  # noqa: DTZ001 - as the library wants it
        sheet = book.add_worksheet("Report")
        sheet.write_row("A1", ["id", "day", "name", "price"])
        sheet.write_row("A2", [1, "", "sample", 1.5])
        sheet.write_formula("D3", "=SUM(D2:D2)")
        book.define_name("ROWS", "=Report!$A$2")


def step(name: str, kind: str, **inputs: Any) -> dict[str, Any]:
    return {"id": name, "type": kind, "inputs": inputs}


class Night:
    """One run: its files and tables, and what they must be."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.root = root / run_id
        self.root.mkdir()
        self.run_id = run_id
        self.flow = self.root / "flow.yaml"
        self.database = self.root / "state.sqlite"
        self.target = self.root / "target.sqlite"
        self.out = self.root / "out"
        make_target(self.target)
        make_template(self.root / "template.xlsx")
        self.flow.write_text(json.dumps(self._content(root / "source.sqlite")))

    def _content(self, source: Path) -> dict[str, Any]:
        sql = "SELECT id, day, name, price FROM orders ORDER BY id"

        def out(name: str) -> str:
            return str(self.out / name)

        def load(table: str, **more: Any) -> dict[str, Any]:
            return step(table, "db_load", resource="target", table=table, source_path=out("a.csv"), **more)

        fill = {
            "template_path": str(self.root / "template.xlsx"),
            "output": out("report.xlsx"),
            "targets": [
                {
                    "anchor": "ROWS",
                    "mode": "report_region",
                    "source_path": out("a.csv"),
                    "dtypes": {"id": "int", "price": "float"},
                    "style_mode": "copy_row",
                    "style_row_offset": 0,
                    "clear_style_row": True,
                },
                {"name": "all", "source_path": out("a.parquet")},
            ],
        }
        files = ["a.csv", "a.parquet", "a.jsonl.gz"]
        return {
            "version": 1,
            "flow": {
                "id": self.run_id,
                "workspace": {"root": str(self.root / "work")},
                "state": {"path": str(self.database)},
            },
            "resources": {
                "source": {"kind": "db", "driver": "sqlite3", "config": {"path": str(source)}},
                "target": {"kind": "db", "driver": "sqlite3", "config": {"path": str(self.target)}},
            },
            "jobs": [
                {
                    "id": "extract",
                    "steps": [
                        step(
                            "csv",
                            "db_extract_stream",
                            resource="source",
                            sql=sql,
                            output=out("a.csv"),
                            format="csv",
                        ),
                        step("tsv", "db_extract", resource="source", sql=sql, output=out("a.tsv")),
                        step(
                            "parquet",
                            "db_extract_stream",
                            resource="source",
                            sql=sql,
                            output=out("a.parquet"),
                            format="parquet",
                        ),
                        step(
                            "jsonl",
                            "db_extract_stream",
                            resource="source",
                            sql=sql,
                            output=out("a.jsonl.gz"),
                            format="jsonl",
                            compression="gz",
                        ),
                        step(
                            "marked",
                            "db_extract_stream",
                            resource="source",
                            sql="SELECT id, name FROM orders",
                            output=out("marked.csv"),
                            format="csv",
                            watermark={"column": "id", "name": "orders", "initial": -1},
                        ),
                    ],
                },
                {
                    "id": "load",
                    "depends_on": ["extract"],
                    "steps": [
                        load("replaced", mode="replace"),
                        load("merged", mode="upsert", key="id"),
                        load("appended", receipts_table="receipts"),
                        step(
                            "script",
                            "db_execute",
                            resource="target",
                            sql="INSERT INTO script VALUES ('a', 1) ON CONFLICT DO NOTHING;"
                            "INSERT INTO script VALUES ('b', 1) ON CONFLICT DO NOTHING;",
                        ),
                        step(
                            "check",
                            "db_check",
                            resource="target",
                            sql="SELECT count(*) FROM replaced",
                            expect={"equals": ROWS},
                        ),
                    ],
                },
                {
                    "id": "report",
                    "depends_on": ["extract"],
                    "steps": [
                        step("fill", "excel_fill_from_file", **fill),
                        step(
                            "back",
                            "excel_read",
                            path=out("report.xlsx"),
                            output=out("back.csv"),
                            sheet="DATA_all",
                        ),
                    ],
                },
                {
                    "id": "pack",
                    "depends_on": ["extract"],
                    "steps": [
                        step("zip", "zip", dest_path=out("a.zip"), src_dir=str(self.out), items=files),
                        step("tar", "zip", dest_path=out("a.tar.zst"), src_dir=str(self.out), items=files),
                        step("unzip", "unzip", src=out("a.zip"), dst=out("unzipped")),
                        step("untar", "unzip", src=out("a.tar.zst"), dst=out("untarred")),
                    ],
                },
            ],
        }

    def files(self) -> dict[str, str]:
        """Return the checksums of all files under a final name."""
        found = [path for path in self.out.rglob("*") if path.is_file() and not _is_hidden(path, self.out)]
        return {str(path.relative_to(self.out)): _checksum(path) for path in found}

    def tables(self) -> dict[str, int]:
        """Return how many rows each table has, and the stored mark."""
        counts = {}
        with closing(sqlite3.connect(self.target, timeout=30)) as database:
            for table in ("replaced", "merged", "appended", "script"):
                ((counts[table],),) = database.execute(f"SELECT count(*) FROM {table}").fetchall()
        return counts

    def successes(self) -> int:
        """Return how many successes the log of the run has."""
        log = self.flow.with_name(f"{self.run_id}.log")
        return log.read_text().count(" SUCCESS in ") if log.exists() else 0

    def run_to_the_end(self) -> None:
        """Start the run; it must succeed."""
        process = start(self.flow, self.run_id)
        assert process.wait(DEADLINE_SECONDS) == 0, said(self.flow, self.run_id)[-4000:]

    def check_between(self, right: dict[str, str]) -> None:
        """Check what is to be seen after a stop."""
        for name, checksum in self.files().items():
            assert right.get(name) == checksum, f"{name} is not what it must be"
        counts = self.tables()
        assert counts["replaced"] in (1, ROWS), counts
        assert counts["merged"] in (1, ROWS + 1), counts
        assert counts["appended"] in (1, ROWS + 1), counts
        assert counts["script"] in (0, 2), counts

    def check_at_end(self, right: dict[str, str]) -> None:
        """Check that all is there, once, and nothing else."""
        assert self.files() == right
        assert self.tables() == {"replaced": ROWS, "merged": ROWS + 1, "appended": ROWS + 1, "script": 2}
        left = [path for path in self.root.rglob("*") if is_temporary(path) or _is_hidden(path, self.out)]
        assert left == []
        assert query(self.database, "PRAGMA integrity_check") == [("ok",)]


def _checksum(path: Path) -> str:
    """Return a checksum of what is in a file; of an archive without the times of its files."""
    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            content = b"".join(name.encode() + archive.read(name) for name in archive.namelist())
    if path.suffixes == [".tar", ".zst"]:
        with tarfile.open(fileobj=io.BytesIO(import_zstd().decompress(content))) as packed:
            pairs = [(one.name, packed.extractfile(one)) for one in packed]
            content = b"".join(name.encode() + (file.read() if file else b"") for name, file in pairs)
    return hashlib.sha256(content).hexdigest()


def _is_hidden(path: Path, below: Path) -> bool:
    return path.is_relative_to(below) and any(part.startswith(".") for part in path.relative_to(below).parts)


def stop_at_random(night: Night, chance: random.Random, how: signal.Signals, seconds: float) -> bool:
    """Start the run and stop it within so many seconds; return False if it ended before."""
    moment = time.monotonic() + chance.uniform(0.05, seconds)
    process = start(night.flow, night.run_id)
    while time.monotonic() < moment and process.poll() is None:
        time.sleep(0.002)
    if process.poll() is None:
        send: Callable[[int, int], None] = os.killpg if how == signal.SIGKILL else os.kill
        send(process.pid, how)
    code = process.wait(DEADLINE_SECONDS)
    wait_until(lambda: not marked(night.run_id), "children outlived the engine")
    text = said(night.flow, night.run_id)[-4000:]
    allowed = {0, -signal.SIGKILL} if how == signal.SIGKILL else {0, 130, -signal.SIGINT}
    if how == signal.SIGINT and "init_import_site" in text:
        allowed.add(1)  # as -SIGINT: an interpreter that does not know signals yet
    assert code in allowed, text
    return code != 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "cancelled"])
def test_a_stopped_engine_leaves_no_half_file_and_no_half_table(
    how: signal.Signals, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(f"{number}{how}")  # noqa: S311 - repeatable, keeps no secret
    make_source(tmp_path / "source.sqlite")
    for name in ("first", "undisturbed"):  # the first one waits for imports that the others find done
        undisturbed = Night(tmp_path, f"data-{how.name.lower()}-{name}-{UNIQUE}")
        began = time.monotonic()
        undisturbed.run_to_the_end()
        seconds = time.monotonic() - began
    right = undisturbed.files()
    undisturbed.check_at_end(right)
    steps = undisturbed.successes()
    stops: Counter[str] = Counter()
    runs = 0
    while stops.total() < STOPS:
        runs += 1
        night = Night(tmp_path, f"data-{how.name.lower()}-{runs}-{UNIQUE}")
        for _ in range(min(STOPS_OF_A_RUN, STOPS - stops.total())):
            # A resumed run takes less time: its start, and what is not done yet.
            left = 1 - night.successes() / steps
            if not stop_at_random(night, chance, how, seconds * (START + (1 - START) * left)):
                break
            stops[how.name] += 1
            night.check_between(right)
        else:
            night.run_to_the_end()
        night.check_at_end(right)
    counted = f"{stops.total()} stops, {runs} runs ended, 0 half files, 0 half tables, 0 children left"
    record_property("torture", f"{how.name} of data steps, seed {number}: {counted}")
