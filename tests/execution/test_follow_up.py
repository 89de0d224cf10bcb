"""What follows a step once its success is stored: the hidden step `ID.after`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from aetherflow import Skipped, StepContext, StepError, StepResult, step
from aetherflow.errors import InvalidInput
from aetherflow.events.run_events import StepFinished
from aetherflow.sdk.step import StepType
from aetherflow.testing import FlowRun, run_flow


class TakeInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of the step of these tests: what it does, and what follows."""

    does: str = "take"
    after: Literal["keep", "move", "delete"] | None = "keep"
    archive: str = "open"


def take_type(done: list[str]) -> StepType:
    """Return a step type that notes what it and its follow-up do."""

    async def archive(context: StepContext, inputs: TakeInput) -> dict[str, Any]:
        done.append(f"{inputs.after} {context.step_id}")
        async with context.effect("archive a.csv"):
            if inputs.archive == "closed" and context.execution == 1:
                raise StepError("the archive is closed", kind="connection")
        return {"archived": 1}

    async def take(context: StepContext, inputs: TakeInput) -> dict[str, Any] | StepResult:
        done.append(f"{inputs.does} {context.step_id}")
        if inputs.does == "fail" and context.execution == 1:
            raise StepError("nobody is there")
        return Skipped("no files") if inputs.does == "skip" else {"count": 1}

    return step("take", follow_up=archive)(take)


def flow(inputs: str, *, keys: str = "", more: str = "") -> str:
    return (
        "version: 1\nflow: {id: f, params: {after: {default: keep}}}\njobs:\n  - id: a\n    steps:\n"
        f"      - {{id: t, type: take, inputs: {{{inputs}}}{keys}}}\n"
        f"{more}      - {{id: last, type: check_items, inputs: {{items: [x]}}}}\n"
    )


def ended(run: FlowRun) -> list[tuple[str, str]]:
    return [(one.step_id, one.status) for one in run.seen.of(StepFinished)]


async def run(text: str, place: Path, done: list[str], **request: Any) -> FlowRun:
    return await run_flow(text, place, steps=[take_type(done)], run_id="r", **request)


@pytest.mark.asyncio
@pytest.mark.parametrize("inputs", ["", "after: keep", "after: null"])
async def test_nothing_follows_a_step_that_wants_nothing(tmp_path: Path, inputs: str) -> None:
    done: list[str] = []
    assert ended(await run(flow(inputs), tmp_path, done)) == [("t", "SUCCESS"), ("last", "SUCCESS")]
    assert done == ["take t"]


@pytest.mark.asyncio
@pytest.mark.parametrize("written", ["move", "'{{params.after}}'"])
async def test_the_follow_up_is_a_step_of_its_own_behind_it(tmp_path: Path, written: str) -> None:
    done: list[str] = []
    found = await run(flow(f"after: {written}"), tmp_path, done, params={"after": "move"})
    assert ended(found) == [("t", "SUCCESS"), ("t.after", "SUCCESS"), ("last", "SUCCESS")]
    assert (found.step("a.t.after").step_type, found.step("a.t.after").outputs) == (
        "take.after",
        {"archived": 1},
    )
    assert done == ["take t", "move t.after"]


@pytest.mark.asyncio
async def test_a_template_that_gives_keep_skips_it(tmp_path: Path) -> None:
    done: list[str] = []
    found = await run(flow("after: '{{params.after}}'"), tmp_path, done)
    assert ended(found) == [("t", "SUCCESS"), ("t.after", "SKIPPED"), ("last", "SUCCESS")]
    assert (found.step("a.t.after").reason, done) == ("after: keep", ["take t"])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keys", "steps", "status"),
    [
        ("", ["t", "t.after", "last"], "SUCCESS"),
        (", on_no_data: skip_job", ["t", "t.after", "last"], "SKIPPED"),
    ],
)
async def test_after_a_skipped_step_it_is_skipped(
    tmp_path: Path, keys: str, steps: list[str], status: str
) -> None:
    done: list[str] = []
    found = await run(flow("does: skip, after: move", keys=keys), tmp_path, done)
    assert ended(found) == list(zip(steps, ["SKIPPED", "SKIPPED", status], strict=True))
    assert found.step("a.t.after").reason == "no files"
    assert (found.status, done) == ("SUCCESS", ["skip t"])


@pytest.mark.asyncio
async def test_a_follow_up_that_fails_fails_the_job_and_a_resume_repeats_only_it(tmp_path: Path) -> None:
    done: list[str] = []
    text = flow("after: move, archive: closed", keys=", retry: {max_attempts: 2}")
    first = await run(text, tmp_path, done)
    assert ended(first) == [("t", "SUCCESS"), ("t.after", "FAILED")]
    assert first.status == "FAILED"
    assert first.step("a.t.after").attempt == 2

    second = await run(text, tmp_path, done)
    assert ended(second) == [("t.after", "SUCCESS"), ("last", "SUCCESS")]
    assert done == ["take t", "move t.after", "move t.after", "move t.after"]


@pytest.mark.asyncio
async def test_after_a_failed_step_it_waits_for_a_resume(tmp_path: Path) -> None:
    done: list[str] = []
    text = flow(
        "does: fail, after: move",
        keys=", continue_on_error: true",
        more="      - {id: bad, type: external.process, inputs: {command: ['false']}}\n",
    )
    first = await run(text, tmp_path, done)
    assert ended(first) == [("t", "FAILED"), ("bad", "FAILED")]

    second = await run(text.replace("'false'", "'true'"), tmp_path, done)
    assert [name for name, _ in ended(second)] == ["t", "t.after", "bad", "last"]
    assert (second.status, done) == ("SUCCESS", ["fail t", "fail t", "move t.after"])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("rerun", "steps", "does"),
    [
        ("a.t", ["t", "t.after", "last"], ["take t", "move t.after"]),
        ("a.t.after", ["t.after", "last"], ["move t.after"]),
        ("a.last", ["last"], []),
    ],
)
async def test_a_rerun_repeats_it_with_its_step_or_alone(
    tmp_path: Path, rerun: str, steps: list[str], does: list[str]
) -> None:
    done: list[str] = []
    await run(flow("after: move"), tmp_path, done)
    done.clear()
    again = await run(flow("after: move"), tmp_path, done, rerun=(rerun,))
    assert [name for name, _ in ended(again)] == steps
    assert done == does


@pytest.mark.asyncio
async def test_within_another_step_it_happens_at_its_end(tmp_path: Path) -> None:
    done: list[str] = []
    text = (
        "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n      - id: lock\n        type: with_lock\n"
        "        inputs: {lock_key: k, step: {id: t, type: take, inputs: {after: move}}}\n"
    )
    found = await run(text, tmp_path, done)
    assert ended(found) == [("lock", "SUCCESS")]
    assert done == ["take lock.t", "move lock.t.after"]
    assert found.step("a.lock").outputs == {"count": 1}


@pytest.mark.asyncio
async def test_each_instance_of_a_mapped_job_has_its_own(tmp_path: Path) -> None:
    done: list[str] = []
    text = flow("after: '{{item}}'").replace("  - id: a\n", "  - id: a\n    for_each: [move, delete]\n")
    found = await run(text, tmp_path, done)
    assert found.status == "SUCCESS"
    assert sorted(done) == ["delete t.after", "move t.after", "take t", "take t"]


@pytest.mark.asyncio
async def test_its_id_must_be_free(tmp_path: Path) -> None:
    text = flow("after: move", more="      - {id: t.after, type: check_items, inputs: {items: [x]}}\n")
    with pytest.raises(InvalidInput, match=r"what step .+ does after its success") as raised:
        await run(text, tmp_path, [])
    assert [(one.code, one.line) for one in raised.value.diagnostics] == [("AF303", 6)]
