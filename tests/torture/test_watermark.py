"""Runs that read by a watermark and are killed at random: every row is delivered, and none twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, query, said, seed, start

KILLS = 50 if LARGE else 4
MOST_RUNS = 20 * KILLS
LONGEST_SECONDS = 0.1
DEADLINE_SECONDS = 60.0
FLOW = """version: 1
flow:
  id: nightly
  workspace: {root: HERE/work}
  state: {path: HERE/state.sqlite}
resources:
  shop: {kind: db, driver: sqlite3, config: {path: shop.sqlite}}
jobs:
  - id: load
    steps:
      - id: orders
        type: db_extract_stream
        inputs:
          {resource: shop, sql: SELECT id FROM orders, output: orders.csv, format: csv, include_header: false,
           watermark: {column: id}}
      - id: deliver
        type: external.process
        inputs: {command: [cp, "{{steps.orders.artifact_path}}", "HERE/out/{{run.id}}.csv"]}
"""


def _has_begun(database: Path, run: str) -> bool:
    return query(database, "SELECT 1 FROM run_state WHERE run_id = ?", run) != []


@pytest.mark.torture
def test_no_row_is_lost_and_none_is_delivered_twice_when_runs_are_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - no secret
    flow = tmp_path / "flow.yaml"
    flow.write_text(FLOW.replace("HERE", str(tmp_path)))
    (tmp_path / "out").mkdir()
    database, killed, runs = tmp_path / "state.sqlite", 0, 0
    with closing(sqlite3.connect(tmp_path / "shop.sqlite", isolation_level=None)) as shop:
        shop.execute("PRAGMA synchronous = OFF")
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        while killed < KILLS and runs < MOST_RUNS:  # some end before they are killed
            runs += 1
            run = f"{UNIQUE}-{runs:04}"
            shop.execute("BEGIN")
            shop.executemany("INSERT INTO orders VALUES (NULL)", [()] * chance.randrange(20_000))
            shop.execute("COMMIT")
            process = start(flow, run)
            wait_until(partial(_has_begun, database, run), "the run did not begin")
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.0, LONGEST_SECONDS))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
                process.wait()
                assert start(flow, run).wait(DEADLINE_SECONDS) == 0, said(flow, run)
        expected = [row[0] for row in shop.execute("SELECT id FROM orders ORDER BY id")]
    delivered = [file.read_text().split() for file in sorted((tmp_path / "out").iterdir())]
    assert [int(line) for lines in delivered for line in lines] == expected, f"seed {number}"
    assert killed == KILLS
    record_property(
        "torture",
        f"watermark, seed {number}: {killed} of {runs} runs killed, {len(expected)} rows delivered",
    )
