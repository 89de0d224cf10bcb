"""The rules about keys: those that 0.0 ignored, and those written twice, of which the last counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.migration.difference import Change, RemoveKey, changed
from aetherflow.migration.old_file import OldFile, entries, get, is_null, items, own_pairs
from aetherflow.migration.old_flow import OLD_KEYS, each_step, is_of_this_version, jobs_of, known_here
from aetherflow.migration.old_steps import STEPS

IGNORED = "AF172"


def key_changes(old: OldFile) -> Iterator[Change]:
    """Leave out the keys of a flow that 0.0 ignored."""
    is_new = is_of_this_version(old.root)
    flow, jobs = get(old.root, "flow"), jobs_of(old.root)
    places: list[tuple[str, Node | None]] = [
        ("the file", old.root),
        ("'flow'", flow),
        *((f"'{name}'", get(flow, name)) for name in ("workspace", "state", "locks")),
        *(("a job", job.node) for job in jobs),
    ]
    places += [("a step", step.node) for job in jobs for step in job.steps]
    for place, node in places:
        known = {*OLD_KEYS[place], *(known_here(place) if is_new else ())}
        # what orders the jobs is written by its own rule
        known |= {"max_parallel_jobs", "fail_fast"} if place == "'flow'" else set()
        yield from _unknown(node, known, place, known_here(place))
        yield from _empty_description(node)
    for step in each_step(jobs):
        if step.type in STEPS and not is_new:
            yield from _unknown_inputs(step.inputs, STEPS[step.type], f"the inputs of {step.type}")
        if step.type == "with_lock" and isinstance(inner := get(step.inputs, "step"), MappingNode):
            yield from _unknown(inner, {"id", "type", "inputs"}, "the step of with_lock", ())


def _empty_description(node: Node | None) -> Iterator[Change]:
    found = entries(node).get("description")
    if found and isinstance(node, MappingNode) and is_null(found[1]):
        there, here = "a description may be empty", "it is a text"
        yield changed(found[0], IGNORED, there, here, "left out", RemoveKey(node, found[0]))


def _unknown_inputs(node: Node | None, kinds: Mapping[str, Any], place: str) -> Iterator[Change]:
    yield from _unknown(node, set(kinds), place, ())
    for name, kind in kinds.items():
        if isinstance(kind, Mapping):
            yield from _unknown_inputs(get(node, name), kind, f"'{name}' in {place}")


def _unknown(node: Node | None, known: set[str], place: str, here: tuple[str, ...]) -> Iterator[Change]:
    if not isinstance(node, MappingNode):
        return
    for key, _ in own_pairs(node):
        if isinstance(key, ScalarNode) and key.value not in known and key.value != "<<":
            has_effect = "it has an effect" if key.value in here else "it is an error, or has an effect"
            written = "left out" + ("; add it again if you want the effect" if key.value in here else "")
            there = f"the key {key.value!r} in {place} is ignored"
            yield changed(key, IGNORED, there, has_effect, written, RemoveKey(node, key))


def repeated_keys(old: OldFile) -> Iterator[Change]:
    """Leave out all but the last of equal keys."""
    yield from _repeated(old.root, set())


def _repeated(node: Node, seen: set[int]) -> Iterator[Change]:
    if id(node) in seen:
        return
    seen.add(id(node))
    last = {id(key) for key, _ in entries(node).values()}
    for key, value in own_pairs(node):
        is_last = not isinstance(key, ScalarNode) or key.value == "<<" or id(key) in last
        if not is_last and isinstance(node, MappingNode):
            there, here = f"of two keys {key.value!r} the last counts", "this is an error"
            yield changed(key, IGNORED, there, here, "the last one", RemoveKey(node, key))
        else:
            yield from _repeated(value, seen)
    for item in items(node):
        yield from _repeated(item, seen)
