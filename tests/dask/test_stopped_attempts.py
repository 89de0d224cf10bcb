"""Attempts that are cancelled or run out of time: their processes on the worker end, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.dask.cluster import Cluster, lives
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until

SHAPES = {
    "a child": "true;",
    "grandchildren": "sleep 1000 & sleep 1000 &",
    "a session of its own": "setsid sh -c 'sleep 1000 & sleep 1000' &",
    "ignores SIGTERM": "trap '' TERM;",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one worker for all tests here: none of them harms it."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.start_worker("one", threads=8)
        yield started


def _before(flow: FlowOnWorkers, name: str, script: str, **step: Any) -> dict[str, Any]:
    """Return a job that waits for its gate with such processes beside it."""
    job = flow.waiting(name, **step)
    command = job["steps"][0]["inputs"]["command"]
    command[2] = f"{script} {command[2]}"
    return job


def test_a_cancelled_run_leaves_no_process_on_its_worker(cluster: Cluster) -> None:
    flow = FlowOnWorkers(cluster, "cancelled")
    names = [f"j{number}" for number in range(len(SHAPES))]
    flow.write([_before(flow, *pair) for pair in zip(names, SHAPES.values(), strict=True)])
    with flow.started() as engine:
        for name in names:
            flow.until_started(name)
        assert cluster.left() >= {pid for name in names for pid in flow.pids(name)}
        engine.terminate()
        assert engine.wait(60) == 128 + 15, flow.tail()
        assert not flow.programs(), "they outlived the run"
    assert set(flow.statuses().values()) == {"CANCELLED"}


def test_a_step_out_of_time_leaves_no_process_on_its_worker(cluster: Cluster) -> None:
    flow = FlowOnWorkers(cluster, "late")
    names = [f"j{number}" for number in range(len(SHAPES))]
    jobs = [
        _before(flow, name, script, timeout_seconds=1)
        for name, script in zip(names, SHAPES.values(), strict=True)
    ]
    flow.write([*jobs, flow.waiting("beside")])
    with flow.started() as engine:
        for name in names:
            flow.until_event("job_finished", name)
        pids = [pid for name in names for pid in flow.pids(name)]
        assert not any(map(lives, pids))
        wait_until(lambda: flow.programs() == set(flow.pids("beside")), "processes of late steps are left")
        flow.open("beside")
        assert engine.wait(60) == 1, flow.tail()
    assert {event["error"]["kind"] for name in names for event in flow.events("step_finished", name)} == {
        "timeout"
    }
