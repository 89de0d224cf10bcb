"""One attempt of one step: render its inputs, call it, make its outputs plain JSON, mask them."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
import msgspec

from aetherflow.engine.context import StepContext
from aetherflow.engine.plan import StepPlan
from aetherflow.engine.step import StepResult, StepType
from aetherflow.errors import AetherFlowError, ErrorInfo, FailureKind, StepError
from aetherflow.spec.flow import RetrySpec


class StepTypes(Protocol):
    """Where step types are looked up."""

    def __call__(self, name: str) -> StepType:
        """Return the step type of that name.

        Raises:
            AetherFlowError: there is none, or it cannot be imported.
        """
        ...


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended, masked and ready to be told."""

    result: StepResult | None = None
    job_outputs: dict[str, Any] = {}
    error: ErrorInfo | None = None
    trace: str = ""


async def attempt_step(
    context: StepContext, step: StepPlan, step_types: StepTypes, scope: Mapping[str, Any]
) -> Outcome:
    """Run a step once. Cancellation passes through; every other failure is an outcome."""
    redactor = context.redactor
    try:
        inputs = step.inputs.render(scope)
        result = await call_step(context, step_types(step.spec.type), inputs)
        masked = StepResult(
            result.status, redactor.value(_plain(result.outputs)), redactor.text(result.reason)
        )
        promoted = _promote(step, masked, scope)
        return Outcome(masked, redactor.value(_plain(promoted)))
    except Exception as error:  # noqa: BLE001 - whatever a step raises is its outcome, told with place and cause
        info = describe(error)
        masked_info = ErrorInfo(
            code=info.code,
            message=redactor.text(info.message),
            kind=info.kind,
            hint=redactor.text(info.hint),
            detail=redactor.value(_plain(info.detail)),
        )
        return Outcome(error=masked_info, trace=redactor.text("".join(traceback.format_exception(error))))


async def call_step(context: StepContext, step_type: StepType, inputs: dict[str, Any]) -> StepResult:
    """Convert the inputs to the step's type and call it; a sync step runs in a worker thread.

    Raises:
        StepError: the inputs do not fit.
    """
    typed = _typed(step_type, inputs)
    if step_type.is_async:
        returned = await step_type.run(context, typed)
    else:
        returned = await context.run_sync(step_type.run, context, typed)
    match returned:
        case StepResult():
            return returned
        case None:
            return StepResult()
        case msgspec.Struct():
            return StepResult(outputs={k: getattr(returned, k) for k in returned.__struct_fields__})
        case Mapping():
            return StepResult(outputs=dict(returned))
        case _:
            raise StepError(
                f"the step type {step_type.name} returned {type(returned).__name__}",
                hint="a step returns a StepResult, a Struct, a mapping or None",
                code="AF705",
            )


async def run_inner(
    context: StepContext, step_types: StepTypes, *, step_id: str, step_type: str, inputs: dict[str, Any]
) -> StepResult:
    """Run a step inside a step: same job, same attempt, its own id; its inputs are rendered already."""
    inner = StepContext(
        context.services,
        job_id=context.job_id,
        step_id=f"{context.step_id}.{step_id}",
        step_type=step_type,
        attempt=context.attempt,
    )
    return await call_step(inner, step_types(step_type), inputs)


def describe(error: BaseException) -> ErrorInfo:
    """Return an error as data: ours as it is, others with their type and kind."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return describe(error.exceptions[0])
    if isinstance(error, AetherFlowError):
        return error.info()
    kind: FailureKind = "other"
    if isinstance(error, TimeoutError):
        kind = "timeout"
    elif isinstance(error, ConnectionError | anyio.BrokenResourceError | anyio.ClosedResourceError):
        kind = "connection"
    text = str(error) or "no further message"
    return ErrorInfo(code="AF701", message=f"{type(error).__name__}: {text}", kind=kind)


def next_wait(
    retry: RetrySpec, attempt: int, error: ErrorInfo, chance: Callable[[], float] = random.random
) -> float | None:
    """Return how many seconds to wait before the next attempt, or None if there is none.

    Exponential backoff: `backoff_seconds * backoff_multiplier ** (attempt - 1)`, at most
    `max_backoff_seconds`; with jitter the wait is drawn from the upper half of that, so that many steps that
    failed together do not come back together.
    """
    if attempt >= retry.max_attempts or error.kind == "cancelled":
        return None
    if "any" not in retry.retry_on and error.kind not in retry.retry_on:
        return None
    wait = min(
        retry.backoff_seconds * retry.backoff_multiplier ** min(attempt - 1, 64), retry.max_backoff_seconds
    )
    return wait * (0.5 + chance() / 2) if retry.jitter else wait


def _typed(step_type: StepType, inputs: dict[str, Any]) -> Any:
    if step_type.input_type is dict:
        return inputs
    try:
        return msgspec.convert(inputs, step_type.input_type, strict=False)
    except msgspec.ValidationError as error:
        raise StepError(
            f"the inputs of {step_type.name} do not fit: {error}",
            hint=f"see: aetherflow steps show {step_type.name}",
            code="AF706",
        ) from None


def _promote(step: StepPlan, result: StepResult, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the step adds to its job's outputs; of a SKIPPED step, those values that exist."""
    if not step.spec.outputs:
        return {}
    ended = {"status": result.status, "outputs": result.outputs, "reason": result.reason, **result.outputs}
    steps = _With(scope["steps"], step.spec.id, ended)
    seen = {**scope, "result": result.outputs, "steps": steps}
    if result.status == "SKIPPED":
        promoted: dict[str, Any] = step.outputs.render_present(seen)
        return promoted
    rendered: dict[str, Any] = step.outputs.render(seen)
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


def _plain(value: Any) -> Any:
    """Return the value as the JSON it will be stored as, so that a resumed run sees what a first one saw."""
    if not value:
        return {}
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise StepError(
            f"the outputs cannot be written as JSON: {error}",
            hint="give texts, numbers, booleans, lists and mappings with text keys",
            code="AF707",
        ) from None
