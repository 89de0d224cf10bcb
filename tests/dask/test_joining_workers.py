"""Workers that join while an engine waits for them or runs: they count, if they have its versions."""

from __future__ import annotations

from pathlib import Path

from tests.dask.cluster import Cluster
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until


def odd_plugin(folder: Path) -> dict[str, str]:
    """Return the variables of a process that has a plugin which this one has not."""
    info = folder / "odd_steps-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-steps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aetherflow.steps]\nodd = odd_steps\n")
    return {"PYTHONPATH": str(folder)}


def said(flow: FlowOnWorkers, text: str) -> None:
    """Return when the engine has said this."""
    wait_until(lambda: text in flow.tail(), f"it was not said: {text}\n{flow.tail()}", 60)


def test_a_run_waits_for_a_worker_that_offers_what_its_steps_need(cluster: Cluster) -> None:
    cluster.start_worker("plain")
    flow = FlowOnWorkers(cluster)
    flow.write([{**flow.waiting("job"), "runs_on": "gpu", "resources": {"SFTP": 1}}])
    flow.open("job")
    with flow.started() as engine:
        said(flow, "waiting for a worker of dask that offers what step job.wait needs: runs_on: gpu, SFTP: 1")
        assert not flow.events("run_started")
        cluster.start_worker("late", options=["--label", "gpu", "--resource", "SFTP=1"])
        assert engine.wait(60) == 0, flow.tail()
    assert flow.worker_of("job") == "late"


def test_a_worker_that_joins_with_other_versions_gets_no_work(cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker("good", threads=1)
    flow = FlowOnWorkers(cluster)
    jobs = ["one", "two", "three", "four"]
    flow.write(list(map(flow.waiting, jobs)), max_parallel_jobs=4)
    with flow.started() as engine:
        flow.until_event("step_placed")
        cluster.start_worker("odd", threads=4, environment=odd_plugin(tmp_path))
        said(flow, "AF826: the worker odd")
        said(flow, "odd-steps 1.0 instead of (not installed)")
        flow.open(*jobs)
        assert engine.wait(60) == 0, flow.tail()
    assert {flow.worker_of(job) for job in jobs} == {"good"}
    assert [len(flow.events("step_started", job)) for job in jobs] == [1] * len(jobs)
