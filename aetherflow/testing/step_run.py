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
        step: the step type, as `@step` returns it.
        inputs: the inputs as in a flow, with templates rendered; numbers may be text.
        place: a folder for a new `FakeRun`, or a `FakeRun`, or a context.
        run: arguments for a new `FakeRun`: `connectors`, `env`, `secrets`, `clock` ...

    Raises:
        StepError: the inputs do not fit the step's input type.
        Exception: the exception of the step.
    """
    if isinstance(place, Path):
        place = FakeRun(place, **run)
    context = place.context(step_type=step.name) if isinstance(place, FakeRun) else place
    result = await call_step(context, step, dict(inputs))
    if isinstance(place, FakeRun):
        place.marks.update(result.marks)
    return StepResult(result.status, plain_json(result.outputs), result.reason, result.marks)
