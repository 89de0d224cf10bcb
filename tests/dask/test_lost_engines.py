"""Engines that die with work in flight, leave or lose the scheduler: attempts go on or end, never twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dask.cluster import Cluster, lives
from tests.dask.flow_on_workers import FlowOnWorkers
from tests.polling import wait_until
from tests.servers.tcp_proxy import TcpProxy

AGAIN: dict[str, Any] = {"retry": {"max_attempts": 3, "backoff_seconds": 0.01, "retry_on": ["lost"]}}
LOST_AFTER = 5.0


def test_a_resumed_run_joins_the_attempts_that_still_run(cluster: Cluster) -> None:
    cluster.start_worker("one")
    flow = FlowOnWorkers(cluster)
    flow.write([flow.waiting("during"), flow.waiting("between"), flow.waiting("last")], max_parallel_jobs=2)
    with flow.started() as engine:
        flow.until_started("during")
        flow.until_started("between")
        flow.until_event("step_placed", times=2)
        engine.kill()
        engine.wait(60)
    flow.open("between")  # it ends while there is no engine
    wait_until(lambda: flow.effects("between") == ["start", "end"], "it did not end")
    assert flow.effects("during") == ["start"]
    with flow.started() as engine:
        flow.until_event("run_resumed")
        flow.until_started("last")  # `between` has ended, so its slot is free
        flow.open("during", "last")
        assert engine.wait(60) == 0, flow.tail()
    assert set(flow.statuses().values()) == {"SUCCESS"}
    for name in ("during", "between", "last"):
        assert flow.effects(name) == ["start", "end"], name
        assert [event.get("attempt", 1) for event in flow.events("step_started", name)] == [1]
        assert len(flow.events("step_finished", name)) == 1
    assert not flow.programs()


def test_an_engine_whose_worker_died_meanwhile_starts_its_attempts_again(cluster: Cluster) -> None:
    worker = cluster.start_worker("one")
    flow = FlowOnWorkers(cluster)
    flow.write([flow.waiting("again"), flow.waiting("once", on_interrupt="fail")])
    with flow.started() as engine:
        flow.until_started("again")
        flow.until_started("once")
        engine.kill()
        engine.wait(60)
    worker.kill()
    wait_until(lambda: not flow.programs(), "programs have outlived their worker", 60)
    cluster.start_worker("two")
    flow.open("again", "once")
    assert flow.run() == 1, flow.tail()
    assert flow.statuses() == {"again": "SUCCESS", "once": "FAILED"}
    assert flow.effects("again") == ["start", "start", "end"]
    assert flow.effects("once") == ["start"]
    assert not flow.programs()


def test_what_waits_in_the_queue_of_the_cluster_does_not_run_when_the_engine_left(cluster: Cluster) -> None:
    cluster.start_worker("one", threads=1)
    flow = FlowOnWorkers(cluster)
    flow.write([flow.waiting("a"), flow.waiting("b")], max_parallel_jobs=2)
    with flow.started() as engine:
        wait_until(lambda: bool(flow.effects("a") or flow.effects("b")), "nothing was started")
        flow.until_event("step_started", times=2)
        engine.terminate()
        assert engine.wait(60) == 128 + 15, flow.tail()
    assert not flow.programs()
    flow.open("a", "b")
    other = FlowOnWorkers(cluster, "other")
    other.write([other.waiting("c")])
    other.open("c")
    assert other.run() == 0, other.tail()  # the only thread of the only worker is free, and behind the others
    assert sorted(flow.effects("a") + flow.effects("b")) == ["start"]


def test_a_lost_scheduler_ends_what_runs_and_a_new_one_gets_it_again(cluster: Cluster) -> None:
    cluster.start_worker("one", threads=1)
    flow = FlowOnWorkers(cluster, lost_after=LOST_AFTER)
    flow.write([flow.waiting("job", **AGAIN)])
    with flow.started() as engine:
        flow.until_started("job")
        cluster.kill_scheduler()
        cluster.start_scheduler()
        cluster.start_worker("two", threads=1)
        flow.until_started("job", 2)
        assert not lives(flow.pids("job")[0])
        flow.open("job")
        assert engine.wait(60) == 0, flow.tail()
    assert flow.effects("job") == ["start", "start", "end"]
    assert not flow.programs()


@pytest.mark.parametrize("how", ["cut", "swallowed"])
def test_an_engine_that_loses_the_scheduler_finds_it_again(cluster: Cluster, how: str) -> None:
    cluster.start_worker("one", threads=1)
    with TcpProxy(cluster.port) as proxy:
        flow = FlowOnWorkers(cluster, address=cluster.through(proxy), lost_after=LOST_AFTER)
        flow.write([flow.waiting("job", **AGAIN), flow.waiting("last", **AGAIN)], max_parallel_jobs=1)
        with flow.started() as engine:
            flow.until_started("job")
            if how == "cut":
                proxy.cut()
            else:
                proxy.pause()
                flow.until_event("step_retrying", "job")
                proxy.heal()
            flow.open("job", "last")
            assert engine.wait(60) == 0, flow.tail()
        assert flow.effects("job")[-1] == "end"
        assert len(flow.events("step_finished", "job")) == 1
        assert flow.effects("last") == ["start", "end"]
        assert not flow.programs()
