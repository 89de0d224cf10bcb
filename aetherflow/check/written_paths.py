"""Report paths of a flow that no folder can have been meant by: `$HOME/x`, `~` of an unknown user."""

from __future__ import annotations

import pathlib

from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.diagnostics import Path as Place
from aetherflow.plan.plan import Plan
from aetherflow.written_path import UnclearPath, unexpanded, variable_of, written_path


def check_flow_paths(plan: Plan, sink: DiagnosticSink) -> None:
    """Report wrong paths among the keys of `flow` (AF140, AF141, AF142)."""
    flow = plan.flow
    _check(flow.state.path, ("flow", "state", "path"), sink)
    _check(flow.workspace.root, ("flow", "workspace", "root"), sink)
    for key, text in flow.workspace.layout.items():
        check_path_below(text, f"workspace.layout.{key}", ("flow", "workspace", "layout", key), sink)


def check_path_below(text: str, called: str, where: Place, sink: DiagnosticSink) -> None:
    """Report a path below a fixed folder that begins with `~` or `$NAME`: that would be a folder."""
    if found := unexpanded(text):
        message = f"{called!r}: {found} is not replaced here, and would be a folder of that name"
        hint = f"write {{{{env.{variable_of(found)}}}}} in its place, or ./{text} for a folder called {found}"
        sink.add(where, "AF142", message, hint)


def _check(text: str | None, where: Place, sink: DiagnosticSink) -> None:
    if not text:
        return
    try:
        written_path(text, pathlib.Path("/"))
    except UnclearPath as error:
        sink.add(where, error.code, f"{'.'.join(map(str, where))}: {error.message}", error.hint)
