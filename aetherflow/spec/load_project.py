"""Read a project file: its shape, and whether its paths can be meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.errors import ConfigError, Diagnostic, InvalidInput
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, NodePath, scan_file
from aetherflow.spec.env_file import EnvFile
from aetherflow.spec.project import MOVED, ProjectFile
from aetherflow.written_path import written_path

_PREFIX = "aetherflow_"


class ProjectDocument(msgspec.Struct, frozen=True, eq=False):
    """A project file without errors, its text with positions, and the folder of its relative paths."""

    spec: ProjectFile
    document: Document
    folder: Path

    def origin(self, path: NodePath) -> str:
        """Return the place of a key or item, as `file:line:column`."""
        place = self.document.position(path)
        return f"{self.document.file}:{place.line}:{place.column}"


def is_project(value: Any) -> bool:
    """Whether the plain data of a file called aetherflow.yaml is meant as a project file."""
    return not isinstance(value, dict) or not {"flow", "jobs", "items", "bundle"} & value.keys()


def read_project(path: Path, folder: Path) -> ProjectDocument | None:
    """Read a project file; None if it is a flow, a scheduler file or a manifest.

    Args:
        path: the file, by the name that messages show.
        folder: its folder.

    Raises:
        InvalidInput: the file has errors; all of them, in the order of the file.
    """
    document, diagnostics = scan_file(path)
    if document is None:
        raise InvalidInput(diagnostics)
    if not is_project(document.value):
        return None
    moved = list(_moved_settings(document))
    spec, wrong = decode(document, ProjectFile)
    places = {(diagnostic.line, diagnostic.column) for diagnostic in moved}
    diagnostics = [*diagnostics, *moved, *(d for d in wrong if (d.line, d.column) not in places)]
    if spec is not None:
        diagnostics += _unusable_paths(ProjectDocument(spec, document, folder))
    if spec is None or diagnostics:
        raise InvalidInput(document.in_order(diagnostics))
    return ProjectDocument(spec, document, folder)


def paths_of(spec: ProjectFile) -> Iterator[tuple[NodePath, str]]:
    """Yield every path that the file names, but for the root of workspaces: flows have it, too."""
    for key in ("state_root", "work_root"):
        if text := getattr(spec.settings, key):
            yield ("settings", key), text
    for number, entry in enumerate(spec.env_files):
        if isinstance(entry, EnvFile) and entry.optional:
            yield ("env_files", number), entry.path
    yield from needed_paths(spec)


def needed_paths(spec: ProjectFile) -> Iterator[tuple[NodePath, str]]:
    """Yield the paths of files and folders that must exist."""
    if spec.settings.secrets_path:
        yield ("settings", "secrets_path"), spec.settings.secrets_path
    if spec.profiles:
        yield ("profiles",), spec.profiles
    for number, entry in enumerate(spec.env_files):
        if isinstance(entry, str) or not entry.optional:
            yield ("env_files", number), entry if isinstance(entry, str) else entry.path
    for number, text in enumerate(spec.plugin_paths):
        yield ("plugin_paths", number), text
    if isinstance(spec.dotenv, str):
        yield ("dotenv",), spec.dotenv


def _moved_settings(document: Document) -> Iterator[Diagnostic]:
    """Yield the settings that are written under another name here; plain data of any shape."""
    settings = document.value.get("settings") if isinstance(document.value, dict) else None
    for key in settings if isinstance(settings, dict) else ():
        name = key.lower().removeprefix(_PREFIX)
        if name in MOVED:
            message = f"{key!r} is no key of 'settings' in a project file"
            hint = f"write {MOVED[name]} beside 'settings'"
            yield document.diagnostic(("settings", key), "AF161", message, hint)
        elif key.lower().startswith(_PREFIX):
            message = f"{key!r}: settings are written without {_PREFIX.upper()} here"
            yield document.diagnostic(("settings", key), "AF161", message, f"write {name}")


def _unusable_paths(project: ProjectDocument) -> Iterator[Diagnostic]:
    root = project.spec.defaults.workspace.root if project.spec.defaults.workspace is not None else None
    roots = [(("defaults", "workspace", "root"), root)] if root and "{{" not in root else []
    for path, text in (*roots, *paths_of(project.spec)):
        try:
            written_path(text, project.folder)
        except ConfigError as error:
            hint = "write a path relative to this file, or a whole one; ~ is the home folder"
            yield project.document.diagnostic(path, error.code, error.message, hint)
