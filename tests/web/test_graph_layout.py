"""Edges lead to the right, and no two boxes overlap."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from aetherflow.web.graph_layout import TALLEST, layout

WIDTH, HEIGHT = 100.0, 40.0


def made(seed: int, number: int) -> tuple[list[str], list[tuple[str, str]]]:
    chance = random.Random(seed)  # noqa: S311 - chance for a test, repeatable
    ids = [f"j{n}" for n in range(number)]
    edges = [
        (ids[a], ids[b])
        for b in range(1, number)
        for a in sorted(chance.sample(range(b), min(b, chance.randrange(3))))
    ]
    return ids, edges


@pytest.mark.parametrize("seed", range(6))
def test_boxes_do_not_overlap_and_edges_lead_to_the_right(seed: int) -> None:
    ids, edges = made(seed, 25)

    placed = layout(ids, edges, WIDTH, HEIGHT)

    assert sorted(placed.nodes) == sorted(ids)
    for (left, top), (other_left, other_top) in combinations(placed.nodes.values(), 2):
        assert left != other_left or abs(top - other_top) >= HEIGHT
    for (source, target), points in zip(edges, placed.edges, strict=True):
        assert points[0][0] == placed.nodes[source][0] + WIDTH
        assert points[-1] == (placed.nodes[target][0], placed.nodes[target][1] + HEIGHT / 2)
        assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert placed.width == max(left for left, _ in placed.nodes.values()) + WIDTH
    assert min(top for _, top in placed.nodes.values()) >= 0


def test_a_chain_is_a_straight_line() -> None:
    placed = layout(["a", "b", "c"], [("a", "b"), ("b", "c")], WIDTH, HEIGHT)

    assert {top for _, top in placed.nodes.values()} == {0}


def test_a_fork_is_around_the_middle_of_its_branches() -> None:
    placed = layout(["a", "b", "c"], [("a", "b"), ("a", "c")], WIDTH, HEIGHT)

    assert placed.nodes["a"][1] == (placed.nodes["b"][1] + placed.nodes["c"][1]) / 2


def test_jobs_without_dependencies_are_a_block() -> None:
    placed = layout([f"j{n}" for n in range(60)], [], WIDTH, HEIGHT)

    assert len({left for left, _ in placed.nodes.values()}) == -(-60 // TALLEST)
