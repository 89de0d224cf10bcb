"""The counters behind the decisions."""

from __future__ import annotations

import pytest

from aetherflow.engine.ready_queue import (
    WHOLE,
    JobInstance,
    MappedJob,
    ReadyQueue,
    instance_id,
    mapped_instance,
    whole_job,
)
from aetherflow.engine.state import RunState, apply, fold
from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan
from tests.engine.scripted_machine import RUN_ID, START, Session, by_name, failed, plan_of_jobs


def begun() -> RunState:
    return fold([e.RunStarted(at=START, flow_id="f", run_id=RUN_ID, flow_file="f", owner="me")])


def follow(ready_queue: ReadyQueue, state: RunState, *events: e.Event) -> None:
    for event in events:
        apply(state, event)
        assert isinstance(event, e.JobEvent)
        ready_queue.advance(state, event, ready_queue.instance(event.job_id))


def started(job_id: str, items: list[int] | None = None) -> e.Event:
    return e.JobStarted(at=START, flow_id="f", run_id=RUN_ID, job_id=job_id, items=items)


def ended(job_id: str, status: e.JobEnd = "SUCCESS") -> e.Event:
    return e.JobFinished(at=START, flow_id="f", run_id=RUN_ID, job_id=job_id, status=status)


def names(*jobs: JobInstance | None) -> list[str]:
    return [job.id if job else "" for job in jobs]


DIAMOND = (
    {"id": "end", "depends_on": ["left", "right"]},
    {"id": "left", "depends_on": ["top"]},
    {"id": "right", "when": "jobs.top.status != null"},
    {"id": "top"},
)


@pytest.fixture
def diamond() -> Plan:
    return plan_of_jobs(*DIAMOND)


def test_jobs_become_ready_as_those_before_them_end(diamond: Plan) -> None:
    state = begun()
    ready_queue = ReadyQueue(diamond, state, None, 8)
    ready = []
    while (job := ready_queue.ready()) is not None:
        ready.append(job.id)
        follow(ready_queue, state, started(job.id), ended(job.id))
    assert ready == ["top", "left", "right", "end"]
    assert (ready_queue.unfinished, ready_queue.running) == (0, {})


def test_what_failed_blocks_its_needers_and_not_those_that_only_wait(diamond: Plan) -> None:
    state = begun()
    ready_queue = ReadyQueue(diamond, state, None, 8)
    follow(ready_queue, state, started("top"), ended("top", "FAILED"))
    assert ready_queue.blocked_by == {1: "top"}
    follow(ready_queue, state, ended("left", "BLOCKED"), started("right"), ended("right", "SKIPPED"))
    assert ready_queue.blocked_by == {1: "top", 0: "left"}


def test_a_frontier_made_from_a_state_is_the_one_that_was_advanced_to_it(diamond: Plan) -> None:
    state = begun()
    ready_queue = ReadyQueue(diamond, state, None, 8)
    follow(ready_queue, state, started("top"), ended("top"), started("left"), ended("left", "SKIPPED"))
    fresh = ReadyQueue(diamond, state, None, 8)
    assert (
        (fresh.unfinished, fresh.blocked_by)
        == (ready_queue.unfinished, ready_queue.blocked_by)
        == (2, {0: "left"})
    )
    assert fresh.ready() == ready_queue.ready() == diamond.jobs[2]


def test_a_job_that_is_done_is_not_ready_again_when_one_before_it_runs_again(diamond: Plan) -> None:
    session = Session(diamond, play=by_name(top_s=failed()))
    session.finish()
    assert session.statuses() == {"top": "FAILED", "left": "BLOCKED", "right": "SUCCESS", "end": "BLOCKED"}
    again = Session(diamond, session.history)
    again.finish()
    assert set(again.statuses().values()) == {"SUCCESS"}
    assert [event.job_id for event in again.history if isinstance(event, e.JobStarted)].count("right") == 1


def test_only_selected_jobs_count(diamond: Plan) -> None:
    ready_queue = ReadyQueue(diamond, begun(), {1, 3}, 8)
    assert (ready_queue.unfinished, ready_queue.is_selected(0), ready_queue.is_selected(3)) == (
        2,
        False,
        True,
    )


def test_room_is_what_the_limit_leaves(diamond: Plan) -> None:
    state = begun()
    ready_queue = ReadyQueue(diamond, state, None, 1)
    assert ready_queue.has_room
    follow(ready_queue, state, started("top"))
    assert not ready_queue.has_room


@pytest.mark.parametrize(("item", "expected"), [(WHOLE, "a.b"), (0, "a.b[0]"), (12, "a.b[12]")])
def test_a_unit_has_the_id_of_its_job_or_its_item_and_is_found_by_it(item: int, expected: str) -> None:
    plan = plan_of_jobs({"id": "a.b"})
    instance = whole_job(plan.jobs[0]) if item == WHOLE else mapped_instance(plan.jobs[0], item)
    assert instance_id("a.b", item) == instance.id == expected
    assert ReadyQueue(plan, begun(), None, 1).instance(expected) == instance


def test_a_fan_starts_its_items_in_order_within_its_own_limit() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2, 3], "max_parallel": 2})
    state = begun()
    ready_queue = ReadyQueue(plan, state, None, 8)
    follow(ready_queue, state, started("fan", [1, 2, 3]))
    assert ready_queue.mapped_jobs == {0: MappedJob(total=3, following=0, running=0, unfinished=3)}
    assert ready_queue.running == {}
    follow(ready_queue, state, started("fan[0]"), started("fan[1]"))
    assert names(ready_queue.next_instance(), ready_queue.next_instance(beyond_limits=True)) == ["", "fan[2]"]
    follow(ready_queue, state, ended("fan[1]"))
    assert names(ready_queue.next_instance()) == ["fan[2]"]
    follow(ready_queue, state, started("fan[2]"), ended("fan[2]"), ended("fan[0]"))
    assert ready_queue.mapped_jobs == {0: MappedJob(total=3, following=3, running=0, unfinished=0)}
    follow(ready_queue, state, ended("fan"))
    assert (ready_queue.mapped_jobs, ready_queue.unfinished) == ({}, 0)


def test_a_resumed_fan_passes_by_the_items_that_had_ended() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2, 3]})
    session = Session(plan, limit=3)
    session.end("fan[1]")
    again = Session(plan, session.history, limit=1)
    assert again.running == ["fan[0]"]
    again.end("fan[0]")
    assert again.running == ["fan[2]"]
    assert again.finish().phase == "SUCCESS"
