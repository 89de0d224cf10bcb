"""Change the text of a file by places, so that its comments and its layout stay."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.migration.difference import AddKey, Edit, RemoveKey, Replace
from aetherflow.migration.old_file import OldFile, begin, items, own_pairs


def edited(old: OldFile, edits: Iterable[Edit]) -> str:
    """Return the text of a file with the edits; what lies in a part that is left out is left out with it."""
    edits = list(edits)
    cuts = list(_merged(sorted(_cuts(old, edits), key=lambda cut: (cut.start, cut.end))))
    replacements = {edit for edit in edits if isinstance(edit, Replace)}
    texts = [*replacements, *_additions(old, edits)]
    starts = [cut.start for cut in cuts]
    texts = [one for one in texts if not _is_cut(one, cuts, starts)]
    text = old.text
    for edit in sorted([*cuts, *texts], key=lambda edit: (edit.start, edit.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _is_cut(one: Replace, cuts: list[Replace], starts: list[int]) -> bool:
    """Whether a text lies in a part that is left out; the parts are sorted and do not overlap."""
    number = bisect_left(starts, one.end)
    return number > 0 and one.start < cuts[number - 1].end


def _cuts(old: OldFile, edits: list[Edit]) -> Iterator[Replace]:
    """Return the edits that leave keys out."""
    gone = {id(edit.key) for edit in edits if isinstance(edit, RemoveKey)}
    added = _added(edits)
    for mapping in _mappings(edits, RemoveKey):
        if _is_emptied(mapping, gone):
            lines = ", ".join(added.get(id(mapping), ()))
            yield Replace(begin(old, mapping), end_of(old, mapping), f"{{{lines}}}")
            continue
        pairs = own_pairs(mapping)
        for number, (key, _) in enumerate(pairs):
            if id(key) in gone:
                left = (other for other, _ in pairs[number + 1 :] if id(other) not in gone)
                yield _cut(old, mapping, number, next(left, None))


def _mappings(edits: list[Edit], kind: type[AddKey | RemoveKey]) -> list[MappingNode]:
    """Return the mappings that edits of a kind are about, each once."""
    return list({id(edit.mapping): edit.mapping for edit in edits if isinstance(edit, kind)}.values())


def _added(edits: list[Edit]) -> dict[int, list[str]]:
    """Return the keys that are added, each once, by the id of their mapping."""
    added: dict[int, dict[str, None]] = {}
    for edit in edits:
        if isinstance(edit, AddKey):
            added.setdefault(id(edit.mapping), {})[f"{edit.key}: {edit.value}"] = None
    return {mapping: list(lines) for mapping, lines in added.items()}


def _is_emptied(mapping: MappingNode, gone: set[int]) -> bool:
    return all(id(key) in gone for key, _ in own_pairs(mapping))


def _cut(old: OldFile, mapping: MappingNode, number: int, following: Node | None) -> Replace:
    """Return the edit that leaves a pair out; `following` is the key of the next one that stays."""
    pairs = own_pairs(mapping)
    key, value = pairs[number]
    start, end = key.start_mark.index, _pair_end(old, key, value)
    line = old.text.rfind("\n", 0, start) + 1
    if not mapping.flow_style and not old.text[line:start].strip():
        return Replace(line, _line_end(old, end), "")
    if following is not None:
        return Replace(start, following.start_mark.index, "")
    before = _pair_end(old, *pairs[number - 1]) if number and mapping.flow_style else start
    return Replace(before, end, "")


def _merged(cuts: list[Replace]) -> Iterator[Replace]:
    """Return the parts to cut without overlaps."""
    last: Replace | None = None
    for cut in cuts:
        if last is not None and cut.start < last.end:
            last = msgspec.structs.replace(last, end=max(last.end, cut.end))
            continue
        if last is not None:
            yield last
        last = cut
    if last is not None:
        yield last


def _additions(old: OldFile, edits: list[Edit]) -> Iterator[Replace]:
    """Return the edits that add keys, in their order."""
    gone = {id(edit.key) for edit in edits if isinstance(edit, RemoveKey)}
    newline, added = old.newline, _added(edits)
    for mapping in _mappings(edits, AddKey):
        lines, pairs = added[id(mapping)], own_pairs(mapping)
        if pairs and _is_emptied(mapping, gone):
            continue  # it is written as a whole
        if mapping.flow_style:
            at = _pair_end(old, *pairs[-1]) if pairs else begin(old, mapping) + 1
            yield Replace(at, at, ("", ", ")[bool(pairs)] + ", ".join(lines))
            continue
        at = _line_end(old, _pair_end(old, *pairs[-1]))
        indent = " " * pairs[0][0].start_mark.column
        before = "" if old.text[:at].endswith("\n") else newline
        yield Replace(at, at, before + "".join(f"{indent}{line}{newline}" for line in lines))


def _line_end(old: OldFile, at: int) -> int:
    """Return where the next line begins."""
    return (old.text.find("\n", at) + 1) or len(old.text)


def end_of(old: OldFile, node: Node) -> int:
    """Return where the last character of a node is; the mark of a block is at what follows it."""
    if isinstance(node, ScalarNode):
        end = int(node.end_mark.index)
        return len(old.text[:end].rstrip()) if node.style in ("|", ">") else end
    if getattr(node, "flow_style", False) or not node.value:
        return int(node.end_mark.index)
    if isinstance(node, MappingNode):
        return _pair_end(old, *own_pairs(node)[-1])
    last = end_of(old, items(node)[-1])
    return last if last > node.start_mark.index else len(old.text[: node.end_mark.index].rstrip())


_ALIAS = re.compile(r"[^\n]*?\*[^\s,\]}]+")


def _pair_end(old: OldFile, key: Node, value: Node) -> int:
    """Return where a pair ends; the node of an alias is that of its anchor, further up."""
    if value.start_mark.index >= key.start_mark.index:
        return end_of(old, value)
    alias = _ALIAS.match(old.text, key.end_mark.index)
    return alias.end() if alias else int(key.end_mark.index)
