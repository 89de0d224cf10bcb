"""What a migration finds in a file, and the edits that go with it. Imports the nodes of the old file."""

from __future__ import annotations

import msgspec
from yaml.nodes import MappingNode, Node

from aetherflow.errors import Diagnostic


class Replace(msgspec.Struct, frozen=True):
    """Another text in place of what is between two offsets."""

    start: int
    end: int
    text: str


class RemoveKey(msgspec.Struct, frozen=True, eq=False):
    """A key that is left out, with its value."""

    mapping: MappingNode
    key: Node


class AddKey(msgspec.Struct, frozen=True, eq=False):
    """A key at the end of a mapping; its value is written on one line."""

    mapping: MappingNode
    key: str
    value: str


Edit = Replace | RemoveKey | AddKey


class Difference(msgspec.Struct, frozen=True):
    """One difference between what a file meant to AetherFlow 0.0 and what it means here.

    Attributes:
        line: counted from 1, as `column`.
        there: what 0.0 did.
        here: what the same text means here.
        written: what the written file does about it, or what a person has to do.
        by_hand: whether a person has to decide.
    """

    code: str
    line: int
    column: int
    there: str
    here: str
    written: str
    by_hand: bool = False

    def diagnostic(self, file: str) -> Diagnostic:
        """Return the difference as a diagnostic: an error if a person has to decide, else a warning."""
        return Diagnostic(
            code=self.code,
            message=f"0.0: {self.there}; here: {self.here}",
            file=file,
            line=self.line,
            column=self.column,
            severity="error" if self.by_hand else "warning",
            hint=f"{'by hand' if self.by_hand else 'written'}: {self.written}",
        )


class Change(msgspec.Struct, frozen=True, eq=False):
    """A difference with its edits."""

    difference: Difference
    edits: tuple[Edit, ...] = ()


def changed(
    node: Node, code: str, there: str, here: str, written: str, *edits: Edit, by_hand: bool = False
) -> Change:
    """Return a change about a node."""
    mark = node.start_mark
    return Change(Difference(code, mark.line + 1, mark.column + 1, there, here, written, by_hand), edits)


def for_a_person(node: Node, code: str, there: str, here: str, advice: str) -> Change:
    """Return a difference that only a person can decide about."""
    return changed(node, code, there, here, advice, by_hand=True)
