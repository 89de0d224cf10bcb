"""Build the graph of a flow's jobs that `aetherflow graph` draws."""

from __future__ import annotations

from typing import Literal

import msgspec

from aetherflow.check.graph_layers import graph_layers
from aetherflow.plan.for_each import called
from aetherflow.plan.plan import JobPlan, Plan, StepPlan
from aetherflow.spec.flow import LOCAL
from aetherflow.spec.suggest import shortened

EdgeKind = Literal["needs", "after"]
_LONGEST = 80


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job.

    Attributes:
        gate: its `when`, on one line; empty without one.
        for_each: whether it has an instance for each item.
        each: what an item is, in words: `item`, or the lists of a matrix.
        follow_ups: those of its steps that run once the success of another one is stored: `ID.after`.
        executors: where the file says that its steps run; empty: nothing says it, or no step of the flow
            leaves the process of the run.
        runs_on: the labels of the workers that its steps run on.
        resources: how much one of its steps takes of what workers offer: the most of them.
    """

    id: str
    steps: int
    gate: str = ""
    for_each: bool = False
    each: str = "item"
    follow_ups: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    resources: dict[str, float] = {}


class Edge(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """`target` waits for `source`: for its success (`needs`), or for its end (`after`)."""

    source: str
    target: str
    kind: EdgeKind


class Graph(msgspec.Struct, frozen=True):
    """Jobs in the order of the file, and what they wait for."""

    flow: str
    jobs: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(plan: Plan) -> Graph:
    """Return the graph of a plan without cycles."""
    edges: list[Edge] = []
    for job in plan.jobs:
        edges += [Edge(plan.jobs[index].id, job.id, "needs") for index in job.needs]
        edges += [Edge(plan.jobs[index].id, job.id, "after") for index in job.after]
    nodes = [_node(job) for job in plan.jobs]
    if any(_executor_of(step, plan) not in ("", LOCAL) for job in plan.jobs for step in job.steps):
        nodes = [_placed(node, job, plan) for node, job in zip(nodes, plan.jobs, strict=True)]
    return Graph(plan.flow_id, tuple(nodes), tuple(edges))


def layers_of(graph: Graph) -> list[list[Node]]:
    """Return the jobs in layers: each job in the first layer below all jobs that it waits for."""
    nodes = {node.id: node for node in graph.jobs}
    layers = graph_layers(list(nodes), ((edge.source, edge.target) for edge in graph.edges))
    return [[nodes[one] for one in layer] for layer in layers]


def _node(job: JobPlan) -> Node:
    gate = _one_line(job.when.text) if job.when is not None else ""
    follow_ups = tuple(step.id for step in job.steps if step.follows)
    if job.for_each is None:
        return Node(job.id, len(job.steps), gate, follow_ups=follow_ups)
    each = _one_line(called(job.for_each.raw))
    return Node(job.id, len(job.steps), gate, for_each=True, each=each, follow_ups=follow_ups)


def _placed(node: Node, job: JobPlan, plan: Plan) -> Node:
    """Return a job with where its steps run."""
    executors = {step.id: _executor_of(step, plan) for step in job.steps}
    away = [step.spec for step in job.steps if executors[step.id] not in ("", LOCAL)]
    resources: dict[str, float] = {}
    for spec in away:
        for name, amount in spec.resources.items():
            resources[name] = max(amount, resources.get(name, 0))
    return msgspec.structs.replace(
        node,
        executors=tuple(dict.fromkeys(filter(None, executors.values()))),
        runs_on=tuple(dict.fromkeys(spec.runs_on for spec in away if spec.runs_on)),
        resources=resources,
    )


def _executor_of(step: StepPlan, plan: Plan) -> str:
    """Return the executor that the file names for a step; empty: none."""
    written = step.spec.executor or plan.flow.executor or ""
    if written and step.spec.type in plan.step_types and not plan.may_leave(step):
        return LOCAL
    return written if isinstance(written, str) else next(iter(written))


def _one_line(text: str) -> str:
    """Return a text on one line, without control characters, shortened."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return shortened(line, _LONGEST)
