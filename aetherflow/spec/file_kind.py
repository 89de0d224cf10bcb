"""Recognize by its keys what a YAML file is, to say so when another kind of file was expected."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aetherflow.spec.flow import is_flow
from aetherflow.spec.project import ProjectFile
from aetherflow.spec.schedule import is_schedule

OwnKind = Literal["flow", "scheduler", "manifest", "profiles", "project"]

_OWN: dict[OwnKind, tuple[str, str]] = {
    "flow": ("a flow", "aetherflow run {file} runs it"),
    "scheduler": ("a scheduler file", "aetherflow serve {file} runs it"),
    "manifest": (
        "a bundle manifest",
        "aetherflow run --bundle-manifest {file} runs the entry flow of its bundle",
    ),
    "profiles": (
        "a profiles file",
        "set AETHERFLOW_PROFILES_FILE={file} and run a flow that uses its profiles",
    ),
    "project": ("a project file", "aetherflow doctor shows what it sets for the flows below its folder"),
}
_PROJECT_KEYS = {field.encode_name for field in msgspec.structs.fields(ProjectFile)} - {"version"}
_EXPECTS: dict[OwnKind, str] = {
    "flow": "a flow has the keys version, flow and jobs: aetherflow init writes one to begin with",
    "scheduler": "a scheduler file has items: aetherflow help schedules",
    "manifest": "a bundle manifest has the key bundle: aetherflow help bundles",
    "profiles": "a profiles file has one mapping {config, options, decode} for each profile",
    "project": "a project file has the keys version, settings, defaults ...: aetherflow help projects",
}


def another_kind(value: Any, expected: OwnKind, file: str) -> tuple[str, str] | None:
    """Return message and hint if the plain data of `file` is clearly of another kind than expected."""
    kind = _own_kind(value)
    if kind == expected:
        return None
    if kind is not None:
        what, command = _OWN[kind]
        hint = command.format(file=file)
        hint = hint if expected == "flow" else f"{hint}; {_EXPECTS[expected]}"
        return f"this is {what}, not {_OWN[expected][0]}", hint
    if foreign := _foreign_kind(value):
        return f"this is {foreign}, not {_OWN[expected][0]}", _EXPECTS[expected]
    return None


def _own_kind(value: Any) -> OwnKind | None:
    if not isinstance(value, dict) or _foreign_kind(value):
        return None
    if is_schedule(value):
        return "scheduler"
    if is_flow(value):
        return "flow"
    if isinstance(bundle := value.get("bundle"), dict) and "source" in bundle:
        return "manifest"
    if _PROJECT_KEYS & value.keys() and value.keys() <= _PROJECT_KEYS | {"version"}:
        return "project"
    is_profiles = value and all(
        isinstance(one, dict) and one and one.keys() <= {"config", "options", "decode"}
        for one in value.values()
    )
    return "profiles" if is_profiles else None


def _foreign_kind(value: Any) -> str:
    """Return what a file of another tool is, or an empty text."""
    if isinstance(value, list):
        is_playbook = all(isinstance(one, dict) and "hosts" in one for one in value)
        return "an Ansible playbook" if value and is_playbook else ""
    if not isinstance(value, dict) or "flow" in value:
        return ""
    if "apiVersion" in value and "kind" in value:
        return "a file of Kubernetes"
    if isinstance(value.get("services"), dict):
        return "a file of Docker Compose"
    if isinstance(value.get("jobs"), dict) and "on" in value:
        return "a workflow of GitHub Actions"
    if isinstance(value.get("steps"), list) and "jobs" not in value and "version" not in value:
        return "a DAG of Dagu"
    return ""
