from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.config.merge import UnknownProfile, deep_merge, merge_decode, merge_resource
from aetherflow.spec.flow import ProfileSpec, ResourceSpec

LEAVES = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
KEYS = st.sampled_from("abcd")
TREES: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    KEYS, st.recursive(LEAVES, lambda children: st.dictionaries(KEYS, children, max_size=3), max_leaves=8)
)
SAME_SHAPE: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, LEAVES) | st.fixed_dictionaries(
    {}, optional={"a": LEAVES, "M": st.dictionaries(KEYS, LEAVES), "N": st.dictionaries(KEYS, LEAVES)}
)


def assert_wins(own: Any, merged: Any) -> None:
    if isinstance(own, dict):
        for key, value in own.items():
            assert_wins(value, merged[key])
    else:
        assert merged == own


@given(TREES, TREES)
def test_own_keys_always_win(base: dict[str, Any], own: dict[str, Any]) -> None:
    assert_wins(own, deep_merge(base, own))


@given(TREES, TREES)
def test_keys_that_are_not_ones_own_come_from_the_base(base: dict[str, Any], own: dict[str, Any]) -> None:
    merged = deep_merge(base, own)
    assert set(merged) == {*base, *own}
    for key in base.keys() - own.keys():
        assert merged[key] == base[key]


@given(TREES, TREES)
def test_nothing_that_is_merged_is_changed(base: dict[str, Any], own: dict[str, Any]) -> None:
    before = copy.deepcopy((base, own))
    deep_merge(base, own)
    assert (base, own) == before


@given(TREES)
def test_nothing_merges_to_the_same_from_both_sides(tree: dict[str, Any]) -> None:
    assert deep_merge(tree, {}) == tree == deep_merge({}, tree) == deep_merge(tree, tree)


@given(SAME_SHAPE, SAME_SHAPE, SAME_SHAPE)
def test_the_order_of_merging_does_not_matter_where_shapes_agree(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    assert deep_merge(deep_merge(one, two), three) == deep_merge(one, deep_merge(two, three))


@pytest.mark.parametrize(
    ("base", "own", "expected"),
    [
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": "text"}, {"a": "text"}),
        ({"a": "text"}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
    ],
)
def test_mappings_merge_and_all_else_replaces(
    base: dict[str, Any], own: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert deep_merge(base, own) == expected


def test_paths_to_decode_are_joined() -> None:
    base = {"config_paths": ["password", "token"], "config": {"a": True, "b": True}}
    own = {"config_paths": ["key", "token"], "config": {"b": False}, "options_paths": ["x"]}
    assert merge_decode(base, own) == {
        "config_paths": ["key", "token", "password"],
        "config": {"a": True, "b": False},
        "options_paths": ["x"],
    }


def test_a_resource_lies_over_its_profile() -> None:
    profile = ProfileSpec(config={"url": "p", "auth": {"user": "p", "hosts": [1, 2]}}, options={"pool": 5})
    spec = ResourceSpec(
        kind="db", driver="sqlite3", profile="db", config={"auth": {"user": "own", "hosts": [3]}}
    )
    merged = merge_resource("main", spec, {"db": profile})
    assert merged.config == {"url": "p", "auth": {"user": "own", "hosts": [3]}}
    assert merged.options == {"pool": 5}
    assert merged.source(("config", "url")) == "profile db"
    assert merged.source(("config", "auth", "user")) == "flow"
    assert merged.source(("config", "auth", "hosts", 0)) == "flow"
    assert merged.source(("options", "pool")) == "profile db"


@pytest.mark.parametrize(
    ("profiles", "code", "message", "hint"),
    [
        (
            {"db_default": ProfileSpec()},
            "AF533",
            "resource 'main' names an unknown profile 'db_defualt'",
            "did you mean 'db_default'?",
        ),
        (
            {"x": ProfileSpec(), "a": ProfileSpec()},
            "AF533",
            "resource 'main' names an unknown profile 'db_defualt'",
            "profiles there: a, x",
        ),
        ({}, "AF533", "resource 'main' names an unknown profile 'db_defualt'", "profiles there: none"),
        (
            None,
            "AF534",
            "resource 'main' names the profile 'db_defualt', but no profiles file is set",
            "set AETHERFLOW_PROFILES_FILE (or AETHERFLOW_PROFILES_JSON)",
        ),
    ],
)
def test_an_unknown_profile_is_reported_with_what_to_do(
    profiles: dict[str, ProfileSpec] | None, code: str, message: str, hint: str
) -> None:
    with pytest.raises(UnknownProfile) as raised:
        merge_resource("main", ResourceSpec(kind="db", driver="x", profile="db_defualt"), profiles)
    assert (raised.value.code, raised.value.message, raised.value.hint) == (code, message, hint)
