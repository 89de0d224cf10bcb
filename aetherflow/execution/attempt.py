"""One attempt of one step: render its inputs, call it, make its outputs plain JSON, mask them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.language.reference import Lenient
from aetherflow.plan.plan import StepPlan
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import as_text, plain_json, plain_text, struct_fields
from aetherflow.sdk.step import StepResult, StepType
from aetherflow.sdk.step_failure import describe, masked_failure, plugin_errors_contained
from aetherflow.spec.convert import convert


class StepTypes(Protocol):
    """Where step types are looked up."""

    def __call__(self, name: str) -> StepType:
        """Return the step type of that name.

        Raises:
            AetherFlowError: there is none, or it cannot be imported.
        """
        ...


class AttemptOutcome(msgspec.Struct, frozen=True):
    """How an attempt ended, masked and ready to be told."""

    result: StepResult | None = None
    job_outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    trace: str = ""


async def attempt_step(
    context: StepContext, step: StepPlan, step_types: StepTypes, scope: Mapping[str, Any]
) -> AttemptOutcome:
    """Run a step once. Cancellation passes through; every other failure is an outcome."""
    redactor = context.redactor
    try:
        # A copy: what is rendered belongs to the flow and to the state, and a step may change what it gets.
        inputs = msgspec.to_builtins(step.inputs.render(_forgiving(context, scope)), enc_hook=as_text)
        redactor.add_named(inputs)
        result = await call_step(context, step_types(step.spec.type), inputs)
        masked = StepResult(
            result.status,
            redactor.value(plain_json(result.outputs)),
            redactor.text(plain_text(result.reason)),
        )
        promoted = _promote(context, step, masked, scope)
        return await _kept(context, masked, redactor.value(plain_json(promoted)))
    except BaseException as error:  # whatever a step raises is its outcome, told with place and cause
        if is_our_cancellation(error):
            raise
        trace = "".join(traceback.format_exception(error))
        return AttemptOutcome(
            error=masked_failure(describe(error), redactor), trace=redactor.text(plain_text(trace))
        )
    finally:
        await context.release_connectors()


def _forgiving(context: StepContext, scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scope, or with lenient templates one in which a missing value is an empty text."""
    if context.services.strict_templates:
        return scope
    return Lenient(scope, lambda gap: context.say(f"{gap.message}; an empty text is used", "warning"))


async def _kept(context: StepContext, result: StepResult, promoted: dict[str, Any]) -> AttemptOutcome:
    """Return the outcome as the journal keeps it: large values are files by then."""
    large = context.services.large_outputs
    if large is None:
        return AttemptOutcome(result, promoted)
    outputs = await large.set_aside(result.outputs)
    kept = StepResult(result.status, outputs, result.reason)
    return AttemptOutcome(kept, await large.set_aside(promoted) if promoted else promoted)


async def call_step(context: StepContext, step_type: StepType, inputs: dict[str, Any]) -> StepResult:
    """Convert the inputs to the step's type and call it; a sync step runs in a worker thread.

    Raises:
        StepError: the inputs do not fit, or the step raised what is no `Exception`.
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


async def run_nested_step(
    context: StepContext, step_types: StepTypes, *, step_id: str, step_type: str, inputs: dict[str, Any]
) -> StepResult:
    """Run a step inside a step: same job, same attempt, its own id; its inputs are rendered already."""
    inner = context.nested(step_id, step_type)
    try:
        return await call_step(inner, step_types(step_type), inputs)
    finally:
        context.progress_note = inner.progress_note or context.progress_note
        await inner.release_connectors()


def _typed(step_type: StepType, inputs: dict[str, Any]) -> Any:
    if step_type.input_type is dict:
        return inputs
    try:
        return convert(inputs, step_type.input_type, strict=False)
    except msgspec.ValidationError as error:
        raise StepError(
            f"the inputs of {step_type.name} do not fit: {error}",
            hint=f"see: aetherflow steps show {step_type.name}",
            code="AF706",
        ) from None


def _promote(
    context: StepContext, step: StepPlan, result: StepResult, scope: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the step adds to its job's outputs; of a SKIPPED step, those values that exist."""
    if not step.spec.outputs:
        return {}
    ended = {"status": result.status, "outputs": result.outputs, "reason": result.reason, **result.outputs}
    steps = _With(scope["steps"], step.spec.id, ended)
    seen = {**scope, "result": result.outputs, "steps": steps}
    if result.status == "SKIPPED":
        promoted: dict[str, Any] = step.outputs.render_present(seen)
        return promoted
    rendered: dict[str, Any] = step.outputs.render(_forgiving(context, seen))
    return rendered


class _With(Mapping[str, Any]):
    """A mapping with one more entry, without copying it."""

    def __init__(self, base: Mapping[str, Any], key: str, value: object) -> None:
        self._base, self._key, self._value = base, key, value

    def __getitem__(self, key: str) -> Any:
        return self._value if key == self._key else self._base[key]

    def __iter__(self) -> Any:
        yield from self._base
        if self._key not in self._base:
            yield self._key

    def __len__(self) -> int:
        return len(self._base) + (self._key not in self._base)
