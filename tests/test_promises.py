"""The promises of the manual: each has a test that exists, and its largest counts so far."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "aetherflow" / "manual" / "promises.md"


def promises() -> list[tuple[str, str, str]]:
    """Return the rows of the table: the promise, its test, its counts."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [(promise, test.strip("`"), counts) for promise, test, counts in rows[2:]]


def functions_of(file: Path) -> set[str]:
    """Return the names of the functions that a file defines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("promise", "test", "counts"), promises())
def test_every_promise_has_a_test_and_its_counts(promise: str, test: str, counts: str) -> None:
    file, _, name = test.partition("::")
    assert promise
    assert (TESTS / file).is_file(), f"{file} is gone"
    assert name in functions_of(TESTS / file), f"{test} is gone"
    assert re.search(r"\d", counts), "say what it counted"


def test_the_table_is_found() -> None:
    assert len(promises()) > 10
    assert any(test.startswith("torture/test_kill_9.py::") for _, test, _ in promises())


def test_the_counts_of_the_readme_are_those_of_the_table() -> None:
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## What it promises\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")][2:]
    known = " ".join(counts for _, _, counts in promises())

    assert len(rows) > 5
    for _, counts in rows:
        assert [number for number in re.findall(r"\d[\d,]*", counts) if number not in known] == [], counts
