"""Build the graph of the jobs of a flow file, without reading the environment or profiles."""

from __future__ import annotations

from pathlib import Path

from aetherflow.check.job_graph import Graph, graph_of
from aetherflow.errors import InvalidInput
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.redaction import Redactor
from aetherflow.spec.load import load_flow


def load_graph(flow: Path) -> Graph:
    """Return the graph of a flow.

    Raises:
        InvalidInput: its shape, or a reference in it, is wrong; every diagnostic.
    """
    loaded = load_flow(flow)
    sink = DiagnosticSink(loaded.document)
    plan = build_plan(loaded, sink)
    if sink.has_errors:
        raise InvalidInput([*sink.in_order(Redactor().text).values()])
    return graph_of(plan)
