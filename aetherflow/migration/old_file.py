"""Read YAML as AetherFlow 0.0 did: by YAML 1.1 as PyYAML has it, with the place of every node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.migration.difference import Replace
from aetherflow.spec.syntax_errors import explain_syntax
from aetherflow.spec.yaml_scalars import scalar_value

_MERGE = "tag:yaml.org,2002:merge"


class OldFile(msgspec.Struct, frozen=True, eq=False):
    """A file of 0.0: its text and its nodes."""

    text: str
    root: MappingNode

    @property
    def newline(self) -> str:
        """How lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def source(self, node: Node) -> str:
        """Return a node as it is written."""
        return self.text[node.start_mark.index : node.end_mark.index]


def read_old(text: str, file: str) -> OldFile:
    """Read a file.

    Raises:
        InvalidInput: it is no YAML, or no mapping.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        message, hint = explain_syntax(error, text)[2:]
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidInput([Diagnostic("AF103", message, file, *place, hint=hint)]) from None
    except RecursionError:
        hint = "is a bracket not closed? otherwise flatten the data"
        message = "mappings and lists are nested too deeply"
        raise InvalidInput([Diagnostic("AF106", message, file, hint=hint)]) from None
    except yaml.reader.ReaderError as error:
        message = f"the file has the character {error.character!r}, which YAML does not allow"
        raise InvalidInput([Diagnostic("AF102", message, file)]) from None
    if not isinstance(root, MappingNode):
        hint = "aetherflow migrate reads a flow, a scheduler file or a bundle manifest"
        raise InvalidInput([Diagnostic("AF110", "the file has no keys", file, hint=hint)])
    return OldFile(text, root)


def own_pairs(node: Node | None) -> list[tuple[Node, Node]]:
    """Return the pairs of a mapping as they are written; none for other nodes."""
    return list(node.value) if isinstance(node, MappingNode) else []


def entries(node: Node | None) -> dict[str, tuple[Node, Node]]:
    """Return key and value of each entry by the text of the key: the last of equal keys, merged ones too."""
    found: dict[str, tuple[Node, Node]] = {}
    for key, value in own_pairs(node):
        if key.tag == _MERGE:
            for one in reversed(value.value if isinstance(value, SequenceNode) else [value]):
                found = {**entries(one), **found}
    found |= {key.value: (key, value) for key, value in own_pairs(node) if _is_name(key)}
    return found


def _is_name(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.tag != _MERGE


def get(node: Node | None, *names: str) -> Node | None:
    """Return the node below these keys."""
    for name in names:
        found = entries(node).get(name)
        node = found[1] if found else None
    return node


def items(node: Node | None) -> list[Node]:
    """Return the items of a list; none for other nodes."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def scalars(node: Node | None, seen: set[int] | None = None) -> Iterator[ScalarNode]:
    """Return the scalar values below a node, in order; what aliases repeat, once."""
    seen = set() if seen is None else seen
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield node
    for _, value in own_pairs(node):
        yield from scalars(value, seen)
    for item in items(node):
        yield from scalars(item, seen)


def old_value(node: Node | None) -> Any:
    """Return what 0.0 read: a date for a date, a number for `010` and `12:30`, a truth value for `yes`."""
    if isinstance(node, SequenceNode):
        return [old_value(item) for item in items(node)]
    if isinstance(node, MappingNode):
        return {name: old_value(value) for name, (_, value) in entries(node).items()}
    if node is None:
        return None
    try:
        return SafeConstructor().construct_object(node)
    except (ConstructorError, ValueError, KeyError):
        return node.value


def new_value(node: ScalarNode) -> Any:
    """Return what is read here where no text is needed."""
    try:
        return node.value if node.style else scalar_value(node.value)
    except ValueError:
        return node.value


def text_of(node: Node | None) -> str:
    """Return a text as 0.0 read it; empty if it is none."""
    value = old_value(node) if isinstance(node, ScalarNode) else ""
    return value if isinstance(value, str) else ""


def is_null(node: Node | None) -> bool:
    """Whether there is nothing, or null."""
    return node is None or (isinstance(node, ScalarNode) and old_value(node) is None)


def begin(old: OldFile, node: Node) -> int:
    """Return where a node begins, behind its anchor and its tag."""
    prefix = _PROPERTIES.match(old.text, node.start_mark.index)
    return prefix.end() if prefix else int(node.start_mark.index)


_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")


def replaced(old: OldFile, node: Node, text: str) -> Replace:
    """Return the edit that writes a text in place of a scalar."""
    end = int(node.end_mark.index)
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        end = len(old.text[:end].rstrip())
    return Replace(begin(old, node), max(end, begin(old, node)), text)


def quoted_text(text: str) -> str:
    """Return a text in double quotes, as YAML and JSON write it."""
    return json.dumps(text, ensure_ascii=False)
