"""Give a flow the `defaults` of its project: keys of `flow:` that the flow itself does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from aetherflow.config.project import Project
from aetherflow.spec.flow import WorkspaceSpec
from aetherflow.spec.load import FlowDocument
from aetherflow.spec.project import DefaultsSpec

_ELSEWHERE = ("/", "~", "{{")
"""How a root begins that does not start at the folder of the project file."""


def with_defaults(
    flow: FlowDocument, projects: Sequence[Project], bundle_root: Path | None = None
) -> FlowDocument:
    """Return the flow with what it leaves out; of several projects the last one wins.

    `retry` is taken as a whole, `workspace` key by key. A relative root starts at the
    project file, but one inside a bundle at the work root, as it does in a flow there.
    """
    for project in reversed(projects):
        defaults = project.written.spec.defaults
        if defaults.workspace is not None and (bundle_root is None or bundle_root != project.folder):
            defaults = replace(defaults, workspace=_at_project(defaults.workspace, project))
        flow = _with(defaults, flow)
    return flow


def _with(defaults: DefaultsSpec, flow: FlowDocument) -> FlowDocument:
    own = flow.spec.flow
    taken: dict[str, Any] = {
        name: getattr(defaults, name)
        for name in ("retry", "timeout_seconds", "timezone")
        if getattr(own, name) is None and getattr(defaults, name) is not None
    }
    if defaults.workspace is not None:
        given = {name: value for name, value in asdict(own.workspace).items() if name in _written(flow)}
        layout = {**defaults.workspace.layout, **own.workspace.layout}
        taken["workspace"] = replace(defaults.workspace, **{**given, "layout": layout})
    return replace(flow, spec=replace(flow.spec, flow=replace(own, **taken))) if taken else flow


def _written(flow: FlowDocument) -> dict[str, Any]:
    """Return the workspace as the file has it; a file of wrong shape may have anything there."""
    value: Any = flow.document.value
    for key in ("flow", "workspace"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _at_project(workspace: WorkspaceSpec, project: Project) -> WorkspaceSpec:
    root = workspace.root
    if root is None or root.startswith(_ELSEWHERE):
        return workspace
    return replace(workspace, root=str(project.folder / root))
