"""Files and logs of attempts whose engine is killed, or whose worker comes back too late."""

from __future__ import annotations

from pathlib import Path

from tests.dask.cluster import Cluster, lives
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until


def artifacts(flow: FlowOnWorkers, job: str) -> Path:
    return flow.folder / "work" / "night" / job / flow.run_id / "artifacts"


def test_files_that_are_sent_and_logs_survive_the_engine(cluster: Cluster) -> None:
    cluster.start_scheduler()
    cluster.start_worker("one")
    flow = FlowOnWorkers(cluster, artifacts="ship")
    gates = (
        cluster.folder / "gates"
    )  # not beside the flow: the worker has its own folder in the place of that
    gates.mkdir()
    script = (
        f"echo $$ >> {gates}/started; echo before; until [ -e {gates}/open ]; do sleep 0.05; done; "
        f"echo after; echo made > made.txt; touch {gates}/ended"
    )
    inputs = {"command": ["sh", "-c", script]}
    flow.write([{"id": "a", "steps": [{"id": "wait", "type": "external.process", "inputs": inputs}]}])
    log = flow.folder / "state.logs" / flow.run_id / "a" / "wait.1.log"
    with flow.started() as engine:
        wait_until(lambda: log.exists() and log.read_text() == "before\n", f"no log\n{flow.tail()}", 60)
        engine.kill()
        engine.wait()
    (gates / "open").touch()
    wait_until((gates / "ended").exists, "the step did not go on", 60)
    assert not (artifacts(flow, "a") / "made.txt").exists()

    assert flow.run() == 0, flow.tail()

    assert (artifacts(flow, "a") / "made.txt").read_text() == "made\n"
    assert log.read_text() == "before\nafter\n"
    assert len((gates / "started").read_text().split()) == 1
    assert sorted(path.name for path in artifacts(flow, "a").parent.iterdir()) == ["artifacts"]


def test_a_worker_that_comes_back_too_late_changes_no_file(cluster: Cluster) -> None:
    cluster.start_scheduler()
    late = cluster.start_worker("late")
    flow = FlowOnWorkers(cluster, lost_after=5)
    job = flow.waiting("a", retry={"max_attempts": 2, "retry_on": ["lost"]})
    job["steps"][0]["inputs"]["idempotency"] = {"strategy": "marker", "marker_path": "marker"}
    flow.write([job, {**flow.waiting("b"), "depends_on": ["a"]}])
    marker = artifacts(flow, "a") / "marker"
    with flow.started() as engine:
        flow.until_started("a")
        late.hang_tree()
        cluster.start_worker("other")
        flow.until_started("a", 2)
        flow.open("a")
        flow.until_started("b")
        marker.unlink()  # the late attempt would make it again
        late.wake()
        wait_until(lambda: not lives(flow.pids("a")[0]), "a program has outlived its attempt", 60)
        flow.open("b")
        assert engine.wait(60) == 0, flow.tail()
    assert list(artifacts(flow, "a").iterdir()) == []
