"""The rules about a scheduler file: weekdays, days that must fit both, the zone, paths of flows, ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from yaml.nodes import MappingNode, Node, ScalarNode

from aetherflow.errors import InvalidInput
from aetherflow.migration.difference import AddKey, Change, Edit, RemoveKey, changed, for_a_person
from aetherflow.migration.flow_settings import new_id, version_change
from aetherflow.migration.old_cron import OldCron, read_cron
from aetherflow.migration.old_file import (
    OldFile,
    entries,
    get,
    items,
    old_value,
    quoted_text,
    read_old,
    replaced,
    text_of,
)
from aetherflow.migration.old_flow import jobs_of
from aetherflow.migration.surroundings import Surroundings

SCHEDULE = "AF177"
ITEM = "AF178"
_TRUE = ("true", "t", "yes", "y", "on", "1")
_ZONE = "Europe/Berlin"
_OLD_KEYS = {"version", "timezone", "items"}
_OLD_ITEM_KEYS = {
    *("id", "cron", "flow_yaml", "flow", "flow_job", "bundle_manifest"),
    *("allow_stale_bundle", "misfire_grace_time"),
}


def is_of_this_version(root: MappingNode) -> bool:
    """Whether a scheduler file has a key that 0.0 refused."""
    keys = {key for item in items(get(root, "items")) for key in entries(item)}
    return bool(entries(root).keys() - _OLD_KEYS or keys - _OLD_ITEM_KEYS)


def schedule_changes(old: OldFile, around: Surroundings) -> Iterator[Change]:
    """Find what differs about a scheduler file."""
    yield from version_change(old)
    if is_of_this_version(old.root):
        return
    zone = get(old.root, "timezone")
    if zone is None:
        there, here = f"the time zone is {_ZONE} unless the file says another", "it is UTC"
        add = AddKey(old.root, "timezone", _ZONE)
        yield changed(old.root, SCHEDULE, there, here, f"timezone: {_ZONE}", add)
    nodes = items(get(old.root, "items"))
    if not nodes:
        at = get(old.root, "items") or old.root
        yield for_a_person(at, ITEM, "a file without items is valid", "a file needs an item", "add an item")
    ids = {text_of(get(node, "id")) for node in nodes}
    calendars: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, MappingNode):
            yield from _item(old, node, ids, around)
            yield from _cron(old, node, calendars)
    if calendars:
        listed = ", ".join(f"{name}: {{weekdays: [{days}]}}" for name, days in calendars.items())
        there, here = "day and weekday of an expression must both fit", "either suffices, as in crontab(5)"
        add = AddKey(old.root, "calendars", f"{{{listed}}}")
        yield changed(old.root, SCHEDULE, there, here, f"calendars: {', '.join(calendars)}", add)


def _cron(old: OldFile, item: MappingNode, calendars: dict[str, str]) -> Iterator[Change]:
    node = get(item, "cron")
    if node is None:
        return
    text = text_of(node)
    cron = read_cron(text)
    if cron is None:
        advice = "correct it: aetherflow scheduler next shows when it fires"
        yield for_a_person(node, SCHEDULE, "the expression is an error", "it may be another one", advice)
    elif cron.has_numbers or cron.has_last or cron.weekdays:
        edits: list[Edit] = [replaced(old, node, quoted_text(cron.text))] if cron.text != text else []
        if cron.weekdays:
            name = "only_" + "_".join(cron.weekdays).replace("-", "_to_")
            calendars[name] = ", ".join(cron.weekdays)
            edits.append(AddKey(item, "calendar", name))
        if edits:
            yield changed(node, SCHEDULE, *_explained(cron), *edits)


def _explained(cron: OldCron) -> tuple[str, str, str]:
    there, here = [], []
    if cron.has_numbers:
        there.append("weekdays are counted from Monday = 0")
        here.append("Sunday is 0, as in crontab(5)")
    if cron.weekdays:
        there.append("day of month and weekday must both fit")
        here.append("either suffices")
    if cron.has_last:
        there.append("the last day is called last")
        here.append("it is called L")
    written = cron.text + (
        f", on the dates of a calendar of {', '.join(cron.weekdays)}" if cron.weekdays else ""
    )
    return ", ".join(there), ", ".join(here), written


def _item(old: OldFile, item: MappingNode, ids: set[str], around: Surroundings) -> Iterator[Change]:
    node = get(item, "id")
    if node is not None and (name := new_id(text_of(node), ids)) is not None:
        ids.add(name)
        there, here = "the id of an item may be any text", "letters, digits, '_', '.' and '-'"
        yield changed(node, "AF179", there, here, name, replaced(old, node, quoted_text(name)))
    yield from _converted(old, item)
    yield from _flow_of(old, item, around)
    for key in ("flow_yaml", "bundle_manifest"):
        path = get(item, key)
        if path is not None and text_of(path):
            yield from _path(old, path, around)
    if (job := get(item, "flow_job")) is not None and _may_wait(item, text_of(job), around):
        yield for_a_person(
            job,
            ITEM,
            "flow_job runs this job alone; if it depends on others it is BLOCKED",
            "the jobs that it waits for run first",
            "remove its depends_on and its references to jobs.* if it is to run alone",
        )


def _converted(old: OldFile, item: MappingNode) -> Iterator[Change]:
    """Write a truth value and a number that were written as text."""
    stale, grace = text_of(get(item, "allow_stale_bundle")), text_of(get(item, "misfire_grace_time"))
    if (node := get(item, "allow_stale_bundle")) is not None and stale:
        written = "true" if stale.lower() in _TRUE else "false"
        there, here = "allow_stale_bundle may be a text", "it is true or false"
        yield changed(node, ITEM, there, here, written, replaced(old, node, written))
    if (node := get(item, "misfire_grace_time")) is not None and grace.strip().isdecimal():
        there, here = "misfire_grace_time may be a text", "it is a number"
        yield changed(node, ITEM, there, here, grace.strip(), replaced(old, node, grace.strip()))


def _may_wait(item: MappingNode, name: str, around: Surroundings) -> bool:
    """Whether a job waits for others, as far as its flow can be read."""
    path = text_of(get(item, "flow_yaml")) or text_of(get(item, "flow"))
    text = around.read(f"{around.started}/{path}") or around.read(f"{around.folder}/{path}") if path else None
    try:
        flow = read_old(text or "", path)
    except InvalidInput:
        return bool(name)
    job = next((job for job in jobs_of(flow.root) if job.id == name), None)
    return job is not None and (bool(items(get(job.node, "depends_on"))) or "jobs." in flow.source(job.node))


def _flow_of(old: OldFile, item: MappingNode, around: Surroundings) -> Iterator[Change]:
    """Write which flow an item runs with the key that is left: flow_yaml or bundle_manifest."""
    have = entries(item)
    for name in ("bundle_manifest", "flow_job"):
        if isinstance(empty := get(item, name), ScalarNode) and old_value(empty) == "":
            there, here = f"an empty {name} is none", "it is a name"
            yield changed(have[name][0], ITEM, there, here, "left out", RemoveKey(item, have[name][0]))
    flow_yaml, other = get(item, "flow_yaml"), get(item, "flow")
    if flow_yaml is not None and not text_of(flow_yaml):
        key = have["flow_yaml"][0]
        if other is not None and text_of(other):
            path = text_of(other)
            path = around.from_file(path) if _is_elsewhere(path, around) else path
            edits = (RemoveKey(item, have["flow"][0]), replaced(old, flow_yaml, quoted_text(path)))
            there, here = "flow is another name of flow_yaml if that is empty", "there is only flow_yaml"
            yield changed(have["flow"][0], ITEM, there, here, f"flow_yaml: {path}", *edits)
        else:
            there, here = "an item with a bundle needs flow_yaml: ''", "flow_yaml names a flow of the bundle"
            yield changed(key, ITEM, there, here, "left out", RemoveKey(item, key))
    elif other is not None:
        key = have["flow"][0]
        there, here = "flow has no effect beside flow_yaml", "it is unknown"
        yield changed(key, ITEM, there, here, "left out", RemoveKey(item, key))


def _path(old: OldFile, node: Node, around: Surroundings) -> Iterator[Change]:
    text = text_of(node)
    if _is_elsewhere(text, around):
        path = around.from_file(text)
        there = "the path begins in the folder where 0.0 was started (taken to be this one)"
        here = "it begins in the folder of the scheduler file"
        yield changed(node, ITEM, there, here, path, replaced(old, node, quoted_text(path)))


def _is_elsewhere(path: str, around: Surroundings) -> bool:
    """Whether a path leads to another file here; the way that 0.0 took is tried second."""
    if PurePath(path).is_absolute() or not around.is_moved:
        return False
    there, here = f"{around.started}/{path}", f"{around.folder}/{path}"
    return around.read(there) is not None or around.read(here) is None
