"""A kill at every named point of a step's life, its k-th passage, for every k until a run passes clean.

Each dead run is resumed with the plain command: what was acknowledged is not repeated, nothing is lost, the
outputs are whole, the database is sound and no child is left.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import warm_start
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.dying_command import POINTS
from tests.torture.processes import UNIQUE, marked, query, said, start

LAUNCHER = Path(__file__).with_name("dying_command.py")
JOBS = 3 if LARGE else 2
PASSAGES = 60
"""More than any point has in one run."""

pytestmark = pytest.mark.torture


def flow_text(root: Path) -> str:
    """Return a flow of a job and two that follow it; each has a step with an effect and one with none."""
    lines = [
        "version: 1",
        "flow:",
        "  id: failpoints",
        f"  workspace: {{root: {root}/work, cleanup_policy: never}}",
        f"  state: {{path: {root}/state.sqlite}}",
        "jobs:",
    ]
    for number in range(JOBS):
        script = f'printf "%s\\n" "$1" >> {root}/effects; printf "%s" "$1"'
        lines += [
            f"  - id: j{number}",
            *(["    depends_on: [j0]"] if number else []),
            "    steps:",
            "      - id: effect",
            "        type: external.process",
            "        inputs:",
            f"          command: [sh, -c, '{script}', sh, j{number}]",
            "          log: {stdout: capture}",
            "        outputs: {said: '{{result.stdout}}'}",
            "      - id: count",
            "        type: check_items",
            "        inputs: {items: ['{{job.outputs.said}}', b]}",
            "        outputs: {count: '{{result.count}}', heard: '{{job.outputs.said}}'}",
        ]
    return "\n".join(lines) + "\n"


def die_at(point: str, passage: int, flow: Path, run_id: str) -> int:
    """Run until the point; return the exit code, minus the signal's number."""
    with flow.with_name(f"{run_id}.log").open("ab") as log:
        done = warm_start.run(
            [sys.executable, LAUNCHER, point, str(passage), "run", flow, "--run-id", run_id],
            stdout=subprocess.DEVNULL,
            stderr=log,
            timeout=60,
            check=False,
        )
    return int(done.returncode)


def acknowledged(database: Path, run_id: str) -> Counter[str]:
    """Return how often each step has a stored SUCCESS."""
    rows = query(
        database,
        "SELECT job_id || '.' || step_id, count(*) FROM events WHERE run_id = ? AND event = 'step_finished' "
        "AND json_extract(payload, '$.status') = 'SUCCESS' GROUP BY 1",
        run_id,
    )
    return Counter({str(name): int(str(count)) for name, count in rows})


def effects(root: Path) -> Counter[str]:
    """Return how often each job's effect has happened."""
    file = root / "effects"
    return Counter(file.read_text().split()) if file.exists() else Counter()


def check_the_end(root: Path, run_id: str) -> None:
    """Assert that the run is as one that nobody has killed."""
    database = root / "state.sqlite"
    steps = [f"j{number}.{step}" for number in range(JOBS) for step in ("effect", "count")]
    assert acknowledged(database, run_id) == Counter(steps), "repeated or lost"
    outputs = query(
        database, "SELECT status, outputs FROM job_state WHERE run_id = ? ORDER BY job_id", run_id
    )
    assert [(status, json.loads(str(text))) for status, text in outputs] == [
        ("SUCCESS", {"said": f"j{n}", "count": 2, "heard": f"j{n}"}) for n in range(JOBS)
    ]
    assert query(database, "SELECT status FROM runs WHERE run_id = ?", run_id) == [("SUCCESS",)]
    assert query(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_passage_repeats_nothing_loses_nothing_and_leaves_nothing(
    point: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    flow, database = tmp_path / "flow.yaml", tmp_path / "state.sqlite"
    flow.write_text(flow_text(tmp_path))
    kills = repeated = 0
    for passage in range(1, PASSAGES):
        run_id = f"{point}-{passage}-{UNIQUE}"
        (tmp_path / "effects").unlink(missing_ok=True)
        code = die_at(point, passage, flow, run_id)
        wait_until(lambda run_id=run_id: marked(run_id) == [], "children outlived the engine", 10)  # type: ignore[misc]  # mypy infers no lambda defaults
        if code == 0:
            break
        assert code == -signal.SIGKILL, said(flow, run_id)
        kills += 1
        done, happened = acknowledged(database, run_id), effects(tmp_path)
        assert set(done.values()) <= {1}

        resumed = start(flow, run_id)
        assert resumed.wait(60) == 0, said(flow, run_id)

        check_the_end(tmp_path, run_id)
        for job, count in effects(tmp_path).items():
            more = count - happened[job]
            assert more == (0 if done[f"{job}.effect"] else 1), f"{job} at {point} {passage}"
            repeated += count - 1
        assert marked(run_id) == []
    else:
        raise AssertionError(f"no run passed {point} clean")
    check_the_end(tmp_path, run_id)
    assert effects(tmp_path) == Counter({f"j{number}": 1 for number in range(JOBS)})
    assert kills >= JOBS, "the point was never passed"
    record_property(
        "torture",
        f"failpoint {point}: {kills} kills, 0 acknowledged steps repeated, 0 lost, {repeated} "
        "unacknowledged repeats, 0 children left",
    )
