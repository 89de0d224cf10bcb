"""The comparison of values of all kinds with each other, as conditions compare them: one table."""

from __future__ import annotations

from typing import Any

from aetherflow.language.condition import Condition, ConditionError, compile_condition

SAMPLES: dict[str, Any] = {
    "null": None,
    "false": False,
    "true": True,
    "1": 1,
    "2.5": 2.5,
    "10": 10,
    '"1"': "1",
    '"1.0"': "1.0",
    '"9"': "9",
    '"10"': "10",
    '"abc"': "abc",
    '"true"': "true",
    '"TRUE"': "TRUE",
    '""': "",
    "[]": [],
    "[1]": [1],
    '["1"]': ["1"],
    "{a: 1}": {"a": 1},
    '{a: "1"}': {"a": "1"},
}
"""A value of each kind, as a flow writes it."""

OPERATORS = ("==", "!=", "<", "<=", ">", ">=")

MEANINGS: dict[str, str] = {
    "=": "TFFTFT",
    "<": "FTTTFF",
    ">": "FTFFTT",
    "~": "FTFTFT",
    "==": "TF!!!!",
    ".": "FT!!!!",
}
"""What a sign of the table means: for each operator, in their order, true, false, or an error."""


def comparison(symbol: str) -> Condition:
    """Return the condition that compares two values."""
    compiled, problems = compile_condition(f"params.left {symbol} params.right")
    assert compiled is not None, problems
    return compiled


_COMPARISONS = [comparison(symbol) for symbol in OPERATORS]


def outcome(condition: Condition, left: Any, right: Any) -> str:
    """Return T, F, or ! if the values cannot be compared so."""
    try:
        return "T" if condition.evaluate({"params": {"left": left, "right": right}}) else "F"
    except ConditionError:
        return "!"


def relation(left: Any, right: Any) -> str:
    """Return the sign for two values."""
    outcomes = "".join(outcome(condition, left, right) for condition in _COMPARISONS)
    return next(sign for sign, meaning in MEANINGS.items() if meaning == outcomes)


def table() -> dict[str, list[str]]:
    """Return the signs: a row for each left value, a column for each right one."""
    return {name: [relation(left, right) for right in SAMPLES.values()] for name, left in SAMPLES.items()}
