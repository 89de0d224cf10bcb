"""Soak: a real server runs real flows every second, is killed again and again, and does not grow.

Half a minute in every run, half an hour in the large one. The load must have been applied, or the test fails:
firings, runs and kills are counted. After every start the descriptors and the memory of the server are
watched, and the log of its database.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query, seed
from tests.warm_start import COMMAND, Popen

SECONDS = 1800.0 if LARGE else 15.0
KILL_SECONDS = 120.0 if LARGE else 6.0
WARM_UP_SECONDS = 6.0 if LARGE else 3.0
ITEMS = 2
MOST_LOG_BYTES = 16 * 1024 * 1024
"""SQLite folds the log into the database every 1,000 pages of 4 KiB; a reader may hold it up for a while."""

MORE_DESCRIPTORS = 12
MORE_KILOBYTES = 60_000 if LARGE else 30_000

FLOW = """
version: 1
flow: {id: soak, workspace: {cleanup_policy: always}}
jobs:
  - id: a
    steps:
      - id: first
        type: check_items
        inputs: {items: ["{{run.scheduled_at}}"]}
        outputs: {n: "{{result.count}}"}
      - {id: work, type: external.process, inputs: {command: [sh, -c, "sleep 0.1; echo done"]}}
  - id: b
    depends_on: [a]
    when: jobs.a.outputs.n == 1
    steps:
      - {id: last, type: check_items, inputs: {items: [x]}}
"""

pytestmark = pytest.mark.torture


class Watched:
    """A server and what it used when it was warm."""

    def __init__(self, root: Path) -> None:
        self.root = root
        env = {"PATH": os.environ["PATH"], "AETHERFLOW_STATE_ROOT": str(root), "HOME": str(root)}
        with (root / "server.log").open("ab") as log:
            self.process = Popen(
                [COMMAND, "serve", "scheduler.yaml"],
                cwd=root,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.began = time.monotonic()
        self.warm: tuple[int, int] | None = None

    def look(self) -> None:
        """Compare what the server uses with what it used when it was warm."""
        if time.monotonic() - self.began < WARM_UP_SECONDS or self.process.poll() is not None:
            return
        now = descriptors(self.process.pid), kilobytes(self.process.pid)
        if self.warm is None:
            self.warm = now
        assert now[0] <= self.warm[0] + MORE_DESCRIPTORS, f"descriptors: {self.warm[0]}, then {now[0]}"
        assert now[1] <= self.warm[1] + MORE_KILOBYTES, f"memory: {self.warm[1]} kB, then {now[1]} kB"

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(timeout=90)


def descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def kilobytes(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def left_by(state: Path, killed_at: str) -> int:
    """Return how many firings that a server had started before it was killed are not ended yet."""
    rows = query(
        state,
        "SELECT count(*) FROM firings WHERE outcome = 'RUNNING' AND julianday(started_at) < julianday(?)",
        killed_at,
    )
    return int(str(rows[0][0]))


def test_a_server_under_load_and_kills_stays_as_it_is(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - chance, not secrets
    (tmp_path / "flow.yaml").write_text(FLOW)
    items = "".join(
        f"- {{id: i{n}, interval_seconds: 1, flow_yaml: flow.yaml, max_instances: 20, catch_up: all}}\n"
        for n in range(ITEMS)
    )
    (tmp_path / "scheduler.yaml").write_text(f"version: 1\nid: soak\nitems:\n{items}")
    state = tmp_path / "aetherflow.sqlite"
    log = state.with_name(f"{state.name}-wal")
    kills, most_log, killed_at = 0, 0, ""
    server = Watched(tmp_path)
    began = time.monotonic()
    try:
        next_kill = KILL_SECONDS * chance.uniform(0.6, 1.0)
        while time.monotonic() - began < SECONDS:
            time.sleep(0.25)
            server.look()
            most_log = max(most_log, log.stat().st_size if log.exists() else 0)
            if time.monotonic() - server.began > next_kill:
                server.end(signal.SIGKILL)
                kills, killed_at = kills + 1, datetime.now(UTC).isoformat()
                server, next_kill = Watched(tmp_path), KILL_SECONDS * chance.uniform(0.6, 1.0)
        wait_until(lambda: not left_by(state, killed_at), "the runs of the killed servers are taken over")
        assert server.end(signal.SIGTERM) == 128 + signal.SIGTERM
    finally:
        if server.process.poll() is None:
            server.process.kill()
    counted = query(state, "SELECT outcome, count(*) FROM firings GROUP BY 1")
    outcomes = {str(outcome): int(str(count)) for outcome, count in counted}
    resumed = query(state, "SELECT count(*) FROM events WHERE event = 'run_resumed'")[0][0]
    counts = (
        f"soak, seed {number}: {SECONDS:.0f} s, {outcomes} firings, {kills} kills, {resumed} runs resumed, "
    )
    counts += f"log at most {most_log / 1e6:.1f} MB"
    record_property("torture", counts)
    assert kills >= 2, counts
    assert outcomes.get("SUCCESS", 0) >= SECONDS * ITEMS * 0.6, f"the load was not applied: {counts}"
    assert set(outcomes) <= {"SUCCESS", "QUEUED", "SKIPPED", "CANCELLED"}, counts
    assert most_log <= MOST_LOG_BYTES, counts
    gaps = query(
        state,
        "SELECT item_id FROM firings GROUP BY item_id "
        "HAVING count(*) <> unixepoch(max(scheduled_at)) - unixepoch(min(scheduled_at)) + 1",
    )
    assert gaps == [], f"ticks are missing: {counts}"
