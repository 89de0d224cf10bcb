"""Commands on a database of a year against the same commands on a database of a few runs.

The target is a difference: what a year adds to a command, in milliseconds. A busy team has
`run.py scale --events 10000000`.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from measure import Row, Timed, environment, interleaved, timed
from year_of_runs import AETHERFLOW, POLL, make_year

OLDEST = "SELECT run_id FROM run_state WHERE flow_id = 'report_2' ORDER BY started_at LIMIT 1"
FILE = ("--file", "scheduler.yaml")
STATE = ("--state", "year.sqlite")

CASES: dict[str, Sequence[str]] = {
    "runs list": ("runs", "list", *STATE),
    "runs list --flow, one that has none": ("runs", "list", "--flow", "nothing", *STATE),
    "runs list --status INTERRUPTED": ("runs", "list", "--status", "INTERRUPTED", *STATE),
    "runs list --item, a rare one": ("runs", "list", "--item", "killed_0", *STATE),
    "runs list --item, of many firings": ("runs", "list", "--item", POLL, *STATE),
    "runs list --param, that no run has": ("runs", "list", "--param", "day=never", *STATE),
    "runs show, the oldest": ("runs", "show", "{oldest}", *STATE),
    "runs show, the beginning of its id": ("runs", "show", "{beginning}", *STATE),
    "explain": ("explain", "{oldest}", *STATE),
    "run, a flow that has run often": ("run", "import_0.yaml"),
    "runs prune --keep-days 364 --dry-run": ("runs", "prune", "--keep-days", "364", "--dry-run", *STATE),
    "state show": ("state", "show", "newest", "--flow", "import_0", *STATE),
    "scheduler status": ("scheduler", "status", "scheduler.yaml"),
    "scheduler history": ("scheduler", "history", *FILE),
    "scheduler history --outcome MISSED": ("scheduler", "history", "--outcome", "MISSED", *FILE),
    "scheduler fire --here": ("scheduler", "fire", "beat_0", "--here", *FILE),
}


def one_year(folder: Path, rounds: int, events: int) -> Iterator[Row]:
    """Every command that looks at the past, a resume, the start of a server, and how long a prune locks."""
    year, few = folder / "year", folder / "few"
    for place, number in ((year, events), (few, 0)):
        place.mkdir()
        make_year(place, number)
    cases: dict[str, Callable[[Path], Timed]] = {
        **{what: partial(_command, words=words) for what, words in CASES.items()},
        "runs retry": partial(_command, words=("runs", "retry", "real_broken", *STATE), code=1),
        "serve, until it is ready": _serve,
        "runs prune: its longest lock": _longest_lock,
    }
    for what, work in cases.items():
        ours, floor = interleaved(work(year), work(few), rounds)
        more = f"{1000 * (ours - floor):+.0f} ms, < 200"
        yield Row(what, f"a few runs, not {events:,} events", ours, floor, more)


def _command(where: Path, words: Sequence[str], *, code: int = 0) -> Timed:
    with closing(sqlite3.connect(where / "year.sqlite")) as raw:
        run_id = raw.execute(OLDEST).fetchone() or ("real_report",)
    names = {"{oldest}": run_id[0], "{beginning}": run_id[0][:8]}
    arguments = [AETHERFLOW, *(names.get(word, word) for word in words)]

    def run() -> None:
        done = subprocess.run(arguments, cwd=where, env=environment(), capture_output=True, check=False)
        if done.returncode != code:
            raise RuntimeError(f"{arguments}: exit code {done.returncode}\n{done.stderr.decode()}")

    return lambda: timed(run)


def _serve(where: Path) -> Timed:
    """Return a function that starts a server and says when it named the next tick of its last item."""

    def start() -> float:
        started = time.perf_counter()
        words = [AETHERFLOW, "serve", "scheduler.yaml"]
        with subprocess.Popen(
            words, cwd=where, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            next(line for line in server.stdout or () if f" {POLL} " in line and " next " in line)
            took = time.perf_counter() - started
            server.send_signal(signal.SIGTERM)
            server.communicate()
        return took

    return start


def _longest_lock(where: Path) -> Timed:
    """Return a function that prunes one more day and says how long another process had to wait at most."""
    days = iter(range(364, 0, -1))

    def prune() -> float:
        words = [AETHERFLOW, "runs", "prune", "--keep-days", str(next(days)), *STATE]
        longest, locked_at = 0.0, 0.0
        with (
            closing(sqlite3.connect(where / "year.sqlite", timeout=0, isolation_level=None)) as raw,
            subprocess.Popen(words, cwd=where, env=environment(), stdout=subprocess.DEVNULL) as process,
        ):
            while process.poll() is None:
                now = time.perf_counter()
                try:
                    raw.execute("BEGIN IMMEDIATE")
                    raw.execute("ROLLBACK")
                except sqlite3.OperationalError:
                    locked_at = locked_at or now
                else:
                    longest = max(longest, now - locked_at) if locked_at else longest
                    locked_at = 0.0
                time.sleep(0.0005)
        return max(longest, 0.001)

    return prune
