"""Warn about files that one transfer removes once it has succeeded, and that another step still takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aetherflow.check.planned_steps import Use, texts, uses_of
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.plan import Plan
from aetherflow.sdk.step import StepType, follow_up_of

_FOLDERS = ("remote_dir", "dir")
_FILES = ("items", "local_files", "files", "source_path", "archives", "attachments", "src")
"""Inputs that name files which a step takes."""


class _Taken(msgspec.Struct, frozen=True):
    """What a step takes: a folder of a resource with a selection, or one local file or folder."""

    resource: str
    name: str
    pattern: str = ""


def check_taken_sources(plan: Plan, step_types: Mapping[str, StepType], sink: DiagnosticSink) -> None:
    """Warn where a step with `after: delete` or `move` takes what another step takes, too (AF831)."""
    if not any(step_type.follow_up for step_type in step_types.values()):
        return  # nothing removes its sources
    users: list[tuple[str, int, bool, Path, set[_Taken]]] = []
    for job in plan.jobs:
        for number, step in job.written_steps():
            for use in uses_of(step, ("jobs", job.index, "steps", number), step_types):
                if use.step_type is not None and (taken := set(_taken(use))):
                    removes = follow_up_of(use.step_type, use.inputs) is not None
                    users.append((f"{job.id}.{step.id}", job.index, removes, use.base, taken))
    for name, job_number, removes, where, taken in users:
        for other, other_job, _, _, others in users if removes else ():
            shared = sorted(one.name for one in taken & others if one.resource or job_number == other_job)
            if other != name and shared:
                message = f"{name} removes its sources at its success; {other} takes one, too: {shared[0]}"
                hint = "let the step that takes them last remove them"
                sink.add((*where, "after"), "AF831", message, hint, "warning")
                break


def _taken(use: Use) -> Iterator[_Taken]:
    """Yield what a step takes, as far as the file says it."""
    fields = getattr(use.step_type.input_type, "__struct_fields__", ()) if use.step_type else ()
    resource = use.inputs.get("resource")
    is_download = "dest_dir" in fields and "remote_dir" in fields
    if is_download and isinstance(resource, str):
        pattern = str(use.inputs.get("pattern") or "*")
        for key in _FOLDERS:
            if _is_plain(folder := use.inputs.get(key)):
                yield _Taken(resource, str(folder).rstrip("/"), pattern)
    for key in () if is_download else _FILES:
        for text, _ in texts(_named(use.inputs.get(key)), ()):
            if _is_plain(text):
                yield _Taken("", text.removeprefix("./"))


def _named(value: Any) -> Any:
    """Return the texts of an input that name files: of a mapping only its file."""
    if isinstance(value, list):
        return [_named(item) for item in value]
    return [value.get("file"), value.get("path")] if isinstance(value, dict) else value


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "{{" not in value
