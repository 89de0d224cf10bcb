"""One attempt of one step: render its inputs, call it, make its outputs plain JSON, mask them."""

from __future__ import annotations

import errno
import random
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, get_args

import anyio
import msgspec

from aetherflow.engine.backoff import exponential
from aetherflow.engine.context import StepContext
from aetherflow.engine.plan import StepPlan
from aetherflow.engine.step import StepResult, StepType
from aetherflow.errors import AetherFlowError, ErrorInfo, FailureKind, StepError
from aetherflow.secret import Redactor
from aetherflow.spec.flow import RetrySpec

_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


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
        # A copy: what is rendered belongs to the flow and to the state, and a step may change what it gets.
        inputs = msgspec.to_builtins(step.inputs.render(scope), enc_hook=_as_text)
        redactor.add_named(inputs)
        result = await call_step(context, step_types(step.spec.type), inputs)
        masked = StepResult(
            result.status, redactor.value(_plain(result.outputs)), redactor.text(_unicode(result.reason))
        )
        promoted = _promote(step, masked, scope)
        return await _kept(context, masked, redactor.value(_plain(promoted)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a step raises is its outcome, told with place and cause
        trace = "".join(traceback.format_exception(error))
        return Outcome(error=_masked(describe(error), redactor), trace=redactor.text(_unicode(trace)))


async def _kept(context: StepContext, result: StepResult, promoted: dict[str, Any]) -> Outcome:
    """Return the outcome as the journal keeps it: large values are files by then."""
    large = context.services.large_outputs
    if large is None:
        return Outcome(result, promoted)
    outputs = await large.set_aside(result.outputs)
    kept = StepResult(result.status, outputs, result.reason)
    return Outcome(kept, await large.set_aside(promoted) if promoted else promoted)


def _masked(info: ErrorInfo, redactor: Redactor) -> ErrorInfo:
    """Return what a step's author told of an error, fit to be stored: the right types, plain and masked."""
    try:
        detail = redactor.value(_plain(info.detail if isinstance(info.detail, Mapping) else {}))
    except (StepError, RecursionError):
        detail = {}  # the error is told without what cannot be written
    return ErrorInfo(
        code=_unicode(info.code),
        message=redactor.text(_unicode(info.message)),
        kind=info.kind if info.kind in get_args(FailureKind) else "other",
        hint=redactor.text(_unicode(info.hint)),
        detail=detail,
    )


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
        case StepResult(status="SUCCESS" | "SKIPPED", outputs=Mapping()):
            return returned
        case StepResult():
            what = (
                f"a StepResult with status {returned.status!r} and {type(returned.outputs).__name__} outputs"
            )
        case None:
            return StepResult()
        case msgspec.Struct():
            return StepResult(outputs=_fields(returned))
        case Mapping():
            return StepResult(outputs=dict(returned))
        case _:
            what = type(returned).__name__
    raise StepError(
        f"the step type {step_type.name} returned {what}",
        hint="a step returns a StepResult (SUCCESS or SKIPPED), a Struct, a mapping or None",
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
    """Return an error as data: ours as it is, others with their type and kind, a group as its first cause."""
    first, *others = _leaves(error)
    info = _describe_one(first)
    if not others:
        return info
    told = dict.fromkeys(_describe_one(other).message for other in others)
    return msgspec.structs.replace(
        info, message=f"{info.message} (and {len(others)} more: {'; '.join(told)})"
    )


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
    most = retry.max_backoff_seconds
    wait = exponential(retry.backoff_seconds, retry.backoff_multiplier, attempt, most)
    return wait * (0.5 + chance() / 2) if retry.jitter else wait


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _describe_one(error: BaseException) -> ErrorInfo:
    if isinstance(error, AetherFlowError):
        return error.info()
    kind: FailureKind = "other"
    if isinstance(error, TimeoutError):
        kind = "timeout"
    elif isinstance(
        error, ConnectionError | socket.gaierror | anyio.BrokenResourceError | anyio.ClosedResourceError
    ) or (isinstance(error, OSError) and error.errno in _UNREACHABLE):
        kind = "connection"
    if isinstance(error, SystemExit):
        return ErrorInfo(code="AF701", message=f"the step called sys.exit({error.code!r})")
    try:
        text = str(error) or "no further message"
    except Exception as failure:  # noqa: BLE001 - an error that cannot even say what it is
        text = f"its text cannot be read ({type(failure).__name__})"
    return ErrorInfo(code="AF701", message=f"{type(error).__name__}: {text}", kind=kind)


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


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a Struct under their encoded names; UNSET ones are left out."""
    fields = zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
    values = {name: getattr(struct, attribute) for name, attribute in fields}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _plain(value: Any) -> Any:
    """Return the value as the JSON it will be stored as, so that a resumed run sees what a first one saw."""
    if not value:
        return {}
    try:
        try:
            return _as_json(value)
        except UnicodeEncodeError:
            return _as_json(_escaped(value))
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise StepError(
            f"the outputs cannot be written as JSON: {error}",
            hint="give texts, numbers, booleans, lists and mappings with text keys",
            code="AF707",
        ) from None


def _as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_as_text))


def _as_text(value: Any) -> Any:
    """Return a value that JSON does not know: a mapping of another kind as a dict, all else as text."""
    return dict(value) if isinstance(value, Mapping) else _unicode(value)


def _escaped(value: Any) -> Any:
    r"""Return a tree whose texts can be UTF-8: a file name of another encoding is told with `\udcXX`."""
    match value:
        case str():
            return _unicode(value)
        case Mapping():
            return {_unicode(k) if isinstance(k, str) else k: _escaped(item) for k, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_escaped(item) for item in value]
        case msgspec.Struct():
            return _escaped(_fields(value))
        case _:
            return value


def _unicode(text: object) -> str:
    return str(text).encode("utf-8", "backslashreplace").decode()
