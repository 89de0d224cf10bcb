"""The rules about a bundle manifest: keys with defaults that are written out, sources that are no more."""

from __future__ import annotations

from collections.abc import Iterator

from yaml.nodes import MappingNode

from aetherflow.migration.difference import AddKey, Change, changed, for_a_person
from aetherflow.migration.flow_settings import new_id, version_change
from aetherflow.migration.old_file import OldFile, entries, get, is_null, quoted_text, replaced, text_of
from aetherflow.migration.resources import resource_changes

MANIFEST = "AF182"


def manifest_changes(old: OldFile) -> Iterator[Change]:
    """Find what differs about a manifest."""
    yield from version_change(old)
    node = get(old.root, "bundle", "id")
    if node is not None and (name := new_id(text_of(node), ())) is not None:
        there, here = (
            "the id of a bundle may be any text",
            "it is a folder: letters, digits, '_', '.' and '-'",
        )
        yield changed(node, "AF179", there, here, name, replaced(old, node, quoted_text(name)))
    yield from resource_changes(old)
    mode = get(old.root, "mode")
    if text_of(mode) == "enterprise" and get(old.root, "zip_drivers") is None:
        there, here = "enterprise mode allows the archive drivers pyzipper and zipfile", "it allows none"
        written = "zip_drivers: [pyzipper, zipfile]"
        add = AddKey(old.root, "zip_drivers", "[pyzipper, zipfile]")
        yield changed(mode or old.root, MANIFEST, there, here, written, add)
    kind = get(old.root, "bundle", "source", "type")
    if kind is not None and text_of(kind) not in ("filesystem", ""):
        there = f"a source of type {text_of(kind)} is built in"
        here = "only filesystem is; a plugin brings others"
        advice = "install a plugin that has the source, or copy the files and use filesystem"
        yield for_a_person(kind, MANIFEST, there, here, advice)
    elif kind is None and isinstance(source := get(old.root, "bundle", "source"), MappingNode):
        there, here = "the type of a source is filesystem unless it says another", "it must be said"
        add = AddKey(source, "type", "filesystem")
        yield changed(
            entries(get(old.root, "bundle"))["source"][0], MANIFEST, there, here, "type: filesystem", add
        )
    files = get(old.root, "env_files")
    if files is not None and not is_null(files) and files.value:
        there, here = "env_files of a manifest cannot be read", "they are read, and set variables"
        yield for_a_person(files, MANIFEST, there, here, "keep them if they are to be read: {type, path}")
