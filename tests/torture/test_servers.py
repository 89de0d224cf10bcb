"""Two and four servers on one database, a fast clock, kills, pauses: every tick has one row and one run.

The servers are real processes with `app.serving`; their items fire every few seconds of a clock that runs
faster, their runs are real. At random moments one of them is killed with -9 and started again, or stopped for
longer than its lease. At the end every tick between the first and the last has exactly one row, whose run
has succeeded, and no step was acknowledged twice.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query, seed
from tests.warm_start import Popen

SCRIPT = Path(__file__).with_name("fast_server.py")
TICKS = 5000 if LARGE else 25
ITEMS = 5
INTERVAL = 10
SPEED = 15.0 if LARGE else 20.0
KILL_EVERY = 2.5
LEAST_KILLS = LEAST_PAUSES = 3
SECONDS = 1800.0 if LARGE else 120.0

ENDED = (128 + signal.SIGTERM, -signal.SIGTERM)
"""In order; or while it was starting, before it heard signals."""

FLOW = """
version: 1
flow: {id: tick, workspace: {cleanup_policy: never}, state: {synchronous: normal, path: STATE}}
jobs:
  - id: a
    steps:
      - {id: first, type: check_items, inputs: {items: ["{{run.scheduled_at}}"]}}
      - {id: last, type: check_items, inputs: {items: [x]}}
"""
SLOW = "      - {id: slow, type: external.process, inputs: {command: [sleep, '0.3']}}\n"
"""One of the items takes its time, so that kills and pauses meet its runs in the middle."""

pytestmark = pytest.mark.torture


class Fleet:
    """Servers on one database."""

    def __init__(self, root: Path, count: int, runs: str) -> None:
        self.root = root
        self.state = root / "aetherflow.sqlite"
        self.runs = root / runs
        self.origin = time.time()
        self.count = count
        self.servers: list[subprocess.Popen[bytes]] = []
        self.log = (root / "servers.log").open("ab")

    def write(self, *, enabled: bool) -> None:
        """Write the scheduler file and its flow."""
        lines = ["version: 1", "id: torture", "state: {synchronous: normal}", "max_parallel_runs: 8"]
        lines += ["shutdown_grace_seconds: 3600", "items:"]
        for number in range(ITEMS):
            lines.append(
                f"- {{id: i{number}, interval_seconds: {INTERVAL}, flow_yaml: flow{number}.yaml, "
                "overlap: queue, "
                f"max_instances: 1000, catch_up: all, catch_up_maximum: 100000, "
                f"enabled: {str(enabled).lower()}}}"
            )
            slow = "" if number else SLOW
            flow = FLOW.replace("STATE", str(self.runs)) + slow
            (self.root / f"flow{number}.yaml").write_text(flow)
        (self.root / "scheduler.yaml").write_text("\n".join(lines) + "\n")

    def start(self) -> subprocess.Popen[bytes]:
        """Start a server."""
        schedule = self.root / "scheduler.yaml"
        return Popen(
            [sys.executable, SCRIPT, self.state, schedule, str(SPEED), str(self.origin)],
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin", "AETHERFLOW_STATE_ROOT": str(self.root), "PYTHONPATH": _root()},
        )

    def __enter__(self) -> Self:
        self.servers = [self.start() for _ in range(self.count)]
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            if server.poll() is None:
                server.send_signal(signal.SIGCONT)
                server.kill()
            server.wait()
        self.log.close()

    def kill_one(self, chance: random.Random) -> None:
        """Kill a server and start it again."""
        place = chance.randrange(self.count)
        self.servers[place].kill()
        self.servers[place].wait()
        self.servers[place] = self.start()

    def pause_one(self, chance: random.Random) -> None:
        """Stop a server, often for longer than its lease (30 s of its clock)."""
        server = self.servers[chance.randrange(self.count)]
        server.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.2, 45 / SPEED))
        server.send_signal(signal.SIGCONT)

    def rows(self, where: str = "") -> int:
        """Return how many firings there are."""
        found = query(self.state, f"SELECT count(*) FROM firings {where}")
        return int(str(found[0][0])) if found else 0

    def end(self) -> None:
        """Stop the servers in order, then let one without ticks finish what is queued."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        for server in self.servers:
            assert server.wait(timeout=120) in ENDED, log(self.root)
        self.write(enabled=False)
        self.servers = [self.start()]
        wait_until(lambda: not self.rows("WHERE finished_at IS NULL"), "all firings are over", SECONDS)
        self.servers[0].send_signal(signal.SIGTERM)
        assert self.servers[0].wait(timeout=120) in ENDED


def _root() -> str:
    return str(Path(__file__).parents[2])


@pytest.mark.parametrize(("servers", "runs"), [(2, "aetherflow.sqlite"), (4, "own.sqlite")])
def test_every_tick_has_one_row_and_one_run(
    tmp_path: Path, servers: int, runs: str, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - chance, not secrets
    kills = pauses = 0
    began = time.monotonic()
    fleet = Fleet(tmp_path, servers, runs)
    fleet.write(enabled=True)
    with fleet:
        while fleet.rows() < TICKS or kills < LEAST_KILLS or pauses < LEAST_PAUSES:
            assert time.monotonic() - began < SECONDS, f"seed {number}: {fleet.rows()} rows, {log(tmp_path)}"
            time.sleep(chance.uniform(0.2, KILL_EVERY))
            if chance.random() < 0.5:
                fleet.kill_one(chance)
                kills += 1
            else:
                fleet.pause_one(chance)
                pauses += 1
        took = time.monotonic() - began
        fleet.end()
    taken = query(fleet.runs, "SELECT count(*) FROM events WHERE event = 'run_resumed'")[0][0]
    counts = f"servers, seed {number}: {servers} on one database, runs in {runs}, "
    counts += f"{fleet.rows()} ticks in {took:.0f} s, {kills} kills, "
    counts += f"{pauses} pauses, {taken} runs resumed"
    record_property("torture", counts)
    assert kills >= LEAST_KILLS, counts
    assert pauses >= LEAST_PAUSES, counts
    check(fleet.state, fleet.runs, counts)


def check(state: Path, of_runs: Path, counts: str) -> None:
    """Every tick has one row, whose run has succeeded once."""
    rows = query(state, "SELECT item_id, scheduled_at, outcome, reason, run_id, ticks FROM firings")
    assert Counter((row[2], row[3]) for row in rows) == {("SUCCESS", ""): len(rows)}, counts
    for item in {row[0] for row in rows}:
        at = sorted(
            int(str(s))
            for (s,) in query(state, "SELECT unixepoch(scheduled_at) FROM firings WHERE item_id = ?", item)
        )
        assert at == list(range(at[0], at[-1] + 1, INTERVAL)), f"{counts}: ticks are missing or twice"
    runs = query(of_runs, "SELECT run_id, status FROM run_state")
    assert {run for run, _ in runs} == {row[4] for row in rows}, counts
    assert {status for _, status in runs} == {"SUCCESS"}, counts
    twice = query(
        of_runs,
        "SELECT run_id, step_id, count(*) FROM events WHERE event = 'step_finished' "
        "GROUP BY run_id, step_id HAVING count(*) <> 1",
    )
    ended = query(
        of_runs,
        "SELECT run_id FROM events WHERE event = 'run_finished' GROUP BY run_id HAVING count(*) <> 1",
    )
    assert (twice, ended) == ([], []), counts


def log(root: Path) -> str:
    """Return the end of what the servers said."""
    return (root / "servers.log").read_text(errors="replace")[-2000:]
