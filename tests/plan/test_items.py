"""What `for_each` gives: lists, mappings, JSON text, and matrices as users of GitHub Actions write them."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.plan.items import MOST_ITEMS, UnfitItems, in_short, items_of


def items(value: Any) -> list[Any]:
    """Return the items of a `for_each` without templates."""
    return items_of(value, value)


def short(value: Any) -> list[str]:
    """Return the items of a matrix as texts: `1 eu`."""
    return [" ".join(str(part) for part in item.values()) for item in items(value)]


DAYS = {"day": [1, 2], "region": ["eu", "us"]}


def test_a_matrix_is_the_product_of_its_lists_the_first_one_slowest() -> None:
    assert items({"matrix": DAYS}) == [
        {"day": 1, "region": "eu"},
        {"day": 1, "region": "us"},
        {"day": 2, "region": "eu"},
        {"day": 2, "region": "us"},
    ]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ([{"day": 2, "region": "us"}], ["1 eu", "1 us", "2 eu"]),
        ([{"day": 2}], ["1 eu", "1 us"]),
        ([{"day": "2"}], ["1 eu", "1 us"]),
        ([{"day": 1}, {"region": "eu"}], ["2 us"]),
        ([{"day": 3}], ["1 eu", "1 us", "2 eu", "2 us"]),
        ([], ["1 eu", "1 us", "2 eu", "2 us"]),
        ('[{"day": 1}]', ["2 eu", "2 us"]),
    ],
)
def test_exclude_removes_every_combination_that_has_its_values(exclude: Any, left: list[str]) -> None:
    assert short({"matrix": DAYS, "exclude": exclude}) == left
    assert short({"matrix": {**DAYS, "exclude": exclude}}) == left


def test_a_matrix_keeps_3_1_and_3_10_apart() -> None:
    """Where a condition compares numbers, and the text `3.10` is equal to 3.1."""
    versions = {"version": [3.1, "3.10", 2]}
    assert short({"matrix": versions, "exclude": [{"version": "3.10"}]}) == ["3.1", "2"]
    assert short({"matrix": versions, "exclude": [{"version": 3.1}]}) == ["3.10", "2"]
    assert short({"matrix": versions, "include": [{"version": "2", "lts": True}]}) == [
        "3.1",
        "3.10",
        "2 True",
    ]


def test_include_adds_to_combinations_or_adds_one_as_in_github_actions() -> None:
    """The example of their documentation."""
    given = {
        "matrix": {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }
    assert items(given) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"matrix": {"day": [1, 2], "region": []}}, []),
        ({"matrix": {}}, []),
        ({"matrix": {"day": '["a", "b"]'}}, ["a", "b"]),
        ({"matrix": '{"day": [1, 2]}'}, ["1", "2"]),
        ({"matrix": {"day": {"x": 1}}}, ["{'key': 'x', 'value': 1}"]),
        ({"matrix": {}, "include": [{"a": 1}, {"a": 2}]}, ["1", "2"]),
    ],
)
def test_other_matrices(value: Any, expected: list[str]) -> None:
    assert short(value) == expected


@pytest.mark.parametrize(
    ("item", "short"),
    [
        ("a.csv", "a.csv"),
        (3, "3"),
        (None, "null"),
        ([1, "a"], '[1, "a"]'),
        ({"day": "mon", "region": ["eu"], "n": 2}, 'day=mon region=["eu"] n=2'),
        ("x" * 100, "x" * 57 + "..."),
    ],
)
def test_an_item_in_short(item: Any, short: str) -> None:
    assert in_short(item) == short


@pytest.mark.parametrize(
    ("value", "name", "reason"),
    [
        ({"matrix": {"day": "mon, tue"}}, "for_each.matrix.day", "must give a list, not a text"),
        ({"matrix": {"day": 1}}, "for_each.matrix.day", "must give a list, not a number"),
        ({"matrix": [1, 2]}, "for_each.matrix", "must be a mapping, not a list"),
        (
            {"matrix": DAYS, "exclude": {"day": 1}},
            "for_each.exclude",
            "must give a list of mappings, not a mapping",
        ),
        ({"matrix": DAYS, "exclude": [1]}, "for_each.exclude.0", "must be a mapping, not a number"),
        ("a.csv, b.csv", "for_each", "must give a list, not a text"),
        (None, "for_each", "must give a list, not null"),
        (["a", float("nan")], "for_each", "has an item (1) that is nan, which JSON does not have"),
        ([0] * (MOST_ITEMS + 1), "for_each", "gives 100,001 items, at most 100,000 are allowed"),
        (
            {"matrix": {name: [*range(1000)] for name in "abcdef"}},
            "for_each",
            "gives 1,000,000,000,000,000,000 items, at most 100,000 are allowed",
        ),
    ],
)
def test_what_gives_no_items_is_named(value: Any, name: str, reason: str) -> None:
    with pytest.raises(UnfitItems) as caught:
        items(value)
    assert (caught.value.name, caught.value.reason) == (name, reason)
