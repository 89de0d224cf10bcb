"""How many jobs run at the same time when steps go to the workers of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.runs.run_paths import RunPaths, with_workers
from tests.execution.live_run import plan_of_file

LOCAL = RunPaths(Path("s"), Path("l"), Path("w"), {}, max_parallel_jobs=8, max_jobs_ahead=56)


@pytest.mark.parametrize(
    ("flow", "step", "jobs"),
    [
        ("", "", 64),  # 3 for each of the 16 slots wait in the queue of the cluster
        ("max_parallel_jobs: 5", "", 8),  # as the flow was resolved
        ("fail_fast: true", "", 16),
        ("", ", on_interrupt: fail", 16),  # what waits may count as begun after a crash
        ("", ", on_interrupt: skip", 16),
    ],
)
def test_jobs_wait_at_the_cluster_if_nothing_is_lost_by_it(
    tmp_path: Path, flow: str, step: str, jobs: int
) -> None:
    head = ", ".join(filter(None, ["id: x", flow]))
    text = f"version: 1\nflow: {{{head}}}\njobs: [{{id: a, steps: [{{id: s, type: check_items{step}}}]}}]\n"
    plan = plan_of_file(text, tmp_path)
    assert with_workers(LOCAL, plan, 16).max_parallel_jobs == jobs


def test_unknown_slots_change_nothing(tmp_path: Path) -> None:
    plan = plan_of_file(
        "version: 1\nflow: {id: x}\njobs: [{id: a, steps: [{id: s, type: check_items}]}]\n", tmp_path
    )
    assert with_workers(LOCAL, plan, 0) == LOCAL
