"""A holder that was paused beyond its lease writes nothing more; two processes never execute one run."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.processes import COMMAND, LARGE, marked, query, said, seed, start, wait_until

ROUNDS = 200 if LARGE else 50

pytestmark = pytest.mark.torture


def write_flow(folder: Path, script: str) -> tuple[Path, Path]:
    """Write a flow of one process step and a step after it; return the flow and its database."""
    flow, database = folder / "flow.yaml", folder / "state.sqlite"
    flow.write_text(
        f"version: 1\nflow: {{id: fence, state: {{path: {database}}}, workspace: {{root: {folder}/work}}}}\n"
        f"jobs:\n  - id: a\n    steps:\n"
        f"      - {{id: s, type: external.process, inputs: {{command: [sh, -c, '{script}']}}}}\n"
        f"      - {{id: t, type: check_items, inputs: {{items: [x]}}}}\n"
    )
    return flow, database


def expire_lease(database: Path, run_id: str) -> None:
    """Let the lease of a run run out, and its owner be of another host, as the passing of time would."""
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        connection.execute(
            "UPDATE leases SET expires_at = '2000-01-01T00:00:00.000000Z' WHERE name = ?", (f"run:{run_id}",)
        )
    connection.close()


@pytest.mark.parametrize("worker", range(2))
def test_a_paused_holder_that_lost_its_lease_writes_nothing_more(
    worker: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    gate = tmp_path / "gate"
    flow, database = write_flow(tmp_path, f"while [ ! -e {gate} ]; do sleep 0.02; done")
    refused = 0
    for turn in range(ROUNDS // 2):
        gate.unlink(missing_ok=True)
        run_id = f"fence-{worker}-{turn}-{tmp_path.parent.name}"
        first = start(flow, run_id)
        wait_until(lambda run=run_id: bool(marked(run)), "the first did not start")  # type: ignore[misc]
        os.kill(first.pid, signal.SIGSTOP)
        expire_lease(database, run_id)
        gate.touch()
        second = start(flow, run_id)
        assert second.wait(30) == 0, said(flow, run_id)
        history = query(database, "SELECT seq, event FROM events WHERE run_id = ? ORDER BY seq", run_id)
        os.kill(first.pid, signal.SIGCONT)
        assert first.wait(30) == 75, said(flow, run_id)
        after = query(database, "SELECT seq, event FROM events WHERE run_id = ? ORDER BY seq", run_id)
        assert after == history, "a fenced process has written"
        assert marked(run_id) == []
        refused += 1
    record_property(
        "torture", f"fencing, worker {worker}: {refused} paused holders, 0 wrote after the takeover"
    )


def test_two_processes_with_one_run_id_execute_it_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    effects = tmp_path / "effects"
    flow, _ = write_flow(tmp_path, f"echo once >> {effects}; sleep 0.3")
    rounds, refused = 10, 0
    for turn in range(rounds):
        effects.write_text("")
        run_id = f"twins-{turn}-{seed()}"
        pair = [
            subprocess.Popen(
                [COMMAND, "run", flow, "--run-id", run_id], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            for _ in range(2)
        ]
        outputs = [process.communicate(timeout=30)[1].decode() for process in pair]
        codes = [process.returncode for process in pair]
        assert effects.read_text() == "once\n"
        assert sorted(codes) in ([0, 75], [0, 0]), outputs  # [0, 0]: the second came when all was done
        for code, output in zip(codes, outputs, strict=True):
            if code == 75:
                refused += 1
                assert f"run {run_id} is being executed by process" in output
    record_property("torture", f"two processes, one run id: {rounds} pairs, {refused} refused with exit 75")
