"""Build the graph of the jobs of a flow file, without reading the environment or profiles."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aetherflow.check.job_graph import Graph, graph_of
from aetherflow.errors import AetherFlowError, InvalidInput
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.redaction import Redactor
from aetherflow.sdk.step import StepType
from aetherflow.spec.load import load_flow


def load_graph(flow: Path) -> Graph:
    """Return the graph of a flow.

    Raises:
        InvalidInput: its shape, or a reference in it, is wrong; every diagnostic.
    """
    loaded = load_flow(flow)
    sink = DiagnosticSink(loaded.document)
    with_after = {step.type for job in loaded.spec.jobs for step in job.steps if "after" in step.inputs}
    plan = build_plan(loaded, sink, step_type_of=lambda name: _shipped(name) if name in with_after else None)
    if sink.has_errors:
        raise InvalidInput([*sink.in_order(Redactor().text).values()])
    if loaded.spec.is_placed:  # some types stay in the process of the run, whatever the file says
        types = {step.spec.type for job in plan.jobs for step in job.steps}
        known = {name: found for name in sorted(types) if (found := _shipped(name)) is not None}
        plan = msgspec.structs.replace(plan, step_types=known)
    return graph_of(plan)


def _shipped(name: str) -> StepType | None:
    """Return a step type that ships, to see what follows it and where it runs; a drawing loads no plugins."""
    from aetherflow.registry import Registry  # noqa: PLC0415 - few flows have such steps

    try:
        return Registry().step_type(name)
    except AetherFlowError:
        return None
