"""for_each: one instance of a job per item, what they see, how they end together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from aetherflow.engine.machine import RunMachine
from aetherflow.engine.state import apply, fold
from aetherflow.events import run_events as e
from tests.engine.scripted_machine import (
    START,
    Ending,
    Play,
    Session,
    TickingClock,
    by_name,
    failed,
    plan_of_jobs,
)

LIST = {"id": "list", "steps": [{"id": "s", "type": "t", "outputs": {"files": "{{result.files}}"}}]}
FAN_STEP = {
    "id": "s",
    "type": "t",
    "inputs": {"i": "{{item}}", "n": "{{item_index}}"},
    "outputs": {"o": "{{result.o}}"},
}


def doubled(_work: object, _failures: int, inputs: Any) -> Ending:
    return Ending(result={"o": f"{inputs['i']}{inputs['i']}"})


def listing(files: object) -> Play:
    return by_name(list_s=Ending(result={"files": files}))


def test_every_item_gets_an_instance_and_outputs_come_in_the_order_of_the_items() -> None:
    session = Session(
        plan_of_jobs({"id": "fan", "for_each": ["a", "b", "c"], "steps": [FAN_STEP]}), play=doubled
    )
    assert session.running == ["fan[0]", "fan[1]", "fan[2]"]
    session.end("fan[2]", "fan[0]", "fan[1]")
    assert session.state.job("fan").outputs == {"o": ["aa", "bb", "cc"]}
    assert session.state.job("fan[1]").outputs == {"o": "bb"}
    assert session.statuses() == dict.fromkeys(["fan", "fan[0]", "fan[1]", "fan[2]"], "SUCCESS")
    assert session.log()[-2:] == ["fan SUCCESS", "run SUCCESS"]


def test_items_may_come_from_a_job() -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"})
    session = Session(plan, play=listing([{"path": "x"}, {"path": "y"}]))
    session.end("list")
    assert session.state.job("fan").items == [{"path": "x"}, {"path": "y"}]
    assert session.finish().phase == "SUCCESS"


@pytest.mark.parametrize(("limit", "most", "expected"), [(2, None, 2), (8, 3, 3), (2, 3, 2), (8, 9, 5)])
def test_at_most_max_parallel_instances_run_and_never_more_than_the_limit(
    limit: int, most: int | None, expected: int
) -> None:
    session = Session(
        plan_of_jobs({"id": "fan", "for_each": [1, 2, 3, 4, 5], "max_parallel": most}), limit=limit
    )
    started = list(session.running)
    widest = len(started)
    while session.doing:
        session.end(session.running[0])
        widest = max(widest, len(session.doing))
    assert (len(started), widest) == (expected, expected)


def test_a_fan_at_its_own_limit_leaves_room_for_others() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": [1, 2], "max_parallel": 1}, {"id": "other"})
    assert Session(plan).running == ["fan[0]", "other"]


def test_an_empty_list_skips_the_job() -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"})
    session = Session(plan, play=listing([]))
    assert session.finish().phase == "SUCCESS"
    assert (session.state.job("fan").status, session.state.job("fan").reason) == (
        "SKIPPED",
        "for_each: no items",
    )


@pytest.mark.parametrize("files", ["a,b", 3, "[1, 2", 0.5, True])
def test_what_is_no_list_fails_the_job(files: object) -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"})
    session = Session(plan, play=listing(files))
    assert session.finish().phase == "FAILED"
    error = session.state.job("fan").error
    assert error is not None
    assert (error.code, error.message.partition(",")[0]) == ("AF712", "for_each of job fan must give a list")


def test_the_value_that_is_no_list_is_shown() -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"})
    session = Session(plan, play=listing("a.csv, b.csv"))
    session.finish()
    error = session.state.job("fan").error
    assert error is not None
    assert error.message == "for_each of job fan must give a list, not a text: 'a.csv, b.csv'"


@pytest.mark.parametrize(
    ("files", "items"),
    [
        ('["a", 2]', ["a", 2]),
        (' [\n"a"]\n', ["a"]),
        ({"de": 1, "fr": [2]}, [{"key": "de", "value": 1}, {"key": "fr", "value": [2]}]),
        ('{"de": 1}', [{"key": "de", "value": 1}]),
        (["a", "a"], ["a", "a"]),
    ],
)
def test_json_text_and_mappings_give_items(files: object, items: list[object]) -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"})
    session = Session(plan, play=listing(files))
    assert session.finish().phase == "SUCCESS"
    assert session.state.job("fan").items == items


@pytest.mark.parametrize(("ending", "status"), [(failed(), "FAILED"), (Ending("SKIPPED", {}), "SKIPPED")])
def test_a_job_whose_list_never_came_is_blocked_by_the_job_that_makes_it(ending: Ending, status: str) -> None:
    makes = {"id": "s", "type": "t", "on_no_data": "skip_job", "outputs": {"files": "{{result.files}}"}}
    plan = plan_of_jobs(
        {"id": "list", "steps": [makes]}, {"id": "fan", "for_each": "{{jobs.list.outputs.files}}"}
    )
    session = Session(plan, play=by_name(list_s=ending))
    session.finish()
    fan = session.state.job("fan")
    assert (fan.status, fan.error) == ("BLOCKED", None)
    assert fan.reason == f"for_each: job list is {status}, there is no jobs.list.outputs.files"


def test_a_list_with_a_default_is_not_blocked() -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.files:[]}}"})
    session = Session(plan, play=by_name(list_s=failed()))
    session.finish()
    assert session.state.job("fan").status == "SKIPPED"


def test_items_that_are_missing_fail_the_job() -> None:
    plan = plan_of_jobs(LIST, {"id": "fan", "for_each": "{{jobs.list.outputs.other}}"})
    session = Session(plan, play=listing([1]))
    session.finish()
    error = session.state.job("fan").error
    assert error is not None
    assert error.code == "AF410"


def test_a_failed_instance_fails_the_job_after_the_others_have_run() -> None:
    session = Session(
        plan_of_jobs(
            {"id": "fan", "for_each": [1, 2, 3], "max_parallel": 1}, {"id": "z", "depends_on": ["fan"]}
        ),
        play=by_name(**{"fan[1]_s": failed()}),
    )
    assert session.finish().phase == "FAILED"
    assert session.statuses() == {
        "fan": "FAILED",
        "fan[0]": "SUCCESS",
        "fan[1]": "FAILED",
        "fan[2]": "SUCCESS",
        "z": "BLOCKED",
    }
    job = session.state.job("fan")
    assert job.reason == "1 of 3 instances failed, the first is fan[1]"
    assert job.error == failed().error


def test_an_instance_that_yields_nothing_leaves_a_gap() -> None:
    play = by_name(**{"fan[0]_s": Ending(result={"o": 1}), "fan[1]_s": Ending("SKIPPED")})
    step = {"id": "s", "type": "t", "on_no_data": "skip_job", "outputs": {"o": "{{result.o}}"}}
    session = Session(plan_of_jobs({"id": "fan", "for_each": [1, 2], "steps": [step]}), play=play)
    session.finish()
    assert session.state.job("fan[1]").status == "SKIPPED"
    assert (session.state.job("fan").status, session.state.job("fan").outputs) == (
        "SUCCESS",
        {"o": [1, None]},
    )


def test_a_fan_of_which_every_instance_was_skipped_is_skipped() -> None:
    step = {"id": "s", "type": "t", "on_no_data": "skip_job"}
    play: Play = lambda _work, _failures, _inputs: Ending("SKIPPED")  # noqa: E731 - one word
    session = Session(plan_of_jobs({"id": "fan", "for_each": [1, 2], "steps": [step]}), play=play)
    assert session.finish().phase == "SUCCESS"
    assert session.state.job("fan").status == "SKIPPED"


def test_a_gate_is_looked_at_once_before_the_items() -> None:
    plan = plan_of_jobs({"id": "fan", "when": "1 == 2", "for_each": "{{env.NONE}}"})
    assert Session(plan).log() == ["fan SKIPPED", "run SUCCESS"]


def test_items_are_masked_before_they_are_stored() -> None:
    plan = plan_of_jobs({"id": "fan", "for_each": ["secret", "open"]})
    began = e.RunStarted(at=START, flow_id="f", run_id="run-1", flow_file="f", owner="me")
    state = fold([])
    apply(state, began)
    machine = RunMachine(
        plan,
        state,
        env={},
        clock=TickingClock(),
        limit=1,
        redact=lambda items: ["***" if item == "secret" else item for item in items],
    )
    machine.react(())
    assert state.job("fan").items == ["***", "open"]


class References:
    """Keeps large outputs in the place of a file: a reference counts its values."""

    def __init__(self) -> None:
        self.deferred: list[dict[str, Any]] = []

    async def set_aside(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return them: they are small."""
        return outputs

    def defer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return a reference for each value."""
        self.deferred.append(outputs)
        return {key: f"reference to {len(value)}" for key, value in outputs.items()}

    def defer_items(self, items: list[Any]) -> e.Items:
        """Return them: they are small."""
        return items

    async def write(self) -> None:
        """Do nothing."""

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return them: nobody reads them here."""
        return outputs


def test_the_gathered_outputs_of_a_mapped_job_are_stored_as_references_and_no_others() -> None:
    session = Session(plan_of_jobs({"id": "fan", "for_each": ["a", "b"], "steps": [FAN_STEP]}), play=doubled)
    session.machine.large = references = References()
    session.end("fan[0]", "fan[1]")
    assert references.deferred == [{"o": ["aa", "bb"]}]
    assert session.state.job("fan").outputs == {"o": "reference to 2"}
    assert session.state.job("fan[0]").outputs == {"o": "aa"}
