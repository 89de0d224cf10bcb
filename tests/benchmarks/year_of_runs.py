"""Fill a state database with a year of a busy team: real runs, copied under other ids, flows and times.

As a script, `year_of_runs.py FOLDER --events N`: makes FOLDER/year.sqlite, the flows and the scheduler file.
A few runs are real, made by the command; the others are copies of them, made by SQL, with their firings and
leases, and with alerts where they failed. The same N makes the same year, up to now.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from flows import CHECK
from measure import environment, stopwatch

AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
EVENTS = 200_000
BUSY_YEAR = 10_000_000
"""How many events a busy team has in a year."""

YEAR = timedelta(days=365)
SCHEDULER = "team"
FLOWS = 6
"""How many flows of each kind there are, each with an item that fires it."""

FIRED = 0.8
"""The share of the runs that an item has started; persons started the others."""

POLL = "poll"
"""An item that has fired every five minutes; the runs are not in this database."""


class Kind(NamedTuple):
    """A kind of flow: its jobs, how often it runs beside the others, and the exit codes of its real run.

    A run with two exit codes was resumed.
    """

    name: str
    jobs: str
    weight: float
    exits: tuple[int, ...] = (0,)


def _jobs(count: int, *steps: str) -> str:
    """Return so many jobs of such steps, ten beside each other."""
    lines = []
    for number in range(count):
        after = f"depends_on: [j{number - 10}], " if number >= 10 else ""
        written = ", ".join(f"{{id: s{place}, {step}}}" for place, step in enumerate(steps))
        lines.append(f"  - {{id: j{number}, {after}steps: [{written}]}}")
    return "\n".join(lines)


def _shell(command: str, more: str = "") -> str:
    return f"type: external.process, inputs: {{shell: true, command: '{command}'}}{more}"


_ITEMS = ", ".join("abcdefghijklmnopqrstuvwxyz")
_EACH = f"\n  - {{id: each, for_each: [{_ITEMS}], steps: [{{id: s, {CHECK}}}]}}"
_RETRY = ", retry: {max_attempts: 2, backoff_seconds: 0}"
_SECOND_TIME = "test -e {folder}/{name}.was || { touch {folder}/{name}.was; exit 3; }"
KINDS = (
    Kind("beat", _jobs(1, CHECK), 50),
    Kind("import", _jobs(5, CHECK, CHECK), 30),
    Kind("report", _jobs(10, CHECK) + _EACH, 14),
    Kind("wide", _jobs(300, CHECK), 2.5),
    Kind("retried", _jobs(3, CHECK, _shell(_SECOND_TIME, _RETRY)), 1),
    Kind("broken", _jobs(3, CHECK, _shell("echo no >&2; exit 3")), 1.5, (1,)),
    Kind("resumed", _jobs(3, CHECK, _shell(_SECOND_TIME)), 0.5, (1, 0)),
    Kind("cancelled", _jobs(1, _shell("kill -TERM $PPID; sleep 9")), 0.4, (143,)),
    Kind("killed", _jobs(1, _shell("kill -KILL $PPID; sleep 9")), 0.01, (-9,)),
)  # fmt: skip


class Real(NamedTuple):
    """A real run, as a pattern of others: how many events it has, and the beginning that its times share."""

    kind: Kind
    run_id: str
    events: int
    clock: str


def make_year(folder: Path, events: int = EVENTS) -> Path:
    """Make the database, the flows and the scheduler file; return the database."""
    *_, path = making_year(folder, events)
    return path


def making_year(folder: Path, events: int) -> Iterator[Path]:
    """Make the year piece by piece."""
    path = folder / "year.sqlite"
    _write_files(folder, path)
    real = [_real_run(folder, path, kind) for kind in KINDS]
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
            raw.execute(f"PRAGMA {pragma}")
        _draw_runs(raw, real, events)
        for digit in "0123456789abcdef":
            _copy_runs(raw, digit)
            yield path
        polls = YEAR // timedelta(minutes=5) * events // BUSY_YEAR
        for statement in _FIRINGS.split(";\n"):
            raw.execute(statement, {"scheduler": SCHEDULER, "poll": POLL, "polls": polls})
        raw.execute("PRAGMA journal_mode = WAL")
    yield path


def _write_files(folder: Path, state: Path) -> None:
    items = []
    for kind in KINDS:
        for number in range(FLOWS):
            name = f"{kind.name}_{number}"
            jobs = kind.jobs.replace("{folder}", str(folder)).replace("{name}", kind.name)
            head = f"version: 1\nflow: {{id: {name}, state: {{path: {state}}}}}\njobs:\n"
            (folder / f"{name}.yaml").write_text(head + jobs + "\n")
            items.append(f'  - {{id: {name}, flow_yaml: {name}.yaml, cron: "{number} 3 * * *"}}')
    items.append(f'  - {{id: {POLL}, flow_yaml: beat_0.yaml, cron: "*/5 * * * *"}}')
    head = f"version: 1\nid: {SCHEDULER}\nstate: {{path: {state}}}\nitems:\n"
    (folder / "scheduler.yaml").write_text(head + "\n".join(items) + "\n")


def _real_run(folder: Path, state: Path, kind: Kind) -> Real:
    """Execute the first flow of a kind; return what its copies are made from."""
    run_id = f"real_{kind.name}"
    for wanted in kind.exits:
        words = [AETHERFLOW, "run", f"{kind.name}_0.yaml", "--run-id", run_id]
        done = subprocess.run(
            words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != wanted:
            raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    with closing(sqlite3.connect(state)) as raw:
        count, first, last = raw.execute(
            "SELECT count(*), min(at), max(at) FROM events WHERE run_id = ?", (run_id,)
        ).fetchone()
    return Real(kind, run_id, count, _beginning(first, last))


def _beginning(first: str, last: str) -> str:
    """Return what two times have in common, down to the minute."""
    return next(first[:length] for length in (16, 13, 10) if first[:length] == last[:length])


_PATTERNS = """
CREATE TEMP TABLE real_events AS SELECT run_id, seq, event, payload FROM events ORDER BY run_id, seq;
CREATE UNIQUE INDEX temp.real_event ON real_events (run_id, seq);
CREATE TEMP TABLE real_runs AS SELECT * FROM run_state;
CREATE TEMP TABLE real_jobs AS SELECT * FROM job_state ORDER BY run_id, job_id;
CREATE INDEX temp.real_job ON real_jobs (run_id, job_id);
CREATE TEMP TABLE real_steps AS SELECT * FROM step_state ORDER BY run_id, job_id, step_id;
CREATE INDEX temp.real_step ON real_steps (run_id, job_id, step_id);
UPDATE real_steps SET marks =
    '{"newest":{"before":{"type":"int","text":"1"},"after":{"type":"int","text":"2"}}}'
WHERE run_id = 'real_import' AND job_id = 'j0' AND step_id = 's0';
CREATE TEMP TABLE real_leases AS SELECT * FROM leases;
CREATE TEMP TABLE drawn (
    run_id TEXT PRIMARY KEY, real_id TEXT, clock TEXT, real_clock TEXT, flow TEXT, real_flow TEXT,
    fired INTEGER
) WITHOUT ROWID;
"""


def _draw_runs(raw: sqlite3.Connection, real: Sequence[Real], events: int) -> None:
    """Draw the runs of the year: their ids, their flows, when they began, and whether an item did it."""
    rng = random.Random(16)  # noqa: S311 - repeatable, keeps no secret
    end = datetime.now(UTC) - timedelta(hours=1)
    weights = [one.kind.weight for one in real]

    def rows() -> Iterator[tuple[object, ...]]:
        left = events
        while left > 0:
            (one,) = rng.choices(real, weights)
            left -= one.events
            flow = f"{one.kind.name}_{rng.randrange(FLOWS)}"
            clock = (end - rng.random() * YEAR).isoformat()[: len(one.clock)]
            run_id = f"{rng.getrandbits(48):012x}"
            yield run_id, one.run_id, clock, one.clock, flow, f"{one.kind.name}_0", rng.random() < FIRED

    raw.executescript(_PATTERNS)
    raw.executemany("INSERT INTO drawn VALUES (?, ?, ?, ?, ?, ?, ?)", rows())


_COPIED = {"events": "events", "run_state": "runs", "job_state": "jobs", "step_state": "steps"}
"""The tables with the rows of runs, and what the patterns of each are called."""


def _copy_runs(raw: sqlite3.Connection, digit: str) -> None:
    """Copy the rows of the runs whose ids begin with a digit."""
    for table, real in _COPIED.items():
        columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]  # without generated ones
        copied = ", ".join("d.run_id" if name == "run_id" else _copied(f"r.{name}") for name in columns)
        raw.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {copied} FROM drawn d "
            f"CROSS JOIN real_{real} r ON r.run_id = d.real_id WHERE d.run_id BETWEEN ? AND ?",
            (digit, digit + "g"),
        )
    raw.execute(
        "INSERT INTO leases SELECT 'run:' || d.run_id, generation, owner, 'run ' || d.run_id, acquired_at, "
        "expires_at, released_at, '', cancel_reason FROM drawn d "
        "CROSS JOIN real_leases r ON r.name = 'run:' || d.real_id WHERE d.run_id BETWEEN ? AND ?",
        (digit, digit + "g"),
    )


def _copied(column: str) -> str:
    """Return the expression that puts the id, the time and the flow of a copy in place of the real ones."""
    if column in ("r.seq", "r.event", "r.attempt", "r.job_id", "r.step_id", "r.status", "r.step_type"):
        return column
    changed = f"replace(replace({column}, d.real_clock, d.clock), d.real_flow, d.flow)"
    return f"replace({changed}, d.real_id, d.run_id)" if column == "r.payload" else changed


_FIRINGS = """
INSERT OR IGNORE INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, run_id,
    started_at, finished_at, due_at, reason)
SELECT :scheduler, flow_id, started_at, 'tick', started_at, status, run_id, started_at, finished_at,
    started_at, reason
FROM run_state JOIN drawn USING (run_id) WHERE fired AND status <> 'RUNNING';
INSERT OR IGNORE INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, started_at,
    finished_at, due_at, reason)
SELECT scheduler, item_id, substr(scheduled_at, 1, 17) || '59.999999Z', 'tick', decided_at,
    iif(firing_id % 7, 'SKIPPED', 'MISSED'), NULL, finished_at, due_at, 'a run of the item was running'
FROM firings WHERE firing_id % 5 = 0;
WITH RECURSIVE ticks (number, at) AS (SELECT 0, '2000' UNION ALL SELECT number + 1, strftime(
    '%Y-%m-%dT%H:%M:00.000000Z', 'now', '-' || (5 * (number + 1)) || ' minutes')
    FROM ticks WHERE number < :polls)
INSERT INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, started_at, finished_at,
    due_at)
SELECT :scheduler, :poll, at, 'tick', at, 'SUCCESS', at, at, at FROM ticks WHERE number > 0 ORDER BY at;
UPDATE firings SET backfill = 'backfill' || (firing_id / 5000), cause = 'backfill' WHERE firing_id % 50 = 0;
INSERT INTO backfills (backfill, scheduler, item_id, begins_at, ends_at, made_to, which, ticks, requested_at,
    requested_by, finished_at)
SELECT backfill, scheduler, item_id, min(scheduled_at), max(scheduled_at), max(scheduled_at), 'missing',
    count(*), min(decided_at), 'somebody', max(finished_at)
FROM firings WHERE backfill <> '' GROUP BY backfill;
INSERT INTO schedule_alerts (scheduler, item_id, scheduled_at, kind, alerted_at, message, run_id)
SELECT scheduler, item_id, scheduled_at, iif(outcome = 'FAILED', 'failure', 'late_start'), finished_at,
    'it failed', iif(firing_id % 3, NULL, run_id)
FROM firings WHERE outcome = 'FAILED' OR firing_id % 40 = 0;
INSERT INTO schedule_items
SELECT scheduler, item_id, '', strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM firings GROUP BY 1, 2;
INSERT INTO leases (name, generation, owner, holder, acquired_at, expires_at, released_at, run_id)
SELECT 'lock:' || flow_id || '/' || substr(started_at, 1, 10), 1, l.owner, r.run_id, started_at, started_at,
    started_at, r.run_id
FROM run_state r JOIN (SELECT owner FROM leases LIMIT 1) l GROUP BY flow_id, substr(started_at, 1, 10);
INSERT INTO marks (flow_id, name, type, value, moved_at, run_id, job_id, step_id)
SELECT flow_id, 'newest', 'int', '1', max(started_at), run_id, 'j0', 's0'
FROM run_state WHERE flow_id GLOB 'import_*' GROUP BY flow_id;
"""
"""What surrounds the runs: firings, backfills, alerts, items, locks and marks."""


def main() -> None:
    """Make a year and say how long that took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=EVENTS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    read = stopwatch()
    path = make_year(arguments.folder, arguments.events)
    size = path.stat().st_size / 1e9
    sys.stdout.write(f"{path}: {arguments.events:,} events, {size:.2f} GB, made in {read():.0f} s\n")


if __name__ == "__main__":
    main()
