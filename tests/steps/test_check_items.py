"""`check_items`: is there anything to do?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.steps.check_items import check_items
from tests.execution.live_run import LiveRun, flow, live


async def checked(folder: Path, inputs: str, more: str = "") -> LiveRun:
    """Run a flow with one `check_items` and a step after it."""
    text = flow(
        f"{{id: a, steps: [{{id: s, type: check_items, inputs: {inputs}{more},"
        " outputs: {n: '{{result.count}}', has: '{{result.has_data}}'}},"
        " {id: later, type: check_items, inputs: {items: [x]}}]}",
        "{id: b, when: jobs.a.outputs.has == true,"
        " steps: [{id: s, type: check_items, inputs: {items: [x]}}]}",
    )
    async with live(text, folder, [check_items], params={"none": None, "list": [1, 2]}) as run:
        await run.run()
    return run


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        ("{items: [a, b, c]}", 3),
        ("{items: [{path: x}, null, '', 0]}", 4),
        ("{items: 'a,b'}", 2),
        ("{items: ' a , ,b,, '}", 2),
        ("{items: one}", 1),
        ("""{items: '["a,b", "c"]'}""", 2),
        ("{items: '[]', min_count: 0}", 0),
        ("{items: '[a'}", 1),
        ("{items: 'null'}", 1),
        ("{items: [a], min_count: '1'}", 1),
        ("{items: [a, b], min_count: 2}", 2),
        ("{items: [], min_count: 0}", 0),
    ],
)
async def test_enough_items_are_a_success(tmp_path: Path, inputs: str, count: int) -> None:
    run = await checked(tmp_path, inputs)
    assert run.step("a.s").status == "SUCCESS"
    assert run.step("a.s").outputs == {"has_data": True, "count": count}
    assert run.state.jobs["b"].status == "SUCCESS"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "count", "least"),
    [
        ("{items: []}", 0, 1),
        ("{items: ''}", 0, 1),
        ("{items: ' , '}", 0, 1),
        ("{items: null}", 0, 1),
        ("{items: [a, b], min_count: 3}", 2, 3),
    ],
)
async def test_too_few_items_skip_the_step_and_say_how_many(
    tmp_path: Path, inputs: str, count: int, least: int
) -> None:
    run = await checked(tmp_path, inputs)
    step = run.step("a.s")
    assert (step.status, step.outputs) == ("SKIPPED", {"has_data": False, "count": count})
    assert step.reason == f"{count} items, fewer than min_count {least}"
    assert run.state.jobs["a"].status == "SUCCESS"
    assert run.state.jobs["a"].outputs == {"n": count, "has": False}
    assert run.state.jobs["b"].status == "SKIPPED"
    assert run.state.phase == "SUCCESS"


@pytest.mark.asyncio
async def test_without_data_the_job_is_skipped_where_it_says_so(tmp_path: Path) -> None:
    run = await checked(tmp_path, "{items: []}", ", on_no_data: skip_job")
    assert run.state.jobs["a"].status == "SKIPPED"
    assert run.step("a.later").status == "SKIPPED"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("{items: 3}", "Expected `str | array | null`, got `int` - at `$.items`"),
        ("{items: {a: 1}}", "Expected `str | array | null`, got `object` - at `$.items`"),
        ("{}", "Object missing required field `items`"),
        ("{items: [a], min_count: many}", "Expected `int`, got `str` - at `$.min_count`"),
        ("{items: [a], least: 1}", "Object contains unknown field `least`"),
    ],
)
async def test_what_cannot_be_counted_is_refused(tmp_path: Path, inputs: str, problem: str) -> None:
    run = await checked(tmp_path, inputs)
    error: Any = run.step("a.s").error
    assert error.message == f"the inputs of check_items do not fit: {problem}"
