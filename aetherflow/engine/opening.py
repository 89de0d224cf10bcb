"""Decide what becomes of a job that is ready: it starts, or its condition or its list ends it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from aetherflow.engine.commands import Command, EndJob, StartJob
from aetherflow.engine.ready_queue import JobInstance, ReadyQueue, whole_job
from aetherflow.engine.state import RunState
from aetherflow.errors import AetherFlowError, ErrorInfo
from aetherflow.language.reference import MissingValue
from aetherflow.language.seen import Mask, shown_value
from aetherflow.language.template_error import ConditionError
from aetherflow.plan.items import MOST_ITEMS, TooManyItems, UnfitItems, items_of
from aetherflow.plan.plan import JobPlan


def open_job(
    state: RunState, ready_queue: ReadyQueue, job: JobPlan, scope: Mapping[str, Any], mask: Mask
) -> Command:
    """Start a ready job, unless a job it needs did not succeed or its gate is closed."""
    instance = whole_job(job)
    if (culprit := ready_queue.blocked_by.get(job.index)) is not None:
        return EndJob(instance, "BLOCKED", f"job {culprit} did not succeed")
    if (end := _closed_gate(instance, scope, mask)) is not None:
        return end
    saw = "" if job.when is None else f"when: {job.when.text} is true{job.when.saw(scope, mask)}"
    if job.for_each is None:
        return StartJob(instance, saw=saw)
    if (known := state.job(job.id).items) is not None:
        return StartJob(instance, known, saw)  # a resumed run continues with the items it began with
    opened = _open_mapped(state, ready_queue, instance, scope, mask)
    return replace(opened, saw=saw) if isinstance(opened, StartJob) else opened


def _closed_gate(instance: JobInstance, scope: Mapping[str, Any], mask: Mask) -> EndJob | None:
    """Return the end of a job whose condition is false, or cannot be decided."""
    when = instance.job.when
    if when is None:
        return None
    try:
        if when.evaluate(scope):
            return None
    except ConditionError as error:
        message = f"{error.message}{when.saw_besides_null(scope, mask)}"
        return EndJob(instance, "FAILED", error=ErrorInfo(code=error.code, message=message, hint=error.hint))
    reason = f"when: {when.text} is false{when.saw(scope, mask)}"
    return EndJob(instance, "SKIPPED", reason, decided_by="when")


def _open_mapped(
    state: RunState, ready_queue: ReadyQueue, instance: JobInstance, scope: Mapping[str, Any], mask: Mask
) -> Command:
    for_each = instance.job.for_each
    assert for_each is not None  # noqa: S101 - the caller has checked
    try:
        items = items_of(for_each.raw, for_each.render(scope))
    except MissingValue as error:
        maker = _maker(ready_queue, error.reference.path)
        status = state.job(maker).status if maker else "SUCCESS"
        if status != "SUCCESS":
            path = ".".join(error.reference.path)
            return EndJob(instance, "BLOCKED", f"for_each: job {maker} is {status}, there is no {path}")
        return EndJob(instance, "FAILED", error=error.info())
    except UnfitItems as unfit:
        return EndJob(instance, "FAILED", error=_no_items(instance, unfit, mask))
    except AetherFlowError as error:
        return EndJob(instance, "FAILED", error=error.info())
    if not items:
        return EndJob(instance, "SKIPPED", "for_each: no items", decided_by="for_each")
    return StartJob(instance, items)


def _maker(ready_queue: ReadyQueue, path: tuple[str, ...]) -> str:
    """Return the job whose output a path names; empty if it names none. Ids may hold dots."""
    if path[0] != "jobs":
        return ""
    names = (".".join(path[1:end]) for end in range(len(path), 1, -1))
    return next((name for name in names if name in ready_queue.index), "")


def _no_items(instance: JobInstance, unfit: UnfitItems, mask: Mask) -> ErrorInfo:
    value = "" if unfit.value is None else f": {shown_value(unfit.name, unfit.value, mask)}"
    message = f"{unfit.name} of job {instance.job.id} {unfit.reason}{value}"
    if isinstance(unfit, TooManyItems):
        return ErrorInfo(code="AF716", message=message, hint=f"split the work; {MOST_ITEMS:,} is the limit")
    hint = 'a program gives a list with `parse: lines`, or as JSON text: ["a", "b"]'
    return ErrorInfo(code="AF712", message=message, hint=hint)
