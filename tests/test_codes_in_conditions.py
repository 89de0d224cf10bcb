"""Error codes are for people: no condition in the code is about one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "aetherflow").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
CODE = re.compile(r"AF\d{0,3}")

ALLOWED = {
    ("aetherflow/check/check_schedule.py", "_Reader.parsed"): "the same diagnostic is not reported twice",
    ("aetherflow/cli/explain_code.py", "_explain"): "the code that a person asks about",
}
"""Functions in which codes are compared, and why nothing is decided by them."""


def constants_of_codes(trees: dict[Path, ast.Module]) -> set[str]:
    """Return the names of module constants that are codes."""
    return {
        target.id
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and is_literal(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def is_literal(node: ast.AST) -> bool:
    """Whether a node is a code, or the beginning of one."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(CODE.fullmatch(node.value))


def names_a_code(node: ast.AST, constants: set[str]) -> bool:
    """Whether a code, a constant that is one, or the attribute `code` is in an expression."""
    return any(
        is_literal(part)
        or (isinstance(part, ast.Attribute) and part.attr in {"code", *constants})
        or (isinstance(part, ast.Name) and part.id in constants)
        for part in ast.walk(node)
    )


def decisions(tree: ast.AST, constants: set[str]) -> Iterator[str]:
    """Yield the function of each comparison, `startswith` and pattern that is about a code."""
    waiting = [(node, "") for node in ast.iter_child_nodes(tree)]
    while waiting:
        node, where = waiting.pop()
        inside = where
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{where}.{node.name}".removeprefix(".")
        match node:
            case ast.Compare() | ast.MatchValue() if names_a_code(node, constants):
                yield inside
            case ast.Match() if names_a_code(node.subject, constants):
                yield inside
            case ast.MatchClass() if "code" in node.kwd_attrs:
                yield inside
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith")) if names_a_code(
                node, constants
            ):
                yield inside
            case _:
                pass
        waiting += [(child, inside) for child in ast.iter_child_nodes(node)]


def test_no_condition_is_about_a_code() -> None:
    trees = {path: ast.parse(path.read_text()) for path in SOURCES}
    constants = constants_of_codes(trees)
    found = {
        (str(path.relative_to(ROOT)), where)
        for path, tree in trees.items()
        for where in decisions(tree, constants)
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text",
    [
        "if error.code == 'AF210': pass",
        "if error.code in (TAKEN, 'x'): pass",
        "x = [d for d in found if d.code != 'AF536']",
        "y = a if 'AF620' in codes else b",
        "if code.startswith('AF5'): pass",
        "match error.code:\n  case 'x': pass",
        "match code:\n  case 'AF210' | 'AF211': pass",
        "match error:\n  case StepError(code=_): pass",
        "while codes.TAKEN == code: pass",
    ],
)
def test_the_check_finds_decisions(text: str) -> None:
    assert list(decisions(ast.parse(text), {"TAKEN"}))


@pytest.mark.parametrize(
    "text", ["raise StepError('no', code='AF700')", "say(error.code)", "x = error.code or 'AF001'", "a == b"]
)
def test_the_check_lets_codes_be_shown(text: str) -> None:
    assert not list(decisions(ast.parse(text), {"TAKEN"}))
