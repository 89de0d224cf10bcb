"""Run one attempt of a step that sends a message: find out what it is to say, or that it is not sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from aetherflow.execution.attempt import AttemptOutcome, RunFacts, attempt_step
from aetherflow.execution.ports import Placement
from aetherflow.plan.plan import MESSAGE_ROOT, StepPlan
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.step_failure import failure_of
from aetherflow.spec.messages import MessageStep


async def attempt_message(
    run: RunFacts,
    context: StepContext,
    step: StepPlan,
    spec: MessageStep,
    scope: Mapping[str, Any],
    placement: Placement,
    time_limit_seconds: float | None = None,
) -> AttemptOutcome:
    """Send a message once, or end SKIPPED as it is not due. Cancellation passes through, as for any step."""
    try:
        async with run.services.messages.about(spec, context.job_id) as message:
            if message.skipped:
                reason = context.redactor.text(message.skipped)
                return AttemptOutcome(StepResult("SKIPPED", reason=reason))
            seen = {**scope, MESSAGE_ROOT: message.values}
            outcome = await attempt_step(run, context, step, seen, placement, time_limit_seconds)
            if outcome.result is not None and outcome.result.status == "SUCCESS":
                return replace(outcome, marks={**outcome.marks, **message.marks})
            return outcome
    except BaseException as error:  # an outcome, as the failure of any other step
        if is_our_cancellation(error):
            raise
        info, trace = failure_of(error, context.redactor)
        return AttemptOutcome(error=info, trace=trace)
