"""The step of the flow to which the output of a step inside another one belongs."""

from __future__ import annotations

import pytest

from aetherflow.events.nested_steps import outer_step

KNOWN = frozenset({"load", "load.v2", "swap"})


@pytest.mark.parametrize(
    ("name", "outer"),
    [
        ("load", "load"),
        ("load.v2", "load.v2"),
        ("load.v2.copy", "load.v2"),
        ("load.v3", "load"),
        ("swap.inner.copy", "swap"),
        ("loader.copy", "loader.copy"),
        ("other", "other"),
        ("", ""),
    ],
)
def test_the_longest_known_id_counts(name: str, outer: str) -> None:
    assert outer_step(name, KNOWN.__contains__) == outer
