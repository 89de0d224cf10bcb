"""Make the graph of a run's jobs; of very many, those that are alike are drawn as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from aetherflow.admin.run_tree import JobNode
from aetherflow.plan.hooks import is_hook
from aetherflow.web.model import Edge, Graph, Node

FOLDED_FROM = 40
"""A flow with more jobs is drawn with jobs of one kind as one."""
FEWEST_ALIKE = 3
FEWEST_IN_ROW = 2
MOST_NODES = 300
FOLDS = 6

_Links = dict[tuple[str, str], Literal["needs", "after"]]


class _Group(msgspec.Struct, frozen=True):
    """Jobs that are drawn as one; `kind` is what must be the same for groups to be joined."""

    jobs: tuple[JobNode, ...]
    kind: tuple[str, ...]


def graph_of_run(nodes: Sequence[JobNode], anchors: Mapping[str, str]) -> Graph:
    """Return the graph; `anchors` leads from jobs to their places in the page."""
    jobs = [node for node in nodes if not is_hook(node.row.job_id)]
    if not any(node.plan.steps or node.instances for node in jobs):
        return Graph((), ())
    ids = {node.row.job_id for node in jobs}
    edges = [Edge(one, job.row.job_id) for job in jobs for one in job.plan.needs if one in ids]
    edges += [Edge(one, job.row.job_id, "after") for job in jobs for one in job.plan.after if one in ids]
    if len(jobs) <= FOLDED_FROM:
        shown = [_node(node, anchors) for node in jobs]
        return Graph((*shown, *_hooks(nodes, anchors)), tuple(edges))
    return _folded(jobs, edges, nodes, anchors)


def _node(node: JobNode, anchors: Mapping[str, str]) -> Node:
    row = node.row
    if node.instances:
        parts = Counter(one.row.status for one in node.instances)
        note = f"{len(node.instances):,} instances"
        return Node(row.job_id, row.job_id, row.status, note, "fan", dict(parts), anchors.get(row.job_id, ""))
    number = len(node.plan.steps)
    note = f"{row.status}, {number} step{'' if number == 1 else 's'}"
    return Node(row.job_id, row.job_id, row.status, note, anchor=anchors.get(row.job_id, ""))


def _hooks(nodes: Iterable[JobNode], anchors: Mapping[str, str]) -> list[Node]:
    return [
        Node(node.row.job_id, node.row.job_id, node.row.status, f"{node.row.status}, hook", "hook",
             anchor=anchors.get(node.row.job_id, ""))
        for node in nodes
        if is_hook(node.row.job_id)
    ]  # fmt: skip


def _folded(
    jobs: Sequence[JobNode], edges: Sequence[Edge], nodes: Sequence[JobNode], anchors: Mapping[str, str]
) -> Graph:
    """Return the graph in which jobs of one status between the same jobs, and rows of such, are one."""
    groups = {job.row.job_id: _Group((job,), _kind(job)) for job in jobs}
    links = {(edge.source, edge.target): edge.kind for edge in edges}
    for _ in range(FOLDS):
        before = len(groups)
        groups, links = _joined(groups, links, _alike(groups, links), FEWEST_ALIKE)
        groups, links = _joined(groups, links, _rows(groups, links), FEWEST_IN_ROW)
        if len(groups) == before:
            break
    if len(groups) > MOST_NODES:
        return Graph((), (), f"{len(jobs):,} jobs with too many different dependencies to draw.")
    drawn = [_group(name, group, anchors) for name, group in groups.items()]
    folded = sum(len(group.jobs) for group in groups.values() if len(group.jobs) > 1)
    alike = " that are alike are drawn together: those of one status between the same jobs, and rows of such."
    note = f"{len(jobs):,} jobs; {folded:,}{alike}" if folded else ""
    shown = [Edge(source, target, kind) for (source, target), kind in links.items()]
    return Graph((*drawn, *_hooks(nodes, anchors)), tuple(shown), note)


def _kind(job: JobNode) -> tuple[str, ...]:
    """Return the status; a job with instances is drawn alone."""
    return (job.row.status, job.row.job_id) if job.instances else (job.row.status,)


def _neighbours(links: _Links) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    before: dict[str, set[str]] = {}
    behind: dict[str, set[str]] = {}
    for source, target in links:
        before.setdefault(target, set()).add(source)
        behind.setdefault(source, set()).add(target)
    return before, behind


def _alike(groups: Mapping[str, _Group], links: _Links) -> Iterable[list[str]]:
    """Return the groups of one kind that have the same neighbours."""
    before, behind = _neighbours(links)
    found: dict[tuple[object, ...], list[str]] = {}
    for name, group in groups.items():
        key = (group.kind, frozenset(before.get(name, ())), frozenset(behind.get(name, ())))
        found.setdefault(key, []).append(name)
    return found.values()


def _rows(groups: Mapping[str, _Group], links: _Links) -> Iterable[list[str]]:
    """Return rows of single jobs of one status, each the only one behind the other."""
    before, behind = _neighbours(links)
    single = {name for name, group in groups.items() if len(group.kind) == 1}

    def following(name: str) -> str:
        (one,) = behind[name] if len(behind.get(name, ())) == 1 else ("",)
        is_next = one in single and groups[one].kind == groups[name].kind and len(before[one]) == 1
        return one if is_next else ""

    inner = {following(name) for name in single}
    for name in groups:
        if name in single and name not in inner:
            row = [name]
            while one := following(row[-1]):
                row.append(one)
            yield row


def _joined(
    groups: Mapping[str, _Group], links: _Links, sets: Iterable[list[str]], fewest: int
) -> tuple[dict[str, _Group], _Links]:
    """Return groups and links with each of the sets that has enough members as one group."""
    home = {name: one[0] for one in sets if len(one) >= fewest for name in one}
    members: dict[str, list[str]] = {}
    for name in groups:
        members.setdefault(home.get(name, name), []).append(name)
    joined = {
        name: groups[name]
        if len(parts) == 1
        else _Group(
            tuple(job for part in parts for job in groups[part].jobs),
            (groups[name].kind[0], f"{len(parts)} x {len(groups[name].jobs)}"),
        )
        for name, parts in members.items()
    }
    moved = {
        (home.get(source, source), home.get(target, target)): kind for (source, target), kind in links.items()
    }
    return joined, {link: kind for link, kind in moved.items() if link[0] != link[1]}


def _group(name: str, group: _Group, anchors: Mapping[str, str]) -> Node:
    if len(group.jobs) == 1:
        return _node(group.jobs[0], anchors)
    names = [job.row.job_id for job in group.jobs]
    label = f"{names[0]} … {names[-1]}"
    status = group.jobs[0].row.status
    parts = {status: len(names)}
    return Node(
        name, label, status, f"{len(names):,} jobs, {status}", "group", parts, anchors.get(names[0], "")
    )
