"""A backfill with kills and two servers: each day runs once, with its own date.

The servers are real processes; at random moments one of them is killed with -9 and started again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query, seed
from tests.warm_start import COMMAND, Popen, run

DAYS = 1000 if LARGE else 20
LEAST_KILLS = 20 if LARGE else 2
MOST_SECONDS_TO_A_KILL = 3.0 if LARGE else 0.5  # 20 days take two seconds
SECONDS = 3600.0 if LARGE else 90.0
BEGIN, END = ("2023-01-01", "2025-09-27") if LARGE else ("2026-01-01", "2026-01-21")

FLOW = """
version: 1
flow:
  {id: day, workspace: {cleanup_policy: never}, state: {synchronous: normal}, params: {note: {default: none}}}
jobs:
  - id: a
    steps:
      - {id: first, type: check_items, inputs: {items: ["{{run.date}}"]},
         outputs: {day: "{{run.date}} {{params.note}}"}}
      - {id: slow, type: external.process, inputs: {command: [sleep, '0.1']}}
      - {id: last, type: check_items, inputs: {items: [x]}}
"""
ITEMS = """
version: 1
id: night
state: {path: STATE, synchronous: normal}
max_parallel_runs: 8
items:
- {id: a, cron: '30 2 * * *', flow_yaml: flow.yaml, max_instances: 1}
- {id: other, interval_seconds: 1, flow_yaml: flow.yaml, flow_job: a, overlap: queue}
"""

pytestmark = pytest.mark.sized


def start(folder: Path, *program: str) -> subprocess.Popen[bytes]:
    """Start a server."""
    with (folder / "servers.log").open("ab") as log:
        return Popen(
            [*(program or (COMMAND,)), "serve", "scheduler.yaml"],
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=folder,
            env=environment(folder) | ({"PYTHONPATH": str(Path(__file__).parents[2])} if program else {}),
        )


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a command."""
    return {"PATH": os.environ["PATH"], "AETHERFLOW_STATE_ROOT": str(folder)}


def command(folder: Path, *words: str) -> str:
    """Run a command that succeeds, and return what it prints."""
    done = run(
        [COMMAND, "scheduler", *words],
        cwd=folder,
        env=environment(folder),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("parallel", [(), ("--parallel", "3")])
def test_each_day_runs_once(
    tmp_path: Path, parallel: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    chance = random.Random(seed())  # noqa: S311 - no secret
    state = tmp_path / "aetherflow.sqlite"
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "scheduler.yaml").write_text(ITEMS.replace("STATE", str(state)))
    servers = [start(tmp_path) for _ in range(2)]
    kills = most_open = 0
    try:
        wait_until(lambda: len(query(state, "SELECT server FROM schedulers")) == 2)
        command(
            tmp_path, *("backfill", "a", "--from", BEGIN, "--to", END, "--param", "note=again", *parallel)
        )
        until = time.monotonic() + SECONDS
        while not query(state, "SELECT 1 FROM backfills WHERE finished_at IS NOT NULL"):
            assert time.monotonic() < until, command(tmp_path, "status", "scheduler.yaml")
            (opened,) = query(
                state, "SELECT count(*) FROM firings WHERE finished_at IS NULL AND item_id = 'a'"
            )
            most_open = max(most_open, int(str(opened[0])))
            time.sleep(0.2)
            if kills < LEAST_KILLS or LARGE:
                time.sleep(chance.uniform(0.1, MOST_SECONDS_TO_A_KILL))
                place = chance.randrange(2)
                servers[place].kill()
                servers[place].wait()
                servers[place] = start(tmp_path)
                kills += 1
        too_often = query(state, "SELECT reason FROM firings WHERE item_id = 'a' AND outcome <> 'SUCCESS'")
        assert all("times in a row" in str(reason) for (reason,) in too_often), too_often
        if too_often:  # their servers died in the same step, again and again: a person looks at them
            command(tmp_path, "backfill", "a", "--from", BEGIN, "--to", END, "--only", "failed")
            wait_until(
                lambda: query(state, "SELECT 1 FROM backfills WHERE finished_at IS NULL") == [], seconds=60
            )
    finally:
        for server in servers:
            server.kill()
            server.wait()
    rows = query(state, "SELECT date(scheduled_at), outcome, run_id FROM firings WHERE item_id = 'a'")
    assert Counter(outcome for _, outcome, _ in rows) == {"SUCCESS": DAYS}
    assert len({day for day, _, _ in rows}) == len({run for _, _, run in rows}) == DAYS
    days = query(
        state,
        "SELECT json_extract(outputs, '$.day') = date(scheduled_at) || ' again' FROM firings "
        "JOIN job_state USING (run_id) WHERE item_id = 'a'",
    )
    assert days == [(1,)] * DAYS
    twice = query(
        state,
        "SELECT run_id, payload FROM events WHERE event = 'step_finished' "
        "AND json_extract(payload, '$.status') = 'SUCCESS' "
        "AND run_id IN (SELECT run_id FROM firings WHERE item_id = 'a') "
        "GROUP BY run_id, json_extract(payload, '$.step_id') HAVING count(*) > 1",
    )
    assert twice == []
    assert kills >= LEAST_KILLS
    assert 0 < most_open <= 22
    seconds = time.monotonic() - began
    record_property(
        "torture",
        f"backfill {parallel}: {DAYS} days once, {kills} kills, {len(too_often)} of them "
        f"resumed by a second request, {seconds:.0f} s",
    )


BREAKS = """
version: 1
flow: {id: day, workspace: {cleanup_policy: never}}
jobs:
  - id: a
    steps:
      - {id: one, type: external.process, inputs: {command: [sh, -c, "echo one >> TRACE"]}}
      - {id: two, type: external.process, inputs: {command: [sh, -c, "echo two >> TRACE; test -e MENDED"]}}
"""


def test_a_server_that_dies_when_it_has_claimed_a_failed_run_loses_nothing(tmp_path: Path) -> None:
    state, trace = tmp_path / "aetherflow.sqlite", tmp_path / "trace"
    text = BREAKS.replace("TRACE", str(trace)).replace("MENDED", str(tmp_path / "mended"))
    (tmp_path / "flow.yaml").write_text(text)
    (tmp_path / "scheduler.yaml").write_text(ITEMS.replace("STATE", str(state)).partition("- {id: other")[0])
    days = ("backfill", "a", "--from", "2026-01-01", "--to", "2026-01-03")
    ended = "SELECT 1 FROM backfills GROUP BY 1 HAVING count(finished_at) = "
    with start(tmp_path) as server:
        wait_until(lambda: query(state, "SELECT server FROM schedulers") != [])
        command(tmp_path, *days)
        wait_until(lambda: query(state, f"{ended} 1") != [], seconds=30)
        server.terminate()
    (tmp_path / "mended").touch()
    with start(tmp_path, sys.executable, "-m", "tests.torture.dying_at_claim") as server:
        wait_until(lambda: "server " in command(tmp_path, "status", "scheduler.yaml"))
        command(tmp_path, *days, "--only", "failed")
        assert server.wait(30) == -signal.SIGKILL
    begun = query(state, "SELECT outcome FROM firings WHERE started_at IS NOT NULL AND finished_at IS NULL")
    assert begun == [("RUNNING",)]
    with start(tmp_path) as server:
        wait_until(lambda: query(state, f"{ended} 2") != [], seconds=30)
        server.terminate()
    assert query(state, "SELECT outcome FROM firings") == [("SUCCESS",)] * 2
    assert sorted(trace.read_text().split()) == ["one"] * 2 + ["two"] * 4
