"""Move anchors out of keys that 0.0 ignored, as `x-defaults: &d {...}`, before these keys are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.migration.difference import Replace
from aetherflow.migration.edits import end_of
from aetherflow.migration.old_file import OldFile, items, own_pairs, quoted_text

Span = tuple[int, int]
_NOT_PLAIN_IN_BRACKETS = frozenset(",[]{}#:\n")


def anchor_moves(old: OldFile, known: Collection[str]) -> Iterator[Replace]:
    """Yield the edits that write, for the first alias outside of the ignored keys, the anchor with its value.

    The values of these keys become empty mappings of as many lines, so that all places stay.

    Args:
        old: the file.
        known: the keys at its top that stay.
    """
    ignored = [
        value
        for key, value in own_pairs(old.root)
        if str(key.value) not in known
        and not isinstance(value, ScalarNode)
        and value.start_mark.index > key.start_mark.index
    ]
    spans = [(int(value.start_mark.index), int(value.end_mark.index)) for value in ignored]
    anchored: dict[str, int] = {}
    moves: list[Replace] = []
    for event in yaml.parse(old.text, Loader=yaml.SafeLoader):
        name, start, end = getattr(event, "anchor", None), event.start_mark, event.end_mark
        if name is None or start is None or end is None:
            continue
        at = start.index
        if not isinstance(event, AliasEvent):
            anchored.pop(name, None)
            if _is_in(spans, at):
                anchored[name] = at
        elif name in anchored and not _is_in(spans, at):
            node = _node_at(ignored, anchored.pop(name))
            if node is not None:
                moves.append(Replace(at, end.index, f"&{name} {_in_brackets(old, node)}"))
    if moves:
        yield from moves
        for node in ignored:
            first, last = int(node.start_mark.index), end_of(old, node)
            yield Replace(first, last, "{" + "\n" * old.text.count("\n", first, last) + "}")


def _is_in(spans: list[Span], at: int) -> bool:
    return any(start <= at < end for start, end in spans)


def _node_at(nodes: list[Node], at: int) -> Node | None:
    """Return the node below these that begins at an offset."""
    left, seen = list(nodes), set[int]()
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            if node.start_mark.index == at:
                return node
            left += [*(value for _, value in own_pairs(node)), *items(node)]
    return None


def _in_brackets(old: OldFile, node: Node) -> str:
    """Return a node on one line; aliases in it are written out."""
    if isinstance(node, MappingNode):
        pairs = (f"{_in_brackets(old, key)}: {_in_brackets(old, value)}" for key, value in own_pairs(node))
        return f"{{{', '.join(pairs)}}}"
    if not isinstance(node, ScalarNode):
        return f"[{', '.join(_in_brackets(old, item) for item in items(node))}]"
    if node.style or _NOT_PLAIN_IN_BRACKETS & set(node.value):
        return quoted_text(node.value)
    return str(node.value)
