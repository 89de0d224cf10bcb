"""Check the high-water marks of a flow: each step that uses one needs a mark of its own."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.check.planned_steps import uses_with
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.sdk.step import StepType

_BY_ITEM = "orders-{{item}}"


def check_mark_names(plan: Plan, step_types: Mapping[str, StepType], sink: DiagnosticSink) -> None:
    """Report marks without a name in mapped jobs (AF996), and warn about marks that are used twice (AF991).

    A name from a template is known only in a run, and of two steps that share a mark perhaps only one runs.
    """
    users: dict[str, str] = {}  # by name of the mark
    for job, step, use in uses_with(plan.jobs, step_types, lambda one: one.mark_input):
        key = use.step_type.mark_input if use.step_type else ""
        options = use.inputs.get(key)
        if not isinstance(options, dict):
            continue
        where, user, given = (*use.base, key), f"{job.id}.{step.id}", options.get("name")
        if job.for_each is not None and not given:
            message = f"the {key} of {user} has no name, but each item needs a mark of its own"
            sink.add(where, "AF996", message, f"name it by the item: {key}: {{name: '{_BY_ITEM}'}}")
            continue
        name = given or user
        if not isinstance(name, str) or "{{" in name:
            continue
        if job.for_each is not None:
            message = f"all items of {job.id} use the mark {name!r}: each skips what another reads"
            hint = f"name it by the item: {key}: {{name: '{name}-{{{{item}}}}'}}"
            sink.add((*where, "name"), "AF991", message, hint, "warning")
        elif name in users:
            message = f"{users[name]} and {user} use the mark {name!r}: the second to run fails"
            sink.add(where, "AF991", message, f"give each a {key} with a name of its own", "warning")
        users.setdefault(name, user)
