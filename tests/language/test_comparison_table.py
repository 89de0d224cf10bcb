"""How conditions compare: each kind of value with each other, in one table that is to be read.

=   equal: ==  <=  >= hold               <   >   the left one is less, or greater
~   the same number, not the same text: <= and >= hold, == does not
==  equal, without an order              .       not equal; to order them is an error
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from aetherflow.language.condition import ConditionError
from tests.language.comparison_table import OPERATORS, SAMPLES, comparison, outcome, table

TABLE = """
|            | null | false | true | 1  | 2.5 | 10 | "1" | "1.0" | "9" | "10" | "abc" | "true" | "TRUE" | "" | [] | [1] | ["1"] | {a: 1} | {a: "1"} |
|------------|------|-------|------|----|-----|----|-----|-------|-----|------|-------|--------|--------|----|----|-----|-------|--------|----------|
| null       | ==   | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | .   | .     | .      | .        |
| false      | .    | ==    | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | .   | .     | .      | .        |
| true       | .    | .     | ==   | == | .   | .  | ==  | ==    | .   | .    | .     | ==     | ==     | .  | .  | .   | .     | .      | .        |
| 1          | .    | .     | ==   | =  | <   | <  | =   | =     | <   | <    | .     | .      | .      | .  | .  | .   | .     | .      | .        |
| 2.5        | .    | .     | .    | >  | =   | <  | >   | >     | <   | <    | .     | .      | .      | .  | .  | .   | .     | .      | .        |
| 10         | .    | .     | .    | >  | >   | =  | >   | >     | >   | =    | .     | .      | .      | .  | .  | .   | .     | .      | .        |
| "1"        | .    | .     | ==   | =  | <   | <  | =   | ~     | <   | <    | <     | <      | <      | >  | .  | .   | .     | .      | .        |
| "1.0"      | .    | .     | ==   | =  | <   | <  | ~   | =     | <   | <    | <     | <      | <      | >  | .  | .   | .     | .      | .        |
| "9"        | .    | .     | .    | >  | >   | <  | >   | >     | =   | <    | <     | <      | <      | >  | .  | .   | .     | .      | .        |
| "10"       | .    | .     | .    | >  | >   | =  | >   | >     | >   | =    | <     | <      | <      | >  | .  | .   | .     | .      | .        |
| "abc"      | .    | .     | .    | .  | .   | .  | >   | >     | >   | >    | =     | <      | >      | >  | .  | .   | .     | .      | .        |
| "true"     | .    | .     | ==   | .  | .   | .  | >   | >     | >   | >    | >     | =      | >      | >  | .  | .   | .     | .      | .        |
| "TRUE"     | .    | .     | ==   | .  | .   | .  | >   | >     | >   | >    | <     | <      | =      | >  | .  | .   | .     | .      | .        |
| ""         | .    | .     | .    | .  | .   | .  | <   | <     | <   | <    | <     | <      | <      | =  | .  | .   | .     | .      | .        |
| []         | .    | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | == | .   | .     | .      | .        |
| [1]        | .    | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | ==  | ==    | .      | .        |
| ["1"]      | .    | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | ==  | ==    | .      | .        |
| {a: 1}     | .    | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | .   | .     | ==     | ==       |
| {a: "1"}   | .    | .     | .    | .  | .   | .  | .   | .     | .   | .    | .     | .      | .      | .  | .  | .   | .     | ==     | ==       |
"""  # noqa: E501 - a table


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_table_says_what_conditions_do() -> None:
    head, _, *rows = TABLE.strip().splitlines()

    assert cells(head)[1:] == list(SAMPLES)
    assert {row[0]: row[1:] for row in map(cells, rows)} == table()


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1", [1, 2], "T"),
        (1, ["1", "2"], "T"),
        ("1.0", [1], "T"),
        ("1.0", ["1"], "F"),
        (True, ["true"], "T"),
        (None, [None], "T"),
        (None, ["", 0, False], "F"),
        ([1], [["1"]], "T"),
        ("a", {"a": 1}, "T"),
        ("1", {"a": 1}, "F"),
        ("b", "abc", "T"),
        ("", "abc", "T"),
        (1, "123", "!"),
        (None, "abc", "!"),
        ("a", None, "!"),
        ("1", 123, "!"),
        ("true", True, "!"),
    ],
)
def test_in_looks_for_an_equal_item_a_key_or_a_part(left: Any, right: Any, expected: str) -> None:
    assert outcome(comparison("in"), left, right) == expected
    opposite = {"T": "F", "F": "T", "!": "!"}[expected]
    assert outcome(comparison("not in"), left, right) == opposite


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (2**53 + 1, float(2**53), "FTFFTT"),
        (10**400, 1.5, "FTFFTT"),
        (10**20, "100000000000000000000", "TFFTFT"),
        ("9" * 399, "1" + "0" * 399, "FTTTFF"),
        ("007", 7, "TFFTFT"),
        (" 7\n", 7, "TFFTFT"),
        ("-0", 0, "TFFTFT"),
        ("1e3", 1000, "TFFTFT"),
        ("2026-01-02", "2026-01-10", "FTTTFF"),
        ("v9", "v10", "FTFFTT"),
        (math.nan, math.nan, "FT!!!!"),
        (math.nan, 1, "FT!!!!"),
        (math.inf, 1e308, "FTFFTT"),
        ([1, [2, {"a": None}]], ["1", ["2", {"a": None}]], "TF!!!!"),
        ([1, 2], [2, 1], "FT!!!!"),
        ([1], [1, 2], "FT!!!!"),
        ({"a": 1, "b": 2}, {"b": "2", "a": 1.0}, "TF!!!!"),
        ({"a": None}, {}, "FT!!!!"),
        ([], {}, "FT!!!!"),
        ([True], [1], "TF!!!!"),
    ],
)
def test_large_small_and_nested_values(left: Any, right: Any, expected: str) -> None:
    assert "".join(outcome(comparison(symbol), left, right) for symbol in OPERATORS) == expected


def test_lists_that_are_nested_too_deep_are_an_error_of_the_condition() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConditionError, match="nested too deep"):
        comparison("==").evaluate({"params": {"left": deep, "right": [[deep]]}})
