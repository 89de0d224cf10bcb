"""Instances of an earlier time whose `for_each` job ends without them: they end too, and may come back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from aetherflow.events import run_events as e
from tests.engine.scripted_machine import Ending, Play, Session, by_name, failed, plan_of_jobs

PLAN = plan_of_jobs(
    {"id": "list", "steps": [{"id": "s", "type": "t", "outputs": {"files": "{{result.files}}"}}]},
    {"id": "fan", "depends_on": ["list"], "for_each": "{{jobs.list.outputs.files}}"},
)


def listing(*files: str, **endings: Ending) -> Play:
    return by_name(list_s=Ending(result={"files": list(files)}), **endings)


def ended(history: Sequence[e.Event], play: Play, *rerun: str) -> Session:
    session = Session(PLAN, history, play=play, rerun=rerun)
    session.finish()
    assert "PENDING" not in session.statuses().values()
    return session


def mapped(session: Session) -> dict[str, str]:
    return {job_id: status for job_id, status in session.statuses().items() if job_id.startswith("fan")}


def begun(session: Session, before: Session) -> list[str]:
    """Return the jobs that an execution has started."""
    return [
        event.job_id
        for event in session.history[len(before.history) :]
        if isinstance(event, e.JobStarted) and event.items is None
    ]


def test_instances_of_a_blocked_fan_are_blocked_and_run_later() -> None:
    first = ended((), listing("a", "b"))
    blocked = ended(first.history, by_name(list_s=failed()), "list")
    assert mapped(blocked) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "BLOCKED")
    assert blocked.state.job("fan[0]").reason == "job fan ended without it"

    healed = ended(blocked.history, listing("a", "b"))
    assert mapped(healed) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "SUCCESS")
    assert begun(healed, blocked) == ["list", "fan[0]", "fan[1]"]


def test_instances_of_a_cancelled_fan_are_cancelled() -> None:
    first = ended((), listing("a", "b"))
    session = Session(PLAN, first.history, play=listing("a"), rerun=["list"])
    session.cancel()
    session.finish()
    assert mapped(session) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "CANCELLED")


def test_instances_beyond_a_list_that_became_shorter_are_skipped_and_come_back_with_it() -> None:
    first = ended((), listing("a", "b", "c"))
    shorter = ended(first.history, listing("a"), "list")
    assert mapped(shorter) == {
        "fan": "SUCCESS",
        "fan[0]": "SUCCESS",
        "fan[1]": "SKIPPED",
        "fan[2]": "SKIPPED",
    }

    longer = ended(shorter.history, listing("x", "y", "z"), "list")
    assert set(mapped(longer).values()) == {"SUCCESS"}
    assert begun(longer, shorter) == ["list", "fan[0]", "fan[1]", "fan[2]"]


@pytest.mark.parametrize("then", ["resume", "rerun"])
def test_instances_of_a_fan_without_items_are_skipped_and_come_back(then: str) -> None:
    first = ended((), listing("a", "b"))
    empty = ended(first.history, listing(), "list")
    assert mapped(empty) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "SKIPPED")
    if then == "resume":
        empty = ended(empty.history, by_name(list_s=failed()), "list")
        assert mapped(empty) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "BLOCKED")

    full = ended(empty.history, listing("a", "b"), *(["list"] if then == "rerun" else []))
    assert mapped(full) == dict.fromkeys(["fan", "fan[0]", "fan[1]"], "SUCCESS")


def test_instances_of_a_fan_whose_items_are_no_list_are_blocked() -> None:
    first = ended((), listing("a", "b"))
    wrong = ended(first.history, by_name(list_s=Ending(result={"files": "text"})), "list")
    assert mapped(wrong) == {"fan": "FAILED", "fan[0]": "BLOCKED", "fan[1]": "BLOCKED"}
