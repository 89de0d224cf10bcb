"""Generated conditions, written as text in any spacing and case, against a second and simpler evaluator."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.language.condition import ConditionError, compile_condition
from tests.sizes import examples

VALUES: dict[str, Any] = {
    "jobs.a.outputs.three": 3,
    "jobs.a.outputs.three_as_text": "3",
    "jobs.a.outputs.half": 0.5,
    "jobs.a.outputs.word": "word",
    "jobs.a.outputs.yes": True,
    "jobs.a.outputs.no": False,
    "jobs.a.outputs.nothing": None,
    "jobs.a.outputs.list": [1, "2", "word", None, False],
    "jobs.a.outputs.map": {"word": 1, "3": 2},
    "jobs.a.outputs.never": None,
    "jobs.a-b.c.status": "SUCCESS",
    "params.limit": 10,
    "env.TEN": "10",
    "env.FALSE": "False",
    "env.EMPTY": "",
}
SCOPE = {
    "jobs": {
        "a": {
            "status": "SUCCESS",
            "outputs": {
                path.removeprefix("jobs.a.outputs."): value
                for path, value in VALUES.items()
                if path.startswith("jobs.a.outputs.") and not path.endswith("never")
            },
        },
        "a-b.c": {"status": "SUCCESS", "outputs": {}},
    },
    "params": {"limit": 10},
    "env": {"TEN": "10", "FALSE": "False", "EMPTY": ""},
}

Tree = tuple[Any, ...]

literals = st.one_of(
    st.integers(-20, 20),
    st.sampled_from([0.5, -1.25, 3.0, 1e3]),
    st.sampled_from(
        ["word", "3", "10", "", "no", "SUCCESS", "it's", 'say "x"', "back\\slash", "and or not in ( ]"]
    ),
    st.sampled_from([True, False, None]),
).map(lambda value: ("literal", value))
paths = st.sampled_from(sorted(VALUES)).map(lambda path: ("path", path))
lists = st.lists(literals, max_size=4).map(lambda items: ("list", [item[1] for item in items]))
texts = st.sampled_from(["word", "3", "a word or two", ""]).map(lambda value: ("literal", value))


def deeper(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.tuples(st.sampled_from(["in", "not in"]), inner, lists | paths | texts),
    )


trees = st.recursive(literals | paths, deeper, max_leaves=12)


class Undecidable(Exception):
    """What the oracle says where the real one raises ConditionError."""


def value_of(tree: Tree) -> Any:
    """Evaluate a tree by the words of the contract, straight and slow."""
    match tree:
        case ("literal" | "list", value):
            return value
        case ("path", path):
            return VALUES[path]
        case ("and", left, right):
            return is_true(value_of(left)) and is_true(value_of(right))
        case ("or", left, right):
            return is_true(value_of(left)) or is_true(value_of(right))
        case ("not", inner):
            return not is_true(value_of(inner))
    symbol, left, right = tree
    return is_so(symbol, value_of(left), value_of(right))


def is_so(symbol: str, left: Any, right: Any) -> bool:
    match symbol:
        case "==" | "!=":
            return are_equal(left, right) is (symbol == "==")
        case "in" | "not in":
            return is_in(left, right) is (symbol == "in")
    return is_ordered(symbol, left, right)


def is_true(value: Any) -> bool:
    return str(value).lower() not in {"false", "0", "", "no"} if isinstance(value, str) else bool(value)


def as_number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def are_equal(left: Any, right: Any) -> bool:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, bool) and isinstance(other, str):
            return other.lower() == str(one).lower() or as_number(other) == int(one)
    if isinstance(left, str) == isinstance(right, str):
        return bool(left == right)
    return as_number(left) is not None and as_number(left) == as_number(right)


def is_in(value: Any, box: Any) -> bool:
    if isinstance(box, str) and isinstance(value, str):
        return box.find(value) >= 0
    if isinstance(box, list | dict):
        return any(are_equal(value, item) for item in box)
    raise Undecidable


ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: not a > b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: not a < b,
}


def is_ordered(symbol: str, left: Any, right: Any) -> bool:
    one, other = as_number(left), as_number(right)
    if one is not None and other is not None:
        return ORDER[symbol](one, other)
    if isinstance(left, str) and isinstance(right, str):
        return ORDER[symbol](left, right)
    raise Undecidable


BINDING = {"or": 1, "and": 2, "not": 3}
COMPARISON = 4
VALUE = 5


class Writer:
    """Writes a tree as text with the parentheses it needs, some it does not, and any spacing and case."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a reproducible choice of spaces

    def space(self) -> str:
        return self.chance.choice([" ", "  ", "\t", "\n", " \r\n "])

    def cased(self, word: str) -> str:
        return "".join(self.chance.choice([c.lower(), c.upper()]) for c in word)

    def literal(self, value: Any) -> str:
        if value is None or isinstance(value, bool):
            return self.cased(
                str(value)
                if value is None and self.chance.random() < 0.5
                else {None: "null", True: "true", False: "false"}[value]
            )
        if not isinstance(value, str):
            return repr(value)
        quote = self.chance.choice("'\"")
        return quote + value.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote

    def write(self, tree: Tree, least: int = 0) -> str:
        match tree:
            case ("literal", value):
                text, binding = self.literal(value), VALUE
            case ("path", path):
                text, binding = path, VALUE
            case ("list", items):
                inside = ("," + self.space()).join(map(self.literal, items))
                return f"[{inside}]"
            case ("not", inner):
                text, binding = (
                    self.cased("not") + self.space() + self.write(inner, BINDING["not"]),
                    BINDING["not"],
                )
            case ("and" | "or" as word, left, right):
                binding = BINDING[word]
                joint = self.space() + self.cased(word) + self.space()
                text = self.write(left, binding) + joint + self.write(right, binding + 1)
            case (symbol, left, right):
                binding = COMPARISON
                joint = self.space().join(self.cased(word) for word in symbol.split())
                text = (
                    self.write(left, VALUE) + self.space() + joint + self.space() + self.write(right, VALUE)
                )
        plain_text = tree[0] == "literal" and least == VALUE  # `in ('x')` is refused, `'x'` is not
        if binding < least or (not plain_text and self.chance.random() < 0.1):
            return f"({self.space()}{text}{self.chance.choice(['', ' '])})"
        return text


@examples(360)
@given(trees, st.integers(0, 2**32))
def test_a_condition_means_what_the_oracle_says(tree: Tree, seed: int) -> None:
    text = Writer(seed).write(tree)
    compiled, problems = compile_condition(text)
    assert problems == []
    assert compiled is not None
    try:
        expected = is_true(value_of(tree))
    except Undecidable:
        with pytest.raises(ConditionError):
            compiled.evaluate(SCOPE)
    else:
        assert compiled.evaluate(SCOPE) is expected


@examples(120)
@given(trees, trees, st.integers(0, 2**32))
def test_not_and_and_or_follow_de_morgan(left: Tree, right: Tree, seed: int) -> None:
    one = outcome(("not", ("and", left, right)), seed)
    other = outcome(("or", ("not", left), ("not", right)), seed)
    assert one == other


def outcome(tree: Tree, seed: int) -> bool | str:
    compiled, problems = compile_condition(Writer(seed).write(tree))
    assert problems == []
    assert compiled is not None
    try:
        return compiled.evaluate(SCOPE)
    except ConditionError as error:
        return error.code
