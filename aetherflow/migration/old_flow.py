"""The jobs and steps of an old flow, and what kinds of values its jobs gave to others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.migration.old_file import entries, get, items, old_value, text_of
from aetherflow.migration.old_steps import ValueKind, output_kind
from aetherflow.spec.flow import FlowMeta, JobSpec, StepSpec

OLD_KEYS: Mapping[str, tuple[str, ...]] = {
    "the file": ("version", "flow", "resources", "jobs"),
    "'flow'": ("id", "description", "workspace", "state", "locks"),
    "'workspace'": ("root", "cleanup_policy", "layout"),
    "'state'": ("backend", "path"),
    "'locks'": ("scope", "ttl_seconds"),
    "a job": ("id", "description", "depends_on", "when", "steps"),
    "a step": ("id", "type", "inputs", "outputs", "on_no_data"),
}
"""The keys that 0.0 knew in the mappings where it ignored others."""

_OF_THIS_VERSION = ("max_parallel_jobs", "params")
_ONE_TOKEN = re.compile(r"\{\{\s*(\w+)[^{}]*\}\}")
_TOKEN = re.compile(r"\{\{\s*(result|steps)\.([\w.]+)\s*(?::[^}]*)?\}\}")


class OldStep(msgspec.Struct, frozen=True, eq=False):
    """A step of a job, or the step in a `with_lock`."""

    node: MappingNode
    id: str
    type: str
    inputs: Node | None


class OldJob(msgspec.Struct, frozen=True, eq=False):
    """A job, and the kinds of its outputs by key."""

    node: MappingNode
    id: str
    steps: tuple[OldStep, ...]
    outputs: Mapping[str, ValueKind]


def is_of_this_version(root: MappingNode) -> bool:
    """Whether a flow was written for this version, or is migrated: it has a key that 0.0 did not know."""
    flow = entries(get(root, "flow"))
    jobs = [entries(job) for job in items(get(root, "jobs"))]
    return any(name in flow for name in _OF_THIS_VERSION) or any("for_each" in job for job in jobs)


def jobs_of(root: MappingNode) -> list[OldJob]:
    """Return the jobs in the order of the file."""
    return [_job(node) for node in items(get(root, "jobs")) if isinstance(node, MappingNode)]


def each_step(jobs: list[OldJob]) -> Iterator[OldStep]:
    """Yield all steps, those in a `with_lock` too."""
    for job in jobs:
        for step in job.steps:
            yield step
            inner = get(step.inputs, "step") if step.type == "with_lock" else None
            seen: set[int] = set()
            while isinstance(inner, MappingNode) and id(inner) not in seen:
                seen.add(id(inner))
                one = _step(inner)
                yield one
                inner = get(one.inputs, "step") if one.type == "with_lock" else None


def known_here(place: str) -> tuple[str, ...]:
    """Return the keys that this version knows in a mapping."""
    struct = {"'flow'": FlowMeta, "a job": JobSpec, "a step": StepSpec}.get(place)
    return struct.__struct_fields__ if struct else ()


def _job(node: MappingNode) -> OldJob:
    steps = tuple(_step(step) for step in items(get(node, "steps")) if isinstance(step, MappingNode))
    kinds: dict[str, ValueKind] = {}
    for step in steps:
        for name, (_, value) in entries(get(step.node, "outputs")).items():
            kinds[name] = _kind(value, step, steps)
    return OldJob(node, text_of(get(node, "id")), steps, kinds)


def _step(node: MappingNode) -> OldStep:
    return OldStep(node, text_of(get(node, "id")), text_of(get(node, "type")), get(node, "inputs"))


def _kind(value: Node, step: OldStep, steps: tuple[OldStep, ...]) -> ValueKind:
    """Return what kind of value an entry of `outputs` gives."""
    if not isinstance(value, ScalarNode):
        return "list"
    plain = old_value(value)
    if isinstance(plain, bool):
        return "truth"
    if isinstance(plain, int | float):
        return "number"
    token = _TOKEN.fullmatch(str(plain))
    if token is None:
        alone = _ONE_TOKEN.fullmatch(str(plain))
        return "text" if alone is None or alone[1] == "env" else "unknown"
    if token[1] == "result":
        return _kind_of(step, token[2])
    other, _, key = token[2].partition(".")
    return next((_kind_of(one, key) for one in steps if one.id == other), "unknown")


def _kind_of(step: OldStep, key: str) -> ValueKind:
    if step.type == "with_lock":
        inner = get(step.inputs, "step")
        return _kind_of(_step(inner), key) if isinstance(inner, MappingNode) else "unknown"
    return output_kind(step.type, key)
