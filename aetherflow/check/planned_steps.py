"""List every step of a plan: in jobs, in hooks, and steps inside other steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from aetherflow.plan.diagnostics import Path
from aetherflow.plan.hooks import HOOK
from aetherflow.plan.plan import JobPlan, Plan, StepPlan
from aetherflow.sdk.step import StepType


class Use(msgspec.Struct, frozen=True, gc=False):
    """A step with its inputs; `base` is the path of the inputs in the file; an unknown type is None."""

    step_type: StepType | None
    inputs: dict[str, Any]
    base: Path


def planned_steps(plan: Plan) -> Iterator[tuple[StepPlan, Path]]:
    """Yield the steps of all jobs and hooks, with their paths in the file."""
    for job in (*plan.jobs, *plan.hooks):
        base = steps_path(job)
        for number, step in job.written_steps():
            yield step, (*base, number)


def steps_path(job: JobPlan) -> Path:
    """Return the path of the steps of a job, or of a hook, in the file."""
    return ("flow", job.id.removeprefix(HOOK)) if job.index < 0 else ("jobs", job.index, "steps")


def uses_with(
    jobs: Iterable[JobPlan], step_types: Mapping[str, StepType], concerned: Callable[[StepType], object]
) -> Iterator[tuple[JobPlan, StepPlan, Use]]:
    """Yield the steps of the types that a check is concerned with, also those inside other steps.

    A flow has few types: that no step is of interest is known without a look at any.
    """
    wanted = {name for name, step_type in step_types.items() if concerned(step_type)}
    if not wanted:
        return
    wanted.update(name for name, step_type in step_types.items() if step_type.contains)
    for job in jobs:
        for number, step in job.written_steps():
            if step.spec.type in wanted:
                for use in uses_of(step, (*steps_path(job), number), step_types):
                    if use.step_type is not None and concerned(use.step_type):
                        yield job, step, use


def uses_of(step: StepPlan, base: Path, step_types: Mapping[str, StepType]) -> Iterator[Use]:
    """Yield a step, and the steps inside it; `step_types` are those of the plan."""
    type_name, inputs, where = step.spec.type, step.inputs.raw, (*base, "inputs")
    while True:
        step_type = step_types.get(type_name)
        yield Use(step_type, inputs, where)
        inner = inputs.get("step")
        if step_type is None or step_type.contains != "step" or not isinstance(inner, dict):
            return
        inner_type, inner_inputs = inner.get("type"), inner.get("inputs")
        if not isinstance(inner_type, str) or not isinstance(inner_inputs, dict):
            return
        type_name, inputs, where = inner_type, inner_inputs, (*where, "step", "inputs")


def texts(value: Any, base: Path) -> Iterator[tuple[str, Path]]:
    """Yield every text in a value, with its path."""
    if isinstance(value, str):
        yield value, base
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*base, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, (*base, number))
