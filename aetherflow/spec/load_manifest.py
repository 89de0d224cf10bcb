"""Read a bundle manifest: its shape, and whether its keys fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.spec.decode import decode
from aetherflow.spec.document import Document, NodePath, scan_file
from aetherflow.spec.load import another_kind_diagnostic
from aetherflow.spec.manifest import SOURCE_KEYS, ManifestFile
from aetherflow.spec.placed import PlacedResource, placed_resource
from aetherflow.spec.suggest import did_you_mean, quoted
from aetherflow.working_directory import absolute
from aetherflow.written_path import UnclearPath, unexpanded, written_path

INSIDE = (
    ("bundle", "layout", "flows_dir"),
    ("bundle", "layout", "profiles_file"),
    ("bundle", "layout", "plugins_dir"),
    ("bundle", "entry_flow"),
)
"""The keys whose paths must stay inside the bundle."""

_DRIVE = re.compile(r"[A-Za-z]:")


class ManifestDocument(msgspec.Struct, frozen=True, eq=False):
    """A manifest without errors, with its path and its text with positions."""

    spec: ManifestFile
    document: Document
    path: Path

    @property
    def directory(self) -> Path:
        """The folder of the manifest, to which its paths on this machine are relative."""
        return absolute(self.path).parent

    @property
    def resources(self) -> dict[str, PlacedResource]:
        """The resources of the manifest; their relative paths start at its folder."""
        return {name: placed_resource(spec, self.directory) for name, spec in self.spec.resources.items()}


def load_manifest(path: Path) -> ManifestDocument:
    """Read a manifest.

    Raises:
        InvalidInput: the file has errors; all of them, in the order of the file.
    """
    document, diagnostics = scan_file(path)
    if document is None:
        raise InvalidInput(diagnostics)
    spec, wrong = decode(document, ManifestFile)
    if wrong and (mixed_up := another_kind_diagnostic(document, "manifest")):
        raise InvalidInput([mixed_up])
    diagnostics = [*diagnostics, *wrong, *_key_diagnostics(document)]
    if spec is None or diagnostics:
        raise InvalidInput(document.in_order(diagnostics))
    return ManifestDocument(spec, document, path)


def stays_inside(text: str) -> bool:
    """Whether a path is relative and does not leave its start folder."""
    parts = text.replace("\\", "/").split("/")
    is_relative = not text.startswith(("/", "\\")) and not _DRIVE.match(text) and not unexpanded(text)
    return is_relative and ".." not in parts


def _key_diagnostics(document: Document) -> Iterator[Diagnostic]:
    """Yield diagnostics about plain data of any shape, to be reported with errors of shape."""
    yield from _source_diagnostics(document)
    yield from _place_diagnostics(document)
    for path in INSIDE:
        text = _at(document.value, path)
        if isinstance(text, str) and not stays_inside(text):
            message = f"{path[-1]!r}: {quoted(text)} leaves the bundle"
            yield document.diagnostic(
                path, "AF851", message, "write a path relative to the root of the bundle"
            )
    entries = _at(document.value, ("env_files",))
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        text = _at(entry, ("path",))
        if isinstance(text, str) and ".." in text.replace("\\", "/").split("/"):
            message = f"'path': {quoted(text)} leaves the bundle"
            hint = "write a path below the root of the bundle, or an absolute one"
            yield document.diagnostic(("env_files", number, "path"), "AF851", message, hint)


def _place_diagnostics(document: Document) -> Iterator[Diagnostic]:
    """Yield the paths on this machine that nobody can resolve: of an unknown user, or with a `$NAME`."""
    source = _at(document.value, ("bundle", "source"))
    places: list[NodePath] = [("paths", "plugins"), ("paths", "allow")]
    if _at(source, ("type",)) == "filesystem":
        places.append(("bundle", "source", "base_path"))
    for path in places:
        value = _at(document.value, path)
        several = isinstance(value, list)
        for number, text in enumerate(value if several else [value]):
            if not isinstance(text, str):
                continue
            try:
                written_path(text, Path("/"))
            except UnclearPath as error:
                where = (*path, number) if several else path
                yield document.diagnostic(where, error.code, error.message, error.hint)


def _source_diagnostics(document: Document) -> Iterator[Diagnostic]:
    """Yield missing and unknown keys for the type of the source."""
    at: NodePath = ("bundle", "source")
    source = _at(document.value, at)
    kind = _at(source, ("type",))
    if not isinstance(source, dict) or not isinstance(kind, str):
        return
    if kind in SOURCE_KEYS:
        yield from _type_diagnostics(document, at, source, kind)
    elif hint := did_you_mean(kind, SOURCE_KEYS):  # else it may be the type of a plugin
        yield document.diagnostic((*at, "type"), "AF850", f"{quoted(kind)} is no type of source", hint)
    name, resources = source.get("resource"), _at(document.value, ("resources",))
    names = list(resources) if isinstance(resources, dict) else []
    if isinstance(name, str) and kind != "filesystem" and name not in names:
        hint = did_you_mean(name, names) or "declare it under 'resources' of the manifest"
        message = f"the source uses the resource {quoted(name)}, which the manifest does not have"
        yield document.diagnostic((*at, "resource"), "AF852", message, hint)


def _type_diagnostics(
    document: Document, at: NodePath, source: dict[str, Any], kind: str
) -> Iterator[Diagnostic]:
    """Yield missing keys of a type that ships, and keys of other types."""
    needed, optional = SOURCE_KEYS[kind]
    for key in needed:
        if key not in source:
            message = f"missing key {key!r} in 'source': a source of type {kind} needs it"
            yield document.diagnostic(at, "AF850", message, f"add '{key}: ...'")
    known = {key for keys in SOURCE_KEYS.values() for group in keys for key in group}
    for key in source:
        if key in known and key not in (*needed, *optional):
            owners = " or ".join(
                name for name, keys in SOURCE_KEYS.items() if any(key in part for part in keys)
            )
            message = f"{key!r} does not belong to a source of type {kind}"
            hint = f"remove it; it belongs to {owners}"
            yield document.diagnostic((*at, key), "AF850", message, hint)


def _at(value: Any, path: NodePath) -> Any:
    """Return the value at a path of plain data; None if there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
