"""A holder that was paused beyond its lease writes nothing more; two processes never execute one run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.store import run_lease
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, marked, query, said, seed, start
from tests.warm_start import COMMAND, Popen

ROUNDS = 200 if LARGE else 4
TTL_SECONDS = run_lease.TTL_SECONDS if LARGE else 5.0
"""How long a lease lasts: as in production, or so short that a test can wait for its end."""
SHORT_LEASE = Path(__file__).with_name("short_lease.py")

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


def start_leased(flow: Path, run_id: str) -> subprocess.Popen[bytes]:
    """Start a run whose lease lasts for TTL_SECONDS."""
    return start(flow, run_id, command=(sys.executable, SHORT_LEASE, str(TTL_SECONDS)))


def holder(folder: Path, run_id: str) -> tuple[Path, Path, subprocess.Popen[bytes]]:
    """Start a run whose first step waits for a file `gate`, and pause its engine while it does."""
    folder.mkdir()
    flow, database = write_flow(folder, f"while [ ! -e {folder}/gate ]; do sleep 0.1; done")
    first = start_leased(flow, run_id)
    wait_until(lambda: bool(marked(run_id)), "the first did not start")
    os.kill(first.pid, signal.SIGSTOP)
    return flow, database, first


def history(database: Path, run_id: str) -> list[tuple[object, ...]]:
    """Return the numbers and events of a run."""
    return query(database, "SELECT seq, event FROM events WHERE run_id = ? ORDER BY seq", run_id)


def test_a_paused_holder_that_lost_its_lease_writes_nothing_more(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    runs = {f"fence-{turn}-{UNIQUE}": tmp_path / str(turn) for turn in range(ROUNDS)}
    held = {run_id: holder(folder, run_id) for run_id, folder in runs.items()}
    time.sleep(3 * TTL_SECONDS)  # all of them at once: what is proven needs the time to pass
    for run_id, (flow, database, first) in held.items():
        (flow.parent / "gate").touch()
        second = start_leased(flow, run_id)
        assert second.wait(30) == 0, said(flow, run_id)
        before = history(database, run_id)
        os.kill(first.pid, signal.SIGCONT)
        assert first.wait(30) == 75, said(flow, run_id)
        assert history(database, run_id) == before, "a fenced process has written"
        assert marked(run_id) == []
    record_property(
        "torture", f"fencing: {len(held)} holders paused for 3 x ttl ({3 * TTL_SECONDS:g} s), 0 wrote after"
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
        pair: list[Popen[bytes]] = [
            Popen(
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
    assert refused > 0, "no two processes ever met"
    record_property("torture", f"two processes, one run id: {rounds} pairs, {refused} refused with exit 75")
