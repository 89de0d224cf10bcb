"""Run an attempt of a step in this process: async steps on the event loop, sync ones in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aetherflow.errors import FinalError, StepError
from aetherflow.execution.ports import StepCall
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import struct_fields
from aetherflow.sdk.step import StepResult, StepType, follow_up_of
from aetherflow.sdk.step_failure import plugin_errors_contained
from aetherflow.spec.convert import convert_values, in_words, type_info
from aetherflow.spec.duration import ACCEPTED
from aetherflow.spec.spelling import NodePath, is_no_duration, misplaced


class UnfitInputs(FinalError):
    """The rendered inputs do not fit the step's type."""

    default_code = "AF706"


class LocalPlacement:
    """Runs attempts in this process."""

    def __init__(self, step_types: Mapping[str, StepType]) -> None:
        """Take the step types of the plan."""
        self._step_types = step_types

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Run the step with the coordinator's own context; see `Placement`.

        Raises:
            StepError: the plan has no such step type, the inputs do not fit it, or it returned what no step
                may return.
        """
        step_type = self._step_types.get(call.step_type)
        if step_type is None:
            raise StepError(f"the plan has no step type {call.step_type!r}", code="AF540")
        try:
            return await call_step(context, step_type, call.inputs)
        finally:
            await context.release_connectors()

    def stored(self, key: str) -> None:
        """Do nothing: nobody keeps what it returned."""

    def leave(self) -> None:
        """Do nothing: what runs in this process ends with it."""


async def call_nested(
    context: StepContext, inputs: dict[str, Any], *, step_type_of: Callable[[str], StepType]
) -> StepResult:
    """Run a step inside a step (`with_lock`), and what follows it; its inputs are rendered already."""
    step_type = step_type_of(context.step_type)
    async with context.recording_output():
        result = await call_step(context, step_type, inputs)
    follow_up = follow_up_of(step_type, inputs) if result.status == "SUCCESS" else None
    if follow_up is not None:
        await context.run_nested_step(step_id="after", step_type=follow_up.name, inputs=inputs)
    return result


async def call_step(context: StepContext, step_type: StepType, inputs: dict[str, Any]) -> StepResult:
    """Convert the inputs to the step's type and call it; a sync step runs in a worker thread.

    Raises:
        StepError: the inputs do not fit, or the step raised a BaseException.
    """
    with plugin_errors_contained():
        typed = _typed(step_type, inputs)
        if step_type.is_async:
            returned = await step_type.run(context, typed)
        else:
            returned = await context.run_sync(step_type.run, context, typed)
    match returned:
        case StepResult(status="SUCCESS" | "SKIPPED", outputs=Mapping()):
            return returned
        case StepResult():
            what = (
                f"a StepResult with status {returned.status!r} and {type(returned.outputs).__name__} outputs"
            )
        case None:
            return StepResult()
        case msgspec.Struct():
            return StepResult(outputs=struct_fields(returned))
        case Mapping():
            return StepResult(outputs=dict(returned))
        case _:
            what = type(returned).__name__
    raise StepError(
        f"the step type {step_type.name} returned {what}",
        hint="a step returns a StepResult (SUCCESS or SKIPPED), a Struct, a mapping or None",
        code="AF705",
    )


def _typed(step_type: StepType, inputs: dict[str, Any]) -> Any:
    if step_type.input_type is dict:
        return inputs
    try:
        return convert_values(inputs, step_type.input_type)
    except msgspec.ValidationError as error:
        if (place := next(misplaced(inputs, type_info(step_type.input_type)), None)) is not None:
            raise _no_text(step_type, inputs, place) from None
        for field in msgspec.structs.fields(step_type.input_type):
            if is_no_duration(inputs.get(field.encode_name), type_info(field.type)):
                message = f"the input {field.encode_name!r} of {step_type.name} is no duration"
                raise UnfitInputs(message, hint=f"write {ACCEPTED}") from None
        raise UnfitInputs(
            f"the inputs of {step_type.name} do not fit: {in_words(error)}",
            hint=f"see: aetherflow steps show {step_type.name}",
        ) from None


def _no_text(step_type: StepType, inputs: Any, place: NodePath) -> UnfitInputs:
    """Return the error about a mapping or list that a template gave where a text is wanted."""
    value, called = inputs, ""
    for key in place:
        value = value[key]
        called += f"[{key}]" if isinstance(key, int) else f".{key}" if called else str(key)
    kind = "mapping" if isinstance(value, dict) else "list"
    return UnfitInputs(
        f"the input {called!r} of {step_type.name} is a text, and its template gave a {kind}",
        hint="name one value of it; in a longer text it is written as JSON",
    )
