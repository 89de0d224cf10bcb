"""Place the nodes of a graph without cycles in columns, left to right, with few crossings. Pure.

The usual way (Sugiyama): a column for each length of the longest path to a node, a stop in each column that
a long edge passes, an order by the middle of the neighbours, then heights near those of the neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from aetherflow.check.graph_layers import graph_layers

SWEEPS = 6
COLUMN_GAP = 56.0
ROW_GAP = 14.0
STOP_HEIGHT = 6.0
TALLEST = 24
"""A column with more nodes, none of which has neighbours, is wrapped into several."""

_Key = str | tuple[int, int]
"""A node, or a stop of an edge: its number and its column."""


class Placed(msgspec.Struct, frozen=True):
    """The places of nodes (their top left corners), and the points of each edge."""

    nodes: Mapping[str, tuple[float, float]]
    edges: Sequence[Sequence[tuple[float, float]]]
    width: float
    height: float


def layout(
    ids: Sequence[str], edges: Sequence[tuple[str, str]], node_width: float, node_height: float
) -> Placed:
    """Return where nodes and edges are drawn; edges lead from left to right."""
    columns = _columns(ids, edges)
    paths = _with_stops(columns, edges)
    neighbours = _neighbours(paths)
    for sweep in range(SWEEPS):
        for number in range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1):
            side = 0 if sweep % 2 == 0 else 1
            beside = columns[number - 1] if side == 0 and number else columns[(number + 1) % len(columns)]
            rank = {key: place for place, key in enumerate(beside)}
            columns[number] = _sorted(columns[number], neighbours, rank, side)
    heights = {
        key: node_height if isinstance(key, str) else STOP_HEIGHT for column in columns for key in column
    }
    tops = _tops(columns, neighbours, heights)
    lefts = {
        key: number * (node_width + COLUMN_GAP) for number, column in enumerate(columns) for key in column
    }
    points = [_points(path, lefts, tops, heights, node_width) for path in paths]
    return Placed(
        {key: (lefts[key], tops[key]) for key in lefts if isinstance(key, str)},
        points,
        max(len(columns) * (node_width + COLUMN_GAP) - COLUMN_GAP, 0.0),
        max((tops[key] + heights[key] for key in tops), default=0.0),
    )


def _columns(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[_Key]]:
    if not edges and len(ids) > TALLEST:  # nothing but single jobs: a block is read better than a tower
        return [list(ids[at : at + TALLEST]) for at in range(0, len(ids), TALLEST)]
    return [list(layer) for layer in graph_layers(ids, edges)]


def _with_stops(columns: list[list[_Key]], edges: Sequence[tuple[str, str]]) -> list[list[_Key]]:
    """Add stops of long edges to the columns; return each edge as the keys that it passes."""
    depth = {key: number for number, column in enumerate(columns) for key in column}
    paths: list[list[_Key]] = []
    for number, (source, target) in enumerate(edges):
        stops: list[_Key] = [(number, column) for column in range(depth[source] + 1, depth[target])]
        for stop, column in zip(stops, range(depth[source] + 1, depth[target]), strict=True):
            columns[column].append(stop)
        paths.append([source, *stops, target])
    return paths


def _neighbours(paths: Sequence[Sequence[_Key]]) -> tuple[dict[_Key, list[_Key]], dict[_Key, list[_Key]]]:
    """Return for each key those to its left, and those to its right."""
    left: dict[_Key, list[_Key]] = {}
    right: dict[_Key, list[_Key]] = {}
    for path in paths:
        for a, b in pairwise(path):
            right.setdefault(a, []).append(b)
            left.setdefault(b, []).append(a)
    return left, right


def _sorted(
    column: list[_Key],
    neighbours: tuple[dict[_Key, list[_Key]], dict[_Key, list[_Key]]],
    rank: Mapping[_Key, int],
    side: int,
) -> list[_Key]:
    def middle(place: int, key: _Key) -> float:
        ranks = [rank[one] for one in neighbours[side].get(key, ()) if one in rank]
        return sum(ranks) / len(ranks) if ranks else float(place)

    order = {key: middle(place, key) for place, key in enumerate(column)}
    return sorted(column, key=lambda key: order[key])


def _tops(
    columns: Sequence[Sequence[_Key]],
    neighbours: tuple[dict[_Key, list[_Key]], dict[_Key, list[_Key]]],
    heights: Mapping[_Key, float],
) -> dict[_Key, float]:
    """Return the tops: near the middle of the neighbours, in the order of the column, without overlaps."""
    tops: dict[_Key, float] = {}
    for column in columns:
        _stack(column, 0.0, heights, tops)
    for sweep in range(SWEEPS):
        side = sweep % 2
        for column in columns if side == 0 else reversed(columns):
            wanted = []
            for key in column:
                middles = [tops[one] + heights[one] / 2 for one in neighbours[side].get(key, ())]
                wanted.append(sum(middles) / len(middles) - heights[key] / 2 if middles else tops[key])
            _settle(column, wanted, heights, tops)
    lowest = min(tops.values(), default=0.0)
    return {key: top - lowest for key, top in tops.items()}


def _settle(
    column: Sequence[_Key], wanted: Sequence[float], heights: Mapping[_Key, float], tops: dict[_Key, float]
) -> None:
    """Place a column as wanted; blocks of nodes that would overlap lie around the middle of their wishes."""
    blocks: list[tuple[float, float, list[_Key]]] = []  # top, height, keys
    for key, wish in zip(column, wanted, strict=True):
        top, height, keys = wish, heights[key] + ROW_GAP, [key]
        while blocks and blocks[-1][0] + blocks[-1][1] > top:
            above_top, above_height, above = blocks.pop()
            number = len(above) + len(keys)
            # The mean wish of both blocks, as tops of the joined block.
            top = (above_top * len(above) + (top - above_height) * len(keys)) / number
            height, keys = above_height + height, [*above, *keys]
        blocks.append((top, height, keys))
    for top, _, keys in blocks:
        _stack(keys, top, heights, tops)


def _stack(keys: Sequence[_Key], top: float, heights: Mapping[_Key, float], tops: dict[_Key, float]) -> None:
    """Place nodes one below the other, from a top on."""
    for key in keys:
        tops[key] = top
        top += heights[key] + ROW_GAP


def _points(
    path: Sequence[_Key],
    lefts: Mapping[_Key, float],
    tops: Mapping[_Key, float],
    heights: Mapping[_Key, float],
    node_width: float,
) -> list[tuple[float, float]]:
    """Return the points of an edge: it leaves a node on its right and passes each stop straight."""
    points: list[tuple[float, float]] = []
    for number, key in enumerate(path):
        middle = tops[key] + heights[key] / 2
        if number:
            points.append((lefts[key], middle))
        if number < len(path) - 1:
            points.append((lefts[key] + node_width, middle))
    return points
