"""Sort the nodes of a graph without cycles into layers. Imports nothing of AetherFlow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter


def graph_layers(ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return nodes in layers, in their order: each in the first one behind all that have an edge to it."""
    before: dict[str, list[str]] = {one: [] for one in ids}
    for source, target in edges:
        before[target].append(source)
    depth: dict[str, int] = {}
    for one in TopologicalSorter(before).static_order():
        depth[one] = max((depth[other] + 1 for other in before[one]), default=0)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for one in ids:
        layers[depth[one]].append(one)
    return layers
