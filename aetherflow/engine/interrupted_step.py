"""How a step ends whose attempt was cut off and that must not run again (`on_interrupt`). Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from aetherflow.errors import ErrorInfo, FailureKind
from aetherflow.plan.plan import StepPlan


class InterruptedEnd(NamedTuple):
    """The end of an interrupted step, as `StepFinished` has it."""

    status: Literal["FAILED", "SKIPPED"]
    reason: str = ""
    error: ErrorInfo | None = None


def interrupted_end(
    step: StepPlan, job_id: str, attempt: int, how: str, kind: FailureKind = "other"
) -> InterruptedEnd | None:
    """Return how a step ends whose last attempt was interrupted; None if it may run again.

    Args:
        step: the step.
        job_id: its job, or the instance of one.
        attempt: the number of the attempt.
        how: why nobody knows how it ended.
        kind: what the failure counts as.
    """
    if step.spec.on_interrupt == "rerun":
        return None
    if step.spec.on_interrupt == "skip":
        return InterruptedEnd("SKIPPED", "interrupted, on_interrupt: skip")
    again = f"--rerun {job_id}.{step.spec.id} runs it again"
    if not step.spec.continue_on_error:
        again = "resume the run once more, and it runs again"
    error = ErrorInfo(
        code="AF713",
        message=f"the step was interrupted at attempt {attempt} ({how}) "
        "and must not be repeated (on_interrupt: fail)",
        kind=kind,
        hint=f"find out what it did; {again}",
    )
    return InterruptedEnd("FAILED", error=error)
