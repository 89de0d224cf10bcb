"""Two processes, a pool of two slots, random kills: never more than two holders, none leaks, all gets done.

A step holds a lock of the kernel on one of two files while it works, which ends with its process and not a
moment later; a step that finds neither free writes that down. So the proof does not ask the database.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm_start
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import query, seed
from tests.torture.runners import Runners
from tests.warm_start import COMMAND

RUNS, JOBS = (60, 20) if LARGE else (6, 8)
KILLS = 60 if LARGE else 4
SLOTS = 2

pytestmark = pytest.mark.torture

PLUGIN = '''
import fcntl
import os
from pathlib import Path

import anyio

from aetherflow import step


@step("guarded")
async def guarded(context, inputs: dict):
    """Work while no more than two do."""
    folder = Path(inputs["folder"])
    held, inside = [], 0
    for number in range(2):
        file = os.open(folder / f"slot.{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            inside += 1
            os.close(file)
        else:
            held.append(file)
            if len(held) == inputs["slots"]:
                break
    try:
        enough = len(held) == inputs["slots"]
        with (folder / ("done" if enough else "violations")).open("a") as log:
            log.write(f"{context.run_id}.{context.job_id} {inside}\\\\n")
        await anyio.sleep(0.02)
        while len((folder / "done").read_text().splitlines()) > int((folder / "may").read_text()):
            await anyio.sleep(0.02)
    finally:
        for file in held:
            os.close(file)
'''.replace("\\\\", "\\")


def flows(runners: Runners) -> list[str]:
    """Write a flow whose jobs need one or both slots; return `FLOW RUN_ID` for every run."""
    (runners.folder / "plugins").mkdir()
    (runners.folder / "plugins" / "guarded.py").write_text(PLUGIN)
    runners.env["AETHERFLOW_PLUGIN_PATHS"] = str(runners.folder / "plugins")
    lines = ["version: 1", "flow: {id: pooled, max_parallel_jobs: 4}", "jobs:"]
    for number in range(JOBS):
        slots = 2 if number % 5 == 4 else 1
        inputs = f"{{folder: {runners.folder}, slots: {slots}}}"
        step = f"{{id: s, type: guarded, pool: p, slots: {slots}, inputs: {inputs}}}"
        lines.append(f"  - {{id: j{number}, steps: [{step}]}}")
    flow = runners.write("flow.yaml", "\n".join(lines) + "\n")
    return [word for number in range(RUNS) for word in (flow, f"r{number}")]


def lines_of(runners: Runners, name: str) -> list[str]:
    """Return what the steps wrote."""
    file = runners.folder / name
    return file.read_text().splitlines() if file.exists() else []


def allow(runners: Runners, steps: int) -> None:
    """Let steps end while no more than so many have begun; the next ones keep their slots till more may."""
    runners.write("may.new", str(steps))
    (runners.folder / "may.new").replace(runners.folder / "may")


class Fleet:
    """Two processes, each with its half of the runs, started again when they are killed."""

    def __init__(self, runners: Runners, wanted: list[str]) -> None:
        half = len(wanted) // 4 * 2
        self.runners = runners
        self.wanted = [wanted[:half], wanted[half:]]
        self.changes: list[dict[str, object]] = []
        self.processes = [self.start(0), self.start(1)]

    def start(self, number: int) -> subprocess.Popen[str]:
        """Start a process with the runs that have not ended yet."""
        ended = {
            row[0] for row in query(self.runners.state, "SELECT run_id FROM run_state WHERE finished_at > ''")
        }
        begun = {row[0] for row in query(self.runners.state, "SELECT run_id FROM run_state")}
        pairs = zip(self.wanted[number][::2], self.wanted[number][1::2], strict=True)
        left = [word for pair in pairs if pair[1] not in ended | begun for word in pair]
        return self.runners.start(*left, slots=6)

    def holds(self, number: int) -> bool:
        """Whether a process holds slots just now."""
        held = "SELECT 1 FROM pool_claims WHERE granted_at > '' AND json_extract(owner, '$.pid') = ?"
        return bool(query(self.runners.state, held, self.processes[number].pid))

    def holders(self) -> list[int]:
        """Return the processes that hold slots just now."""
        return [number for number in (0, 1) if self.holds(number)]

    def kill(self, number: int) -> None:
        """Kill a process, and start another in its place."""
        self.processes[number].send_signal(signal.SIGKILL)
        self.collect(number)
        self.processes[number] = self.start(number)

    def collect(self, number: int) -> None:
        """Read what a process printed."""
        out, err = self.processes[number].communicate(timeout=180)
        assert self.processes[number].returncode in (0, -signal.SIGKILL), err
        assert "Traceback" not in err, err
        for line in out.splitlines():
            if line.endswith("}"):  # the last one may be cut off
                self.changes.append(json.loads(line))


def test_never_more_holders_than_slots_and_none_leaks(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - a test's own chance
    runners = Runners(tmp_path)
    wanted = flows(runners)
    made = ["pools", "set", "p", str(SLOTS)]
    warm_start.run([COMMAND, *made], env=runners.env, check=True, capture_output=True)
    allow(runners, 0)
    fleet = Fleet(runners, wanted)
    kills_under_load = 0
    for kill in range(KILLS):
        due = int(RUNS * JOBS * 0.8 * (kill + chance.random()) / KILLS)
        allow(runners, due)
        wait_until(lambda due=due: len(lines_of(runners, "done")) > due, f"{due} steps", 60)  # type: ignore[misc]
        wait_until(lambda: bool(fleet.holders()), "a process that holds slots")
        victim = chance.choice(fleet.holders() or [0, 1])
        kills_under_load += fleet.holds(victim)
        fleet.kill(victim)
    allow(runners, 10 * RUNS * JOBS)
    for process in range(2):
        fleet.collect(process)
    last = runners.run()  # what the last kill left behind, if both had looked before it

    done = Counter(line.split()[0] for line in lines_of(runners, "done"))
    side_by_side = sum(line.endswith(" 1") for line in lines_of(runners, "done"))
    record_property(
        "torture",
        f"pools: seed {number}, {RUNS * JOBS} steps, {KILLS} kills of which {kills_under_load} under load, "
        f"{sum(done.values())} executions, {side_by_side} beside another, 0 violations, last {len(last)}",
    )
    assert lines_of(runners, "violations") == []
    assert query(runners.state, "SELECT status, count(*) FROM runs GROUP BY status") == [("SUCCESS", RUNS)]
    assert set(done) == {f"r{run}.j{job}" for run in range(RUNS) for job in range(JOBS)}
    assert query(runners.state, "SELECT count(*) FROM pool_claims") == [(0,)]
    assert side_by_side > 0  # both slots were in use at a time
    assert kills_under_load > 0
