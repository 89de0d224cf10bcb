"""kill -9 while jobs that have started wait for their turn to work: only those that worked are repeated."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from aetherflow.runs.run_paths import LEAST_PARALLEL_JOBS
from tests.polling import wait_until
from tests.torture.processes import UNIQUE, marked, query, said, start

QUICK, SLOW = 200, 80
WORKING = max(4 * (os.cpu_count() or 1), LEAST_PARALLEL_JOBS)

pytestmark = pytest.mark.torture


def flow_text(root: Path) -> str:
    """Return a flow of many jobs that end at once, then many that note that they work and wait for a file."""
    lines = [
        "version: 1",
        f"flow: {{id: ahead, state: {{path: {root}/state.sqlite}}, workspace: {{root: {root}/work}}}}",
        "jobs:",
    ]
    lines += [
        f"  - {{id: q{number}, steps: [{{id: s, type: check_items, inputs: {{items: [x]}}}}]}}"
        for number in range(QUICK)
    ]
    script = f"echo >> {root}/effects/$1; while [ ! -e {root}/go ]; do sleep 0.02; done"
    for number in range(SLOW):
        lines += [
            f"  - id: s{number}",
            "    steps:",
            "      - id: s",
            "        type: external.process",
            f"        inputs: {{command: [sh, -c, '{script}', sh, s{number}]}}",
        ]
    return "\n".join(lines) + "\n"


def worked(root: Path) -> Counter[str]:
    """Return how often each slow job has begun to work."""
    return Counter({file.name: len(file.read_text().splitlines()) for file in (root / "effects").iterdir()})


def test_only_the_jobs_that_worked_are_repeated(tmp_path: Path) -> None:
    (tmp_path / "effects").mkdir()
    flow, run_id = tmp_path / "flow.yaml", f"ahead-{UNIQUE}"
    flow.write_text(flow_text(tmp_path))
    process = start(flow, run_id)
    wait_until(lambda: sum(worked(tmp_path).values()) == WORKING, "not all turns were taken")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not marked(run_id), "children outlived the engine")
    first = [f"s{number}" for number in range(WORKING)]
    assert worked(tmp_path) == dict.fromkeys(first, 1)
    sql = "SELECT job_id FROM step_state WHERE run_id = ? AND status = 'RUNNING'"
    assert set(first) <= {str(job) for (job,) in query(tmp_path / "state.sqlite", sql, run_id)}
    (tmp_path / "go").touch()
    assert start(flow, run_id).wait(60) == 0, said(flow, run_id)[-4000:]
    others = [f"s{number}" for number in range(WORKING, SLOW)]
    assert worked(tmp_path) == dict.fromkeys(first, 2) | dict.fromkeys(others, 1)
