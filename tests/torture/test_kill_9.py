"""kill -9 at random moments: what was acknowledged never runs again, nothing is lost, no child is left.

The real command runs a flow of 20 jobs whose steps append a line to a side-effect file; its process group is
killed at a random moment, and it is started again until it ends. Small in CI; `just torture` runs it large.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, marked, query, said, seed, start

KILLS = 1000 if LARGE else 16
WORKERS = 4 if LARGE else 2
DEADLINE_SECONDS = 60.0

pytestmark = pytest.mark.torture


def flow_text(root: Path) -> str:
    """Return a flow of 20 jobs in four layers; every job has a process step between two cheap ones."""
    lines = [
        "version: 1",
        "flow:",
        "  id: torture",
        "  workspace: {root: " + str(root / "work") + ", cleanup_policy: never}",
        "  state: {path: " + str(root / "state.sqlite") + "}",
        "jobs:",
    ]
    for number in range(20):
        layer, place = divmod(number, 5)
        lines += [f"  - id: j{number}"]
        if layer:
            needs = [f"j{(layer - 1) * 5 + place}", f"j{(layer - 1) * 5 + (place + 1) % 5}"]
            lines += [f"    depends_on: [{', '.join(needs)}]"]
            lines += [f"    when: jobs.{needs[0]}.outputs.count == 2"]
        script = f'printf "%s\\n" "$1" >> {root}/effects/$1; sleep 0.01'
        lines += [
            "    steps:",
            "      - id: first",
            "        type: check_items",
            "        inputs: {items: [a, b]}",
            "        outputs: {count: '{{result.count}}'}",
            "      - id: effect",
            "        type: external.process",
            "        inputs:",
            f"          command: [sh, -c, '{script}', sh, j{number}]",
            "      - id: last",
            "        type: check_items",
            "        inputs: {items: ['{{job.outputs.count}}']}",
            "        outputs: {last: '{{result.count}}'}",
        ]
    return "\n".join(lines) + "\n"


def acknowledged(database: Path, run_id: str) -> dict[str, int]:
    """Return how often each step has a stored SUCCESS."""
    sql = (
        "SELECT job_id || '.' || step_id, count(*) FROM events WHERE run_id = ? "
        "AND event = 'step_finished' AND json_extract(payload, '$.status') = 'SUCCESS' GROUP BY 1"
    )
    return {str(name): int(str(count)) for name, count in query(database, sql, run_id)}


def run_until_done(
    root: Path, run_id: str, moment: Callable[[], float], kills_wanted: int
) -> tuple[int, int]:
    """Start the run and kill it until it has been killed enough and then ends; return (kills, starts)."""
    flow, database = root / "flow.yaml", root / "state.sqlite"
    kills = starts = 0
    while True:
        starts += 1
        process = start(flow, run_id)
        if kills >= kills_wanted:
            assert process.wait(DEADLINE_SECONDS) == 0, said(flow, run_id)[-4000:]
            return kills, starts
        before = acknowledged(database, run_id)
        try:
            code = process.wait(moment())
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            wait_until(lambda: not marked(run_id), "children outlived the engine")
            after = acknowledged(database, run_id)
            assert all(after.get(name, 0) >= count for name, count in before.items()), (
                "an acknowledgement was lost"
            )
        else:
            assert code == 0, said(flow, run_id)[-4000:]
            return kills, starts


@pytest.mark.parametrize("worker", range(WORKERS))
def test_a_killed_engine_repeats_nothing_loses_nothing_and_leaves_nothing(
    worker: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number + worker)  # noqa: S311 - repeatable, keeps no secret
    (tmp_path / "effects").mkdir()
    (tmp_path / "flow.yaml").write_text(flow_text(tmp_path))
    kills = starts = runs = 0
    unacknowledged = 0
    began = time.monotonic()
    assert run_until_done(tmp_path, f"whole-{worker}-{UNIQUE}", lambda: 0, 0) == (0, 1)
    whole = time.monotonic() - began
    while kills < KILLS // WORKERS:
        run_id = f"torture-{worker}-{runs}-{UNIQUE}"
        runs += 1
        for file in (tmp_path / "effects").iterdir():
            file.unlink()
        killed, started = run_until_done(
            tmp_path, run_id, lambda: chance.uniform(0.2, 1.0) * whole, KILLS // WORKERS - kills
        )
        kills, starts = kills + killed, starts + started
        counts = acknowledged(tmp_path / "state.sqlite", run_id)
        assert counts == {f"j{n}.{step}": 1 for n in range(20) for step in ("first", "effect", "last")}
        effects = Counter({f.name: len(f.read_text().splitlines()) for f in (tmp_path / "effects").iterdir()})
        assert set(effects) == {f"j{n}" for n in range(20)}
        begun = started_effects(tmp_path / "state.sqlite", run_id)
        assert all(effects[job] <= begun[job] for job in effects), "a step ran without a stored start"
        unacknowledged += sum(effects.values()) - len(effects)
        check_outputs(tmp_path / "state.sqlite", run_id)
    counted = f"{kills} kills, {starts} starts, {runs} runs ended, 0 acknowledged steps repeated, 0 lost"
    counted += f", {unacknowledged} unacknowledged repeats, 0 children left"
    record_property("torture", f"kill -9, worker {worker}, seed {number}: {counted}")


def started_effects(database: Path, run_id: str) -> Counter[object]:
    """Return how often each job's effect step has a stored start."""
    sql = (
        "SELECT job_id, count(*) FROM events WHERE run_id = ? AND event = 'step_started' "
        "AND step_id = 'effect' GROUP BY 1"
    )
    return Counter({job: int(str(count)) for job, count in query(database, sql, run_id)})


def check_outputs(database: Path, run_id: str) -> None:
    """Outputs are whole after any number of kills, and the database is sound."""
    assert query(database, "PRAGMA integrity_check") == [("ok",)]
    jobs = query(database, "SELECT status, outputs FROM job_state WHERE run_id = ?", run_id)
    assert {status for status, _ in jobs} == {"SUCCESS"}
    assert [json.loads(str(outputs)) for _, outputs in jobs] == [{"count": 2, "last": 1}] * 20
