"""The rules about a flow as a whole: its version, the order of its jobs, its places, its locks, its ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.migration.difference import AddKey, Change, Edit, Replace, changed, for_a_person
from aetherflow.migration.old_file import (
    OldFile,
    begin,
    entries,
    get,
    items,
    quoted_text,
    replaced,
    text_of,
)
from aetherflow.migration.old_flow import OldJob, is_of_this_version, jobs_of
from aetherflow.migration.surroundings import Surroundings
from aetherflow.spec.flow import IDENTIFIER, LONGEST_ID

WORK_ROOT, STATE_PATH = "/tmp/work", "/tmp/state/aetherflow.sqlite"  # noqa: S108 - the defaults of 0.0


def version_change(old: OldFile) -> Iterator[Change]:
    """Write `version: 1`, which any file of 0.0 could leave out or write otherwise."""
    node = get(old.root, "version")
    here = "version: 1 is required"
    if node is None:
        at = begin(old, old.root) + (1 if old.root.flow_style else 0)
        end = ", " if old.root.flow_style else old.newline
        add = Replace(at, at, f"version: 1{end}")
        yield changed(old.root, "AF176", "the version may be missing", here, "version: 1", add)
    elif old.source(node) != "1":
        edit = replaced(old, node, "1")
        yield changed(node, "AF176", "any version is accepted", here, "version: 1", edit)


def flow_changes(old: OldFile, around: Surroundings) -> Iterator[Change]:
    """Find what differs about the flow as a whole."""
    yield from version_change(old)
    flow = get(old.root, "flow")
    if not isinstance(flow, MappingNode):
        return
    jobs = jobs_of(old.root)
    yield from _ids(old, flow, jobs)
    if not is_of_this_version(old.root):
        yield _order(old, flow)
        yield from _places(old, flow, around)
    yield from _state_backend(old, flow)
    yield from _empty_lists(old, jobs)


def _order(old: OldFile, flow: MappingNode) -> Change:
    """Keep the order of the file, and the end at the first failure."""
    have = entries(flow)
    wanted = {"max_parallel_jobs": "1", "fail_fast": "true"}
    edits: list[Edit] = [AddKey(flow, key, value) for key, value in wanted.items() if key not in have]
    edits += [
        replaced(old, have[key][1], value)
        for key, value in wanted.items()
        if key in have and old.source(have[key][1]) != value
    ]
    return changed(
        entries(old.root)["flow"][0],
        "AF170",
        "jobs run one after the other in the order of the file, and the first that fails ends the run",
        "jobs run at the same time unless depends_on or a reference orders them, and a failed job blocks "
        "only those that depend on it; the folders of all jobs are removed at the end of the run",
        "max_parallel_jobs: 1 and fail_fast: true; remove them when depends_on says the order",
        *edits,
    )


def _places(old: OldFile, flow: MappingNode, around: Surroundings) -> Iterator[Change]:
    for section, key, default, place in (
        ("workspace", "root", WORK_ROOT, "AETHERFLOW_WORK_ROOT"),
        ("state", "path", STATE_PATH, "AETHERFLOW_STATE_ROOT, which outlives a reboot"),
    ):
        mapping, node = get(flow, section), get(flow, section, key)
        if node is None:
            edit = AddKey(flow, section, f"{{{key}: {default}}}")
            if isinstance(mapping, MappingNode):
                edit = AddKey(mapping, key, default)
            at = entries(flow)[section][0] if mapping is not None else entries(old.root)["flow"][0]
            written = f"{section}.{key}: {default}; remove it to use the setting"
            yield changed(at, "AF176", f"{section}.{key} is {default}", f"it is {place}", written, edit)
        elif (text := text_of(node)) and _is_relative(text) and around.is_moved:
            path = around.from_file(text)
            there = f"{section}.{key} begins in the folder where 0.0 was started (taken to be this one)"
            here = "it begins in the folder of the file"
            yield changed(node, "AF176", there, here, path, replaced(old, node, quoted_text(path)))
    scope = get(flow, "locks", "scope")
    if scope is not None and text_of(scope) != "none":
        there = "locks.scope has no effect"
        here = "two runs of the flow, or of a job, exclude each other"
        yield changed(scope, "AF176", there, here, "scope: none", replaced(old, scope, "none"))


def _is_relative(text: str) -> bool:
    return not PurePath(text).is_absolute() and not text.startswith("{{")


def _state_backend(old: OldFile, flow: MappingNode) -> Iterator[Change]:
    node = get(flow, "state", "backend")
    if node is not None and text_of(node) == "file":
        there, here = "state.backend: file is SQLite, too", "it is called sqlite"
        yield changed(node, "AF176", there, here, "backend: sqlite", replaced(old, node, "sqlite"))


def _empty_lists(old: OldFile, jobs: list[OldJob]) -> Iterator[Change]:
    if not jobs:
        node = get(old.root, "jobs") or old.root
        advice = "add a job, or remove the file"
        yield for_a_person(node, "AF170", "a flow without jobs succeeds", "a flow needs a job", advice)
    for job in jobs:
        steps = get(job.node, "steps")
        if isinstance(steps, Node) and not isinstance(steps, ScalarNode) and not items(steps):
            text = "[{id: nothing, type: check_items, inputs: {items: [nothing]}}]"
            written = "a step that does nothing"
            there, here = "a job without steps succeeds", "a job needs a step"
            yield changed(steps, "AF170", there, here, written, replaced(old, steps, text))


def _ids(old: OldFile, flow: MappingNode, jobs: list[OldJob]) -> Iterator[Change]:
    """Rename what is no id here; a job also where others depend on it."""
    yield from _flow_id(old, flow)
    taken = {job.id for job in jobs}
    for job in jobs:
        if (name := new_id(job.id, taken)) is not None:
            taken.add(name)
            edits = [replaced(old, node, quoted_text(name)) for node in _uses(job, jobs)]
            yield _renamed(get(job.node, "id") or job.node, "job", name, edits)
        ids = {step.id for step in job.steps}
        for step in job.steps:
            node = get(step.node, "id")
            if node is not None and (name := new_id(step.id, ids)) is not None:
                ids.add(name)
                yield _renamed(node, "step", name, [replaced(old, node, quoted_text(name))])


def _flow_id(old: OldFile, flow: MappingNode) -> Iterator[Change]:
    node = get(flow, "id")
    if node is None:
        return
    if "{{" in text_of(node):
        there, here = "the id of a flow may be a template", "runs are found by the id: it is written out"
        yield for_a_person(node, "AF179", there, here, "write the id itself")
    elif (name := new_id(text_of(node), ())) is not None:
        yield _renamed(node, "flow", name, [replaced(old, node, quoted_text(name))])


def _uses(job: OldJob, jobs: list[OldJob]) -> Iterator[Node]:
    if (node := get(job.node, "id")) is not None:
        yield node
    for other in jobs:
        yield from (one for one in items(get(other.node, "depends_on")) if text_of(one) == job.id)


def _renamed(node: Node, what: str, name: str, edits: list[Any]) -> Change:
    there = f"the id of a {what} may be any text"
    here = "it is a folder and part of paths: letters, digits, '_', '.' and '-'"
    written = f"{name}; commands and schedules that name it need the new name"
    return changed(node, "AF179", there, here, written, *edits)


def new_id(text: str, taken: Any) -> str | None:
    """Return the id to write for a text that is none, else None."""
    if not text or (len(text) <= LONGEST_ID and re.fullmatch(IDENTIFIER, text)):
        return None
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip(".-")[:120] or "_"
    while name in taken:
        name += "_"
    return name
