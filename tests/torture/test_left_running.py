"""kill -9 at random moments of a run that leaves processes: alive is exactly what an ended step left running.

Each of three jobs leaves two processes: one with `leave_running`, which writes for ever, and one without.
Small in CI; `just torture` runs it large.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, query, said, seed, start

KILLS = 60 if LARGE else 2
JOBS = ("j0", "j1", "j2")
CANARY = "hunter2-of-the-canary"
DEADLINE_SECONDS = 60.0

pytestmark = pytest.mark.torture

LEAVES = "(echo $BASHPID >>{root}/left.{job}; while sleep 0.02; do echo tick $DB_PASSWORD || exit 9; done) &"
HELPS = "(echo $BASHPID >>{root}/helper.{job}; exec sleep 1000 >/dev/null 2>&1) &"


def flow_text(root: Path) -> str:
    """Return a flow of three jobs: leave one running, leave another, work for a moment."""
    lines = [
        "version: 1",
        "flow:",
        "  id: leaving",
        f"  workspace: {{root: {root}/work}}",
        f"  state: {{path: {root}/state.sqlite}}",
        "jobs:",
    ]
    for job in JOBS:
        left, helper = (script.format(root=root, job=job) for script in (LEAVES, HELPS))
        lines += [
            f"  - id: {job}",
            "    steps:",
            "      - id: leaves",
            "        type: external.process",
            f"        inputs: {{command: [bash, -c, '{left}'], leave_running: true}}",
            "      - id: helper",
            "        type: external.process",
            f"        inputs: {{command: [bash, -c, '{helper}']}}",
            "      - {id: work, type: external.process, inputs: {command: [sleep, '2']}}",
        ]
    return "\n".join(lines) + "\n"


def living(root: Path, kind: str, job: str) -> list[int]:
    """Return the living processes that have written their number to a file."""
    file = root / f"{kind}.{job}"
    return [pid for pid in map(int, file.read_text().split()) if runs(pid)] if file.exists() else []


def runs(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def no_helper_lives(root: Path) -> bool:
    """Whether all processes have ended that nothing was to leave running."""
    return not any(living(root, "helper", job) for job in JOBS)


def ended(root: Path, run_id: str) -> set[object]:
    """Return the jobs whose leaving step has a stored SUCCESS."""
    sql = (
        "SELECT job_id FROM events WHERE run_id = ? AND event = 'step_finished' AND step_id = 'leaves' "
        "AND json_extract(payload, '$.status') = 'SUCCESS'"
    )
    return {job for (job,) in query(root / "state.sqlite", sql, run_id)}


def still_writes(root: Path, run_id: str, job: str) -> bool:
    """Whether what was left running still writes into the log of its step, masked."""
    log = root / "state.logs" / run_id / job / "leaves.1.log"
    size = log.stat().st_size
    wait_until(lambda: log.stat().st_size > size, f"{log} does not grow")
    return CANARY not in log.read_text()


def test_what_is_left_running_and_nothing_else_survives_a_killed_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setenv("DB_PASSWORD", CANARY)
    number = seed()
    chance = random.Random(number)  # noqa: S311 - repeatable, keeps no secret
    kills = left = unacknowledged = helpers = 0
    while kills < KILLS:
        root = tmp_path / f"{kills}"
        root.mkdir()
        flow, run_id = root / "flow.yaml", f"leaving-{kills}-{UNIQUE}"
        flow.write_text(flow_text(root))
        try:
            process = start(flow, run_id)
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(2.0, 5.5))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            kills += 1
            wait_until(partial(no_helper_lives, root), "a helper survived")
            helpers += sum((root / f"helper.{job}").exists() for job in JOBS)
            done = ended(root, run_id)
            for job in JOBS:
                if job in done:
                    assert len(living(root, "left", job)) == 1, (
                        f"{job} ended, and what it left did not survive"
                    )
            rerun = start(flow, run_id)
            assert rerun.wait(DEADLINE_SECONDS) == 0, said(flow, run_id)[-4000:]
            assert ended(root, run_id) == set(JOBS)
            for job in JOBS:
                alive = living(root, "left", job)
                assert len(alive) == 1 or job not in done, f"{job} was not run again, but there are {alive}"
                unacknowledged += len(alive) - 1
                left += len(alive)
                assert still_writes(root, run_id, job)
        finally:
            for job in JOBS:
                for pid in living(root, "left", job):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
    counted = f"{kills} kills, {left} processes left running and writing, {helpers} helpers ended"
    counted += f", {unacknowledged} left twice by a step that ran again"
    record_property("torture", f"left running, seed {number}: {counted}")
