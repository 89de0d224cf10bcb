"""Migrate one file: find out what it is, apply the rules of its kind, and write the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.migration.anchors import anchor_moves
from aetherflow.migration.conditions import condition_changes
from aetherflow.migration.difference import Change, Difference, Replace
from aetherflow.migration.edits import edited
from aetherflow.migration.flow_settings import flow_changes
from aetherflow.migration.manifest_file import manifest_changes
from aetherflow.migration.old_file import OldFile, entries, items, own_pairs, read_old
from aetherflow.migration.old_flow import OLD_KEYS
from aetherflow.migration.process_steps import process_changes
from aetherflow.migration.resources import resource_changes
from aetherflow.migration.schedule_file import schedule_changes
from aetherflow.migration.spellings import spelling_changes
from aetherflow.migration.step_inputs import input_changes
from aetherflow.migration.surroundings import Surroundings
from aetherflow.migration.templates import template_changes
from aetherflow.migration.unknown_keys import key_changes, repeated_keys
from aetherflow.redaction import Redactor, names_a_secret

Kind = Literal["flow", "scheduler", "manifest"]


class Migration(msgspec.Struct, frozen=True):
    """The differences about a file, in its order, and the text that does the same here."""

    kind: Kind
    differences: tuple[Difference, ...]
    text: str
    old_text: str

    @property
    def needs_a_person(self) -> bool:
        """Whether a difference was not dealt with."""
        return any(difference.by_hand for difference in self.differences)


def migrate_text(text: str, file: str, around: Surroundings) -> Migration:
    """Migrate the text of a file of 0.0; `file` is its name in messages.

    Raises:
        InvalidInput: it is no YAML, or neither a flow nor a scheduler file nor a manifest.
    """
    old = read_old(text, file)
    kind = _kind(old.root, file)
    try:
        if kind == "flow" and (moves := list(anchor_moves(old, OLD_KEYS["the file"]))):
            old = read_old(edited(old, moves), file)
        return _migrated(old, kind, text, list(_changes(old, kind, around)))
    except RecursionError:
        message = "mappings and lists are nested too deeply, or hold themselves"
        raise InvalidInput([Diagnostic("AF106", message, file, hint="write the values out")]) from None


def _migrated(old: OldFile, kind: Kind, text: str, changes: list[Change]) -> Migration:
    lines, secrets = text.splitlines(), set(_lines_of_secrets(old.root, set()))
    edits = [edit for change in changes for edit in change.edits]
    differences = sorted(
        {_without_secret(change.difference, lines, secrets) for change in changes},
        key=lambda found: (found.line, found.column, found.code, found.there),
    )
    return Migration(kind, tuple(differences), edited(old, edits) if edits else text, text)


def _without_secret(found: Difference, lines: list[str], secrets: set[int]) -> Difference:
    """Return a difference without the values of a line that may hold a secret."""
    line = lines[found.line - 1] if found.line <= len(lines) else ""
    if found.line not in secrets and Redactor().text(line) == line:
        return found
    there, here = "a value of this line, which may be a secret, is read otherwise", "as it is written"
    return msgspec.structs.replace(found, there=there, here=here, written="what 0.0 read")


def _lines_of_secrets(node: Node, seen: set[tuple[int, bool]], *, is_secret: bool = False) -> Iterator[int]:
    """Yield the lines of values under keys that are named like a secret, counted from 1."""
    if (id(node), is_secret) in seen:
        return
    seen.add((id(node), is_secret))
    if isinstance(node, ScalarNode) and is_secret:
        yield from range(node.start_mark.line + 1, node.end_mark.line + 2)
    for key, value in own_pairs(node):
        yield from _lines_of_secrets(value, seen, is_secret=is_secret or names_a_secret(str(key.value)))
    for item in items(node):
        yield from _lines_of_secrets(item, seen, is_secret=is_secret)


def _kind(root: MappingNode, file: str) -> Kind:
    keys = entries(root)
    if "jobs" in keys or "flow" in keys:
        return "flow"
    if "items" in keys:
        return "scheduler"
    if "bundle" in keys:
        return "manifest"
    message = "this is no flow (jobs), no scheduler file (items) and no bundle manifest (bundle)"
    raise InvalidInput([Diagnostic("AF110", message, file, hint="name one of these three files")])


def _changes(old: OldFile, kind: Kind, around: Surroundings) -> Iterator[Change]:
    found = [*repeated_keys(old)]
    match kind:
        case "flow":
            found += [
                *key_changes(old),
                *flow_changes(old, around),
                *input_changes(old, around),
                *process_changes(old, around),
                *condition_changes(old),
                *template_changes(old),
                *resource_changes(old),
            ]
        case "scheduler":
            found += schedule_changes(old, around)
        case "manifest":
            found += manifest_changes(old)
    written = {edit.start for change in found for edit in change.edits if isinstance(edit, Replace)}
    yield from found
    yield from spelling_changes(old, written)
