"""Workers that die, hang, lose their network or come back: one result counts, and nothing is left running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dask.cluster import Cluster, WorkerProcess, lives
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until

AGAIN: dict[str, Any] = {"retry": {"max_attempts": 3, "backoff_seconds": 0.01, "retry_on": ["lost"]}}
ONCE: dict[str, Any] = {"retry": {"max_attempts": 3, "backoff_seconds": 0.01}, "on_interrupt": "fail"}
LOST_AFTER = 5.0


def test_the_attempts_of_a_killed_worker_are_lost_and_run_elsewhere_if_they_may(cluster: Cluster) -> None:
    workers = {name: cluster.start_worker(name, wait=False) for name in ("one", "two")}
    cluster.wait_for(workers)
    flow = FlowOnWorkers(cluster)
    flow.write([flow.waiting("again", **AGAIN), flow.waiting("once", **ONCE)])
    with flow.started() as engine:
        flow.until_started("again")
        flow.until_started("once")
        for name in {flow.worker_of("again"), flow.worker_of("once")}:
            workers[name].kill()
            cluster.start_worker(f"{name}-later", wait=False)
        flow.until_started("again", 2)
        assert not lives(flow.pids("again")[0])
        wait_until(lambda: not any(map(lives, flow.pids("once"))), "a program has outlived its worker", 60)
        flow.open("again", "once")
        assert engine.wait(60) == 1, flow.tail()
    assert flow.statuses() == {"again": "SUCCESS", "once": "FAILED"}
    assert flow.effects("again") == ["start", "start", "end"]
    assert flow.effects("once") == ["start"]
    (retried,) = flow.events("step_retrying", "again")
    assert (retried["error"]["kind"], retried["error"]["code"]) == ("lost", "AF882")
    (failed,) = flow.events("step_finished", "once")
    assert failed["error"]["kind"] == "lost"
    assert [event.get("attempt", 1) for event in flow.events("step_finished", "again")] == [2]
    assert not flow.programs()


def _moved_on(flow: FlowOnWorkers, worker: WorkerProcess) -> None:
    """Wait until the attempt of a worker that is out of reach was given to another, and finish that one."""
    flow.until_started("job", 2)
    first = flow.pids("job")[0]
    assert not lives(first), "the program of the lost attempt ran beside the next one"
    assert worker.lives or worker.process.returncode is not None
    flow.open("job")
    flow.until_event("job_finished", "job")


def test_a_hung_worker_is_lost_and_its_programs_end_before_the_next_attempt(cluster: Cluster) -> None:
    hung = cluster.start_worker("hung", threads=1)
    flow = FlowOnWorkers(cluster, lost_after=LOST_AFTER)
    flow.write([flow.waiting("job", **AGAIN)])
    with flow.started() as engine:
        flow.until_started("job")
        hung.hang()
        _moved_on(flow, hung)
        assert engine.wait(60) == 0, flow.tail()
    assert flow.effects("job") == ["start", "start", "end"]
    assert len(flow.events("step_finished", "job")) == 1
    assert not flow.programs()


def test_what_a_machine_says_that_was_paused_too_long_is_refused(cluster: Cluster) -> None:
    paused = cluster.start_worker("paused", threads=1)
    flow = FlowOnWorkers(cluster, lost_after=LOST_AFTER)
    flow.write([flow.waiting("job", **AGAIN), flow.waiting("last", **AGAIN)], max_parallel_jobs=1)
    with flow.started() as engine:
        flow.until_started("job")
        late = flow.pids("job")[0]
        paused.hang_tree()
        cluster.start_worker("other", threads=1)
        flow.until_started("job", 2)
        flow.open("job")
        flow.until_started("last")
        paused.wake()
        wait_until(lambda: not lives(late), "the program of the lost attempt goes on")
        flow.open("last")
        assert engine.wait(60) == 0, flow.tail()
    assert flow.effects("job").count("start") == 2
    assert len(flow.events("step_finished", "job")) == 1
    assert [event["worker"] for event in flow.events("step_placed", "job")] == ["paused", "other"]
    assert not flow.programs()


@pytest.mark.parametrize("how", ["cut", "swallowed"])
def test_a_worker_without_a_network_is_lost_and_stops_what_it_ran(cluster: Cluster, how: str) -> None:
    far = cluster.start_worker("far", threads=1, network=True)
    flow = FlowOnWorkers(cluster, lost_after=LOST_AFTER)
    flow.write([flow.waiting("job", **AGAIN), flow.waiting("last", **AGAIN)], max_parallel_jobs=1)
    with flow.started() as engine:
        flow.until_started("job")
        if how == "cut":
            far.network.unplug()
        else:
            far.network.pause()
        cluster.start_worker("near", threads=1)
        _moved_on(flow, far)
        flow.until_started("last")
        far.network.heal()
        flow.open("last")
        assert engine.wait(60) == 0, flow.tail()
    assert flow.effects("job") == ["start", "start", "end"]
    assert [event["worker"] for event in flow.events("step_placed", "job")] == ["far", "near"]
    assert not flow.programs()


def test_a_connection_that_breaks_for_a_moment_costs_no_more_than_an_attempt(cluster: Cluster) -> None:
    far = cluster.start_worker("far", threads=1, network=True)
    flow = FlowOnWorkers(cluster, lost_after=LOST_AFTER)
    flow.write([flow.waiting("job", **AGAIN)])
    with flow.started() as engine:
        flow.until_started("job")
        far.network.cut()
        cluster.start_worker("near", threads=1)
        flow.open("job")
        assert engine.wait(60) == 0, flow.tail()
    assert flow.effects("job")[-1] == "end"
    assert flow.effects("job").count("end") <= 2
    assert len(flow.events("step_finished", "job")) == 1
    assert not flow.programs()


def test_a_scheduler_that_starts_an_attempt_twice_has_one_of_them_refused(tmp_path: Path) -> None:
    """A scheduler of somebody else, which gives the tasks of a lost worker to another one by itself."""
    with Cluster(tmp_path / "cluster", {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}) as cluster:
        first = cluster.start_worker("first", threads=1)
        flow = FlowOnWorkers(cluster)
        flow.write([flow.waiting("once", **ONCE)])
        with flow.started() as engine:
            flow.until_started("once")
            cluster.start_worker("second", threads=1)
            first.kill()
            (program,) = flow.pids("once")
            wait_until(lambda: not lives(program), "the program has outlived its worker", 60)
            flow.open("once")
            assert engine.wait(60) == 1, flow.tail()
        assert flow.effects("once") == ["start"]
        (failed,) = flow.events("step_finished", "once")
        assert failed["error"]["kind"] == "lost"


def test_a_worker_that_is_asked_to_stop_says_so_and_leaves_nothing(cluster: Cluster) -> None:
    leaving = cluster.start_worker("leaving", threads=1)
    flow = FlowOnWorkers(cluster)
    flow.write([flow.waiting("job", **AGAIN)])
    with flow.started() as engine:
        flow.until_started("job")
        cluster.start_worker("staying", threads=1)
        leaving.ask_to_stop()
        assert leaving.wait() == 0, cluster.said("leaving")
        flow.until_started("job", 2)
        assert not lives(flow.pids("job")[0])
        flow.open("job")
        assert engine.wait(60) == 0, flow.tail()
    assert [event["worker"] for event in flow.events("step_placed", "job")] == ["leaving", "staying"]
    assert not flow.programs()
