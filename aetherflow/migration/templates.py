"""The rules about `{{...}}`: the blanks of a default, values in longer text, and paths that are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from yaml.nodes import Node, ScalarNode

from aetherflow.migration.difference import Change, changed, for_a_person
from aetherflow.migration.old_file import OldFile, entries, get, quoted_text, replaced, scalars, text_of
from aetherflow.migration.old_flow import OldJob, is_of_this_version, jobs_of
from aetherflow.migration.old_steps import output_kind

TEMPLATE = "AF174"
_TOKEN = re.compile(r"\{\{(?P<inner>[^{}]*)\}\}")
_NO_TEMPLATE = ("cleanup_policy", "backend", "scope", "ttl_seconds")


def template_changes(old: OldFile) -> Iterator[Change]:
    """Find what differs about the templates of a flow."""
    flow, resources = get(old.root, "flow"), get(old.root, "resources")
    jobs = jobs_of(old.root)
    places: list[tuple[Node | None, OldJob | None]] = [(flow, None), (resources, None)]
    for job in jobs:
        for step in job.steps:
            places += [(step.inputs, job), (get(step.node, "outputs"), job)]
    for place, owner in places:
        for node in scalars(place):
            if "{{" in (text := text_of(node)):
                yield from _defaults(old, node, text)
                if owner is not None and not is_of_this_version(old.root):
                    yield from _values(node, text, owner, jobs)
    yield from _constants(flow)


def _defaults(old: OldFile, node: ScalarNode, text: str) -> Iterator[Change]:
    """Write defaults so that they keep the blanks that 0.0 kept."""
    alone = _TOKEN.fullmatch(text) is not None

    def exact(token: re.Match[str]) -> str:
        inner = token["inner"]
        path, colon, default = inner.partition(":")
        if not colon:
            return token[0]
        keeps_end = alone and path == path.rstrip()
        kept = default if keeps_end else default.rstrip()
        read = default.strip() if inner[:1].isspace() else default
        return token[0] if read == kept else f"{{{{{path.strip()}:{kept}}}}}"

    written = _TOKEN.sub(exact, text)
    if written != text:
        there, here = "a default keeps the blanks after its colon", "blanks inside spaced braces do not count"
        yield changed(node, TEMPLATE, there, here, written, replaced(old, node, quoted_text(written)))


def _values(node: ScalarNode, text: str, owner: OldJob, jobs: list[OldJob]) -> Iterator[Change]:
    """Find truth values and lists in longer text, and paths that are not there."""
    alone = _TOKEN.fullmatch(text) is not None
    for token in _TOKEN.finditer(text):
        path = token["inner"].partition(":")[0].strip()
        parts = path.split(".")
        if parts[0] == "jobs" and len(parts) > 1 and parts[1] in _not_before(owner, jobs):
            there = f"{{{{{path}}}}} has no value: the job {parts[1]} has not run by then"
            yield for_a_person(node, TEMPLATE, there, "this job waits for it", "write the default itself")
        if parts[0] == "jobs" and parts[-1] == "skip_reason":
            there, here = f"{{{{{path}}}}} is why a job was skipped", "it is not known"
            yield for_a_person(node, TEMPLATE, there, here, "use its status, or an output")
        kind = _kind(parts, owner, jobs)
        if not alone and kind in ("truth", "list"):
            there = f"{path} in longer text is written by Python: True, ['a', 1]"
            here = 'it is written as JSON: true, ["a",1]'
            yield for_a_person(node, TEMPLATE, there, here, "check what reads this text")


def _not_before(owner: OldJob, jobs: list[OldJob]) -> set[str]:
    """Return the ids of a job and of those behind it in the file."""
    return {job.id for job in jobs[jobs.index(owner) :]}


def _kind(parts: list[str], owner: OldJob, jobs: list[OldJob]) -> str:
    match parts:
        case ["jobs", name, "outputs", key]:
            return next((job.outputs.get(key, "") for job in jobs if job.id == name), "")
        case ["job", "outputs", key]:
            return owner.outputs.get(key, "")
        case ["steps", name, key]:
            return next((output_kind(step.type, key) for step in owner.steps if step.id == name), "")
        case _:
            return ""


def _constants(flow: Node | None) -> Iterator[Change]:
    """Find templates where a flow needs the value itself."""
    for section in ("workspace", "state"):
        for name, (_, value) in entries(get(flow, section)).items():
            if name in _NO_TEMPLATE and "{{" in text_of(value):
                there, here = f"{name} may be a template", "it is one of the words that are allowed"
                yield for_a_person(value, TEMPLATE, there, here, "write the word itself")
