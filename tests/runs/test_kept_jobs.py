"""What had ended when a run is resumed: the live tree counts on from there."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.events import run_events as e
from aetherflow.sdk.context import StepContext
from tests.runs.run_parts import ACTIONS, Place, flow


@pytest.mark.asyncio
async def test_a_resumed_run_says_which_jobs_and_how_many_instances_had_ended(place: Place) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        raise StepError(f"{context.job_id} cannot {inputs['do']}")

    ACTIONS["fail"] = fail
    step = "{id: s, type: probe, inputs: {do: '{{item}}'}}"
    text = flow(
        "{id: a, steps: [{id: s, type: check_items, inputs: {items: [1]}}]}",
        f"{{id: b, for_each: [nothing, fail, nothing], steps: [{step}]}}",
    )

    assert (await place.run(text, run_id="r")).exit_code == 1
    [first] = place.seen.of(e.RunPersisted)
    assert (first.kept_jobs, first.kept_instances) == ([], {})
    await place.run(text, run_id="r")
    [second] = place.seen.of(e.RunPersisted)
    assert (second.kept_jobs, second.kept_instances) == (["a"], {"b": 2})
