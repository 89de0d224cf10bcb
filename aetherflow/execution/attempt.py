"""Run one attempt of one step: prepare its call, let a placement perform it, return its outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import msgspec

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.events.event_words import place_text
from aetherflow.events.marks import MarkUse
from aetherflow.execution.ports import Directories, Placement, StepCall
from aetherflow.language.reference import Lenient
from aetherflow.plan.plan import StepPlan
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.redaction import holds_mask, names_a_secret
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.json_values import as_text, plain_json, plain_text
from aetherflow.sdk.marks import check_mark_text
from aetherflow.sdk.services import RunServices
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.step_failure import failure_of


class AttemptOutcome(msgspec.Struct, frozen=True):
    """How an attempt ended, masked; large values are references.

    Attributes:
        masked: the outputs of the step that have a mask in the place of a value.
        masked_of_job: the outputs for its job that have one.
        marks: how it used high-water marks, if it succeeded.
    """

    result: StepResult | None = None
    job_outputs: dict[str, Any] = {}
    masked: list[str] = []
    masked_of_job: list[str] = []
    marks: dict[str, MarkUse] = {}
    error: ErrorInfo | None = None
    trace: str = ""


class RunFacts(msgspec.Struct, frozen=True):
    """What the calls of all attempts of one run have in common.

    Attributes:
        environment: the fingerprint of the run's environment.
    """

    services: RunServices
    directories: Directories
    environment: str


class Token(msgspec.Struct, frozen=True):
    """The identity of one attempt among all; see `StepCall.key` and `StepCall.is_reattached`."""

    key: str = ""
    is_reattached: bool = False


NO_TOKEN = Token()
"""Of an attempt that runs in this process only."""


LOST_HINT = "a retry with retry_on: [lost] makes another attempt, if the step may run twice"


class AttemptPlace:
    """Takes note of the worker that begins an attempt, once, and as long as the attempt goes on.

    Attributes:
        executor: the executor that the attempt was given to; empty: it runs in this process.
        worker: the worker that has begun it; empty while none has.
        is_reattached: a worker has begun it for an earlier process of the run.
        may_have_run: whether a worker has begun it, as far as anybody knows.
        spent_seconds: how long it had run when the run was resumed.
        began: when it began, on the monotonic clock; None: not yet, or it runs in this process.
        lost: why nobody knows how it ended; None: it ended in order, or goes on.
    """

    def __init__(
        self,
        executor: str,
        report: Callable[[AttemptPlace], None],
        *,
        is_reattached: bool = False,
        spent_seconds: float = 0,
    ) -> None:
        """Wait for a worker of the executor, if there is one; `report` is called when it begins."""
        self.executor = executor
        self.worker = ""
        self.host = ""
        self.is_reattached = is_reattached
        self.may_have_run = is_reattached or not executor
        self.spent_seconds = spent_seconds
        self.began: float | None = None
        self.lost: ErrorInfo | None = None
        self._report = report
        self._begun = anyio.Event()
        self._is_over = False
        if not executor:
            self._begun.set()

    @property
    def has_begun(self) -> bool:
        """Whether the attempt runs, or has run."""
        return self._begun.is_set()

    async def wait_until_begun(self) -> None:
        """Return when the attempt has begun."""
        await self._begun.wait()

    def begin(self, worker: str, host: str) -> None:
        """Note that a worker begins the attempt, or is found to run it still."""
        if not self.has_begun and not self._is_over:
            self.worker, self.host = worker, host
            self.may_have_run = True
            self._begun.set()
            self._report(self)

    async def watch(self, attempt: Callable[[], Awaitable[AttemptOutcome]]) -> AttemptOutcome:
        """Perform the attempt; note if it is lost, and add to its error where it ran."""
        outcome = await attempt()
        error = outcome.error
        if not self.executor or error is None or error.kind != "lost":
            return outcome
        self.lost = error
        if not self._is_named_in(error.message):
            error = error.with_remark(f"it ran on {self}")
        error = error if error.hint else msgspec.structs.replace(error, hint=LOST_HINT)
        return msgspec.structs.replace(outcome, error=error)

    @property
    def how_lost(self) -> str:
        """Why nobody knows how it ended, and where it ran; empty if it is not lost."""
        if self.lost is None or self._is_named_in(self.lost.message):
            return "" if self.lost is None else self.lost.message
        return f"{self.lost.message}, on {self}"

    def _is_named_in(self, message: str) -> bool:
        return not self.worker or (self.worker in message and self.host in message)

    def close(self) -> None:
        """Note that the attempt has ended: nothing begins it any more."""
        self._is_over = True

    def __str__(self) -> str:
        if not self.executor:
            return ""
        return place_text(self.executor, self.worker, self.host) if self.worker else self.executor


async def attempt_step(
    run: RunFacts,
    context: StepContext,
    step: StepPlan,
    scope: Mapping[str, Any],
    placement: Placement,
    time_limit_seconds: float | None = None,
    token: Token = NO_TOKEN,
) -> AttemptOutcome:
    """Run a step once. Cancellation passes through; every other failure is an outcome."""
    try:
        call = prepare(run, context, step, scope, time_limit_seconds, token)
        result = await placement.perform(call, context)
        return await conclude(run, context, step, scope, result)
    except BaseException as error:  # whatever a step raises is its outcome, with place and cause
        await context.undo()
        if is_our_cancellation(error):
            raise
        info, trace = failure_of(error, context.redactor)
        return AttemptOutcome(error=info, trace=trace)


def prepare(
    run: RunFacts,
    context: StepContext,
    step: StepPlan,
    scope: Mapping[str, Any],
    time_limit_seconds: float | None,
    token: Token,
) -> StepCall:
    """Render the inputs of a step, note the secrets among them, and return the call.

    Raises:
        MissingValue: a template refers to a missing value.
    """
    # A copy: what is rendered belongs to the flow and to the state, and a step may change what it gets.
    inputs = msgspec.to_builtins(step.inputs.render(_forgiving(run, context, scope)), enc_hook=as_text)
    context.redactor.add_named(inputs)
    return StepCall(
        step_type=context.step_type,
        version=step.version,
        inputs=inputs,
        flow_id=context.flow_id,
        run_id=context.run_id,
        job_id=context.job_id,
        step_id=context.step_id,
        attempt=context.attempt,
        execution=context.execution,
        idempotency_key=context.idempotency_key,
        key=token.key,
        is_reattached=token.is_reattached,
        environment=run.environment,
        directories=run.directories,
        time_limit_seconds=time_limit_seconds,
    )


async def conclude(
    run: RunFacts, context: StepContext, step: StepPlan, scope: Mapping[str, Any], result: StepResult
) -> AttemptOutcome:
    """Mask what a step returned, promote its outputs to the job, and store large values as files.

    Raises:
        StepError: the outputs cannot be written as JSON, or a mark cannot be moved.
        MissingValue: a promoted output does not exist.
        OSError: a large value cannot be stored.
    """
    redactor, large = context.redactor, run.services.large_outputs
    plain = plain_json(result.outputs)
    if named := {key: value for key, value in plain.items() if names_a_secret(key)}:
        redactor.add_named(named)
    reason = redactor.text(plain_text(result.reason)) if result.reason else ""
    masked = StepResult(result.status, redactor.value(plain), reason)
    promoted: dict[str, Any] = {}
    if step.spec.outputs:
        promoted = redactor.value(plain_json(_promote(run, context, step, masked, scope)))
    changed = _masked(masked.outputs), _masked(promoted), await _used_marks(context, result)
    if large is None:
        return AttemptOutcome(masked, promoted, *changed)
    stored = StepResult(masked.status, await large.set_aside(masked.outputs), reason)
    return AttemptOutcome(stored, await large.set_aside(promoted) if promoted else promoted, *changed)


async def _used_marks(context: StepContext, result: StepResult) -> dict[str, MarkUse]:
    """Return how a step that succeeded has used marks.

    Raises:
        StepError: a mark cannot be moved so, or the step was skipped.
    """
    if result.status == "SUCCESS":
        for name, mark in result.marks.items():
            check_mark_text("name", name, context.redactor)
            check_mark_text("value", mark.text, context.redactor)
        return await context.marks.used(result.marks)
    if result.marks:
        raise StepError(
            "a step that is SKIPPED moves no marks", hint="return SUCCESS, or no marks", code="AF990"
        )
    return {}


def _masked(outputs: Mapping[str, Any]) -> list[str]:
    """Return the keys of outputs that are masked or have masked values."""
    return [key for key, value in outputs.items() if holds_mask(key) or holds_mask(value)]


def directories_of(services: RunServices) -> Directories:
    """Return where the files of a run are."""
    workspace = services.workspace
    allowed = None if workspace.allowed is None else [str(path) for path in workspace.allowed]
    return Directories(
        work=str(workspace.root),
        logs=str(services.log_directory),
        layout=dict(workspace.layout),
        strict=workspace.strict,
        allowed=allowed,
        access=workspace.access,
    )


def _forgiving(run: RunFacts, context: StepContext, scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scope, or with lenient templates one in which a missing value is an empty text."""
    if run.services.strict_templates:
        return scope
    return Lenient(scope, lambda gap: context.log(f"{gap.message}; an empty text is used", "warning"))


def _promote(
    run: RunFacts, context: StepContext, step: StepPlan, result: StepResult, scope: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the step adds to its job's outputs; of a SKIPPED step, those values that exist."""
    ended = {"status": result.status, "outputs": result.outputs, "reason": result.reason, **result.outputs}
    steps = _With(scope["steps"], step.spec.id, ended)
    seen = {**scope, "result": result.outputs, "steps": steps}
    if result.status == "SKIPPED":
        promoted: dict[str, Any] = step.outputs.render_present(seen)
        return promoted
    rendered: dict[str, Any] = step.outputs.render(_forgiving(run, context, seen))
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
