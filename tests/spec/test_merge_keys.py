"""Merge keys: `<<: *defaults` puts the pairs of other mappings into a mapping, with their places."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.errors import Position
from aetherflow.spec.document import Document, parse_document

ANCHORS = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\n"


def parse(text: str) -> Document:
    return parse_document(ANCHORS + text, "f.yaml")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{<<: *a}", {"x": 1, "y": 2}),
        ("{<<: *a, y: own}", {"x": 1, "y": "own"}),
        ("{y: own, <<: *a}", {"x": 1, "y": "own"}),
        ("{y: null, <<: *a}", {"x": 1, "y": None}),
        ("{<<: [*a, *b]}", {"x": 1, "y": 2, "z": 4}),
        ("{<<: [*b, *a]}", {"x": 1, "y": 3, "z": 4}),
        ("{<<: {x: 5}, w: 6}", {"x": 5, "w": 6}),
        ("{<<: [{x: 5}, *a]}", {"x": 5, "y": 2}),
        ("{<<: []}", {}),
        ("{'<<': text}", {"<<": "text"}),
        ("{inner: {<<: *a}, <<: *b}", {"inner": {"x": 1, "y": 2}, "y": 3, "z": 4}),
    ],
)
def test_own_keys_win_and_what_is_merged_first(written: str, meant: dict[str, Any]) -> None:
    assert parse(f"c: {written}\n").value["c"] == meant


def test_a_mapping_with_an_anchor_that_merges_another_is_merged_with_it() -> None:
    document = parse("c: &c {<<: *a, w: 5}\nd: {<<: *c, y: 6}\n")
    assert document.value["d"] == {"x": 1, "w": 5, "y": 6}
    assert document.position(("d", "x")) == Position(1, 8)
    assert document.position(("d", "w")) == Position(3, 16)
    assert document.position(("d", "y")) == Position(4, 13)


def test_a_merged_key_is_where_it_is_written_and_written_as_it_is() -> None:
    document = parse_document(
        "base: &base\n  deep: {er: [3.10, ~]}\n  'q': \"text\"\nc:\n  own: 007\n  <<: *base\n", "f.yaml"
    )
    assert document.position(("c", "own")) == Position(5, 3)
    assert document.position(("c", "deep")) == Position(2, 3)
    assert document.position(("c", "deep", "er", 1)) == Position(2, 21)
    assert document.text_position(("c", "q"), 2) == Position(3, 11)
    assert document.written(("c", "deep", "er", 0), 3.1) == "3.10"
    assert document.written(("c", "own"), 7) == "007"
    assert document.position(("c", "nowhere")) == Position(4, 1)


def test_merging_leaves_the_mapping_it_takes_from_as_it_is() -> None:
    assert parse("c: {<<: *a, x: 9}\n").value["a"] == {"x": 1, "y": 2}
