"""No command and no server reads a whole table that grows with history, apart from a few that are listed."""

from __future__ import annotations

import ast
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aetherflow.store.migrate import _statements
from aetherflow.store.state_schema import MIGRATIONS
from tests import warm_start
from tests.cli.command_line import SECONDS, CommandLine
from tests.polling import wait_until
from tests.store.query_plans import Statement, scans, take_statistics_of_a_year

ALLOWED = {
    "FROM run_state ORDER BY started_at DESC, run_id": "the newest runs, by an index: it stops",
    "FROM run_state ORDER BY started_at DESC LIMIT": "as above, and it has a limit",
    "FROM firings ORDER BY firing_id DESC LIMIT": "the newest firings, by the key: it has a limit",
    "AND +started_at < :border ORDER BY +started_at": "no index is for params; the newest are read before",
    "SELECT firing_id FROM firings WHERE finished_at < ?": "a prune reads them once, in no transaction",
    "DELETE FROM schedule_alerts AS old": "a prune; there are few alerts",
    "SELECT min(item_id) FROM firings WHERE scheduler = ?1": "the least one, the first in an index",
    "SELECT min(scheduler) FROM firings": "as above",
    "SELECT min(flow_id) FROM run_state": "as above",
}
"""What a statement that may read without a bound has in it, and why it may."""

FLOW = """version: 1
flow: {id: works, locks: {scope: flow}, params: {day: {type: string, default: monday}}}
jobs:
  - id: many
    for_each: [1, 2, 3]
    steps: [{id: one, type: check_items, inputs: {items: [x]}, pool: shared}]
"""
FAILS = """version: 1
flow: {id: fails}
jobs:
  - id: j
    steps: [{id: s, type: external.process, inputs: {command: ["false"]}, retry: {max_attempts: 2}}]
"""
WAITS = """version: 1
flow: {id: waits}
jobs: [{id: j, steps: [{id: s, type: external.process, inputs: {command: [sleep, "60"]}}]}]
"""
SCHEDULER = """version: 1
id: team
timezone: UTC
items:
  - {id: often, interval_seconds: 1, max_instances: 5, flow_yaml: works.yaml}  # some may still run
  - {id: nightly, cron: "0 3 * * *", flow_yaml: fails.yaml}
  - {id: sleeper, at: "2099-01-01T00:00", flow_yaml: waits.yaml}
"""


class Recorder:
    """The command, with every statement that it gives to SQLite in a file."""

    def __init__(self, cli: CommandLine) -> None:
        self.cli = cli
        self.file = cli.folder / "statements"
        self.env = cli.env | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command."""
        program = [sys.executable, "-m", "tests.store.recording_command", str(self.file)]
        return warm_start.Popen(
            [*program, *arguments],
            cwd=self.cli.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end; return what it printed."""
        process = self.start(*arguments)
        said = process.communicate(timeout=SECONDS)[0].decode()
        assert process.returncode == code, f"{' '.join(arguments)}: exit code {process.returncode}\n{said}"
        return said

    def statements(self) -> list[Statement]:
        """Return what was recorded, each statement once."""
        lines = self.file.read_text(encoding="utf-8").splitlines()
        found = [Statement(*ast.literal_eval(line)) for line in lines]
        return list({one.words: one for one in found}.values())


def _runs(record: Recorder) -> None:
    record.run("pools", "set", "shared", "2")
    for run_id in ("one", "two"):
        record.run("run", "works.yaml", "--run-id", run_id)
    record.run("run", "fails.yaml", "--run-id", "bad", code=1)
    record.run("runs", "retry", "bad", code=1)
    record.run("runs", "retry", code=1)
    record.run("runs", "list")
    record.run("runs", "list", "--flow", "works", "--status", "SUCCESS", "--since", "7d", "--until", "1h")
    record.run("runs", "list", "--item", "often", "--param", "day=monday")
    record.run("runs", "list", "--status", "INTERRUPTED", "--status", "FAILED", "--limit", "3", "--json")
    record.run("runs", "show")
    record.run("runs", "show", "on")
    record.run("runs", "show", "nothing", code=2)
    record.run("runs", "diff", "one", "two")
    record.run("runs", "export", "one", "--jsonl")
    record.run("runs", "export", "bad", "--html")
    record.run("events", "one")
    record.run("explain", "bad")
    record.run("logs", "bad", code=2)
    record.run("runs", "cancel", "one", code=2)


def _tables(record: Recorder) -> None:
    record.run("state", "set", "newest", "5", "--type", "int", "--flow", "works")
    record.run("state", "list")
    record.run("state", "show", "newest")
    record.run("state", "delete", "newest")
    record.run("pools", "list")
    record.run("locks", "list")
    record.run("locks", "release", "nothing", code=2)
    record.run("doctor", "works.yaml")


def _server(record: Recorder) -> None:
    """Serve a scheduler file: ticks, firings by hand, a backfill, a cancelled run, an end."""
    file = ("--file", "scheduler.yaml")
    server = record.start("serve", "scheduler.yaml")
    try:
        count = "SELECT count(*) FROM firings WHERE "

        def wait_for(which: str) -> None:
            wait_until(lambda: record.cli.query(count + which)[0][0] > 0, f"no firing {which}")

        wait_until(
            lambda: record.cli.state.exists() and bool(record.cli.query("SELECT 1 FROM schedulers")),
            "the server has not begun",
        )
        wait_for("item_id = 'often' AND outcome = 'SUCCESS'")
        record.run("scheduler", "fire", "sleeper", *file)
        wait_for("item_id = 'sleeper' AND outcome = 'RUNNING'")
        ((run_id,),) = record.cli.query("SELECT run_id FROM firings WHERE item_id = 'sleeper'")
        wait_until(
            lambda: bool(record.cli.query(f"SELECT 1 FROM step_state WHERE run_id = '{run_id}'")), "no step"
        )
        record.run("runs", "cancel", run_id)
        wait_for("item_id = 'sleeper' AND outcome = 'CANCELLED'")
        record.run("scheduler", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-04", *file)
        wait_for("backfill <> '' AND outcome = 'FAILED'")
        record.run("scheduler", "backfills")
        record.run("scheduler", "pause", "nightly", "--reason", "a test", *file)
        record.run("scheduler", "status")
        record.run("scheduler", "resume", "nightly", *file)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=SECONDS)


def _past(record: Recorder) -> None:
    """Ask for the past, and delete it."""
    file = ("--file", "scheduler.yaml")
    record.run("scheduler", "status", "scheduler.yaml")
    record.run("scheduler", "next", "scheduler.yaml")
    record.run("scheduler", "history", *file)
    record.run("scheduler", "history")
    record.run("scheduler", "history", "often", "--outcome", "MISSED", "--since", "7d", *file)
    record.run("scheduler", "explain", "nightly", "today", *file)
    record.run("scheduler", "fire", "often", "--here", *file)
    record.run("runs", "prune", "--keep-runs", "1", "--keep-days", "0", "--dry-run")
    record.run("runs", "prune", "--keep-days", "30")
    record.run("runs", "prune", "--keep-runs", "1")
    record.run("runs", "prune", "--keep-days", "0")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """Return a recorder of what the commands and a server ask, with the database that they have left."""
    record = Recorder(CommandLine(tmp_path_factory.mktemp("plans")))
    for name, text in (("works", FLOW), ("fails", FAILS), ("waits", WAITS), ("scheduler", SCHEDULER)):
        record.cli.write(f"{name}.yaml", text)
    _runs(record)
    _tables(record)
    _server(record)
    _past(record)
    return record


@pytest.fixture(params=["none", "of a year"])
def raw(request: pytest.FixtureRequest, recorded: Recorder, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Connect to a copy of the database with these statistics for SQLite."""
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(recorded.cli.state)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        if request.param == "of a year":
            take_statistics_of_a_year(target)
            target.commit()
    with closing(sqlite3.connect(copy)) as connection:
        yield connection


def test_nothing_reads_a_whole_table_that_grows_with_history(
    raw: sqlite3.Connection, recorded: Recorder
) -> None:
    statements = recorded.statements()
    assert len(statements) > 100
    found = {one.words: steps for one in statements if (steps := scans(raw, one))}
    may = [*ALLOWED, *(" ".join(one.split()) for script in MIGRATIONS for one in _statements(script))]
    wrong = {words: steps for words, steps in found.items() if not any(part in words for part in may)}
    assert wrong == {}
    assert [part for part in ALLOWED if not any(part in one.words for one in statements)] == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT run_id FROM run_state WHERE owner = ?",
        "SELECT count(*) FROM events",
        "SELECT r.run_id FROM run_state AS r WHERE r.reason = ? ORDER BY r.run_id",
        "SELECT run_id FROM runs WHERE status = ?",
        "SELECT 1 FROM marks WHERE EXISTS (SELECT 1 FROM step_state s WHERE s.error = marks.value)",
        "SELECT name FROM leases WHERE name LIKE 'lock:%'",
        "SELECT * FROM firings WHERE scheduler = ? ORDER BY scheduled_at DESC LIMIT 1",
        "UPDATE schedule_alerts SET run_id = NULL WHERE message = ?",
        "DELETE FROM job_state WHERE job_id = ?",
        "WITH found AS (SELECT * FROM firings f WHERE f.reason = ?) SELECT count(*) FROM found",
        "SELECT 1 FROM marks LEFT JOIN run_state AS r ON r.reason > marks.value",
        "SELECT 1 FROM marks JOIN step_state s ON s.error = marks.value",
        "SELECT 1 FROM json_each(?) AS given, job_state j WHERE j.error > given.value",
        'SELECT 1 FROM main."step_state" AS s WHERE error = ?',
    ],
)
def test_a_statement_that_reads_a_whole_table_is_found(raw: sqlite3.Connection, sql: str) -> None:
    assert scans(raw, Statement(sql, ("x",) * sql.count("?"))) != []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT payload FROM events WHERE run_id = ? ORDER BY seq",
        "SELECT name FROM leases WHERE name >= 'lock:' AND name < 'lock;' AND name = ?",
        "SELECT * FROM firings WHERE finished_at IS NULL AND scheduler = ?",
        "SELECT * FROM marks, json_each(?)",
        "SELECT 1 FROM marks LEFT JOIN run_state AS r ON r.run_id = marks.value",
        "SELECT * FROM firings WHERE firing_id > ? AND +scheduler = ?",
    ],
)
def test_a_statement_that_has_a_bound_is_not(raw: sqlite3.Connection, sql: str) -> None:
    assert scans(raw, Statement(sql, ("x",) * sql.count("?"))) == []


def test_what_a_command_asks_is_recorded(tmp_path: Path) -> None:
    """A statement that is added to an operation is seen, with its values."""
    file = tmp_path / "seen"
    program = (
        "import sqlite3, sys; from pathlib import Path\n"
        "from tests.store.recording_command import record_into\n"
        "record_into(Path(sys.argv[1])); raw = sqlite3.connect(':memory:')\n"
        "raw.execute('CREATE TABLE t (a)'); raw.executemany('INSERT INTO t VALUES (?)', [(1,), (2,)])\n"
        "raw.execute('SELECT a FROM t WHERE a = ?', (1,))"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, cwd=root, env=dict(os.environ))
    assert [ast.literal_eval(line) for line in file.read_text().splitlines()] == [
        ("CREATE TABLE t (a)", ()),
        ("INSERT INTO t VALUES (?)", (1,)),
        ("SELECT a FROM t WHERE a = ?", (1,)),
    ]
