"""Run one step in a test as the engine does: convert its inputs, call it, convert its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aetherflow.execution.local_placement import call_step
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import plain_json
from aetherflow.sdk.step import StepResult, StepType
from aetherflow.testing.fake_run import FakeRun


async def run_step(
    step: StepType, inputs: Mapping[str, Any], place: Path | FakeRun | StepContext, **run: Any
) -> StepResult:
    """Return the result of one attempt of a step; its outputs are plain JSON, as the journal stores them.

    Args:
        step: what `@step` made.
        inputs: as a flow writes them, templates rendered: numbers may be text.
        place: a context; or a run that gives one; or a folder, in which a new `FakeRun` is made.
        run: what else a new `FakeRun` takes: `connectors`, `env`, `secrets`, `clock` ...

    Raises:
        StepError: the inputs do not fit.
        Exception: what the step raises.
    """
    if isinstance(place, Path):
        place = FakeRun(place, **run)
    context = place.context(step_type=step.name) if isinstance(place, FakeRun) else place
    result = await call_step(context, step, dict(inputs))
    return StepResult(result.status, plain_json(result.outputs), result.reason)
