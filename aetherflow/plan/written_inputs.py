"""Give the inputs of steps the characters of the file where their types want a text. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aetherflow.sdk.step import StepType
from aetherflow.spec.convert import type_info
from aetherflow.spec.spelling import NodePath, Written, as_wanted

StepTypeOf = Callable[[str], StepType | None]
"""Returns the step type of a name; None if there is none."""


def written_inputs(
    type_name: str, inputs: dict[str, Any], step_type_of: StepTypeOf, written: Written, path: NodePath
) -> dict[str, Any]:
    """Return the inputs of a step, and those of the step inside it, as their types want them.

    `written` gives the characters of the scalar at a path; `path` is that of the inputs.
    """
    step_type = step_type_of(type_name) if _has_scalars(inputs) else None
    if step_type is None:
        return inputs
    if issubclass(step_type.input_type, msgspec.Struct):
        inputs = as_wanted(inputs, type_info(step_type.input_type), written, path)
    inner = inputs.get("step")
    if (
        step_type.contains != "step"
        or not isinstance(inner, dict)
        or not isinstance(inner.get("inputs"), dict)
    ):
        return inputs
    here = (*path, "step", "inputs")
    found = written_inputs(str(inner.get("type")), inner["inputs"], step_type_of, written, here)
    return {**inputs, "step": {**inner, "inputs": found}}


def _has_scalars(value: Any) -> bool:
    """Whether a value holds anything but texts."""
    if isinstance(value, dict):
        return any(map(_has_scalars, value.values()))
    return any(map(_has_scalars, value)) if isinstance(value, list) else not isinstance(value, str)
