"""Which files the inputs of a step name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.execution.named_paths import named_paths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "work/job/a.csv",
        "work/job/b c.csv",
        "work/job/sub/d.csv",
        "flow/run.py",
        "elsewhere/e.csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.csv", ["work/job/a.csv"]),
        ("./a.csv", ["work/job/a.csv"]),
        ("sub", ["work/job/sub"]),
        (".", ["work/job"]),
        ("sort *.csv > out", ["work/job/a.csv", "work/job/b c.csv"]),
        ("", []),
        ("run.py", ["flow/run.py"]),
        ("../job/a.csv", ["work/job/a.csv"]),
        ("../../elsewhere/e.csv", []),
        ("b c.csv", ["work/job/b c.csv"]),
        ("*.csv", ["work/job/a.csv", "work/job/b c.csv"]),
        ("**/*.csv", ["work/job/a.csv", "work/job/b c.csv", "work/job/sub/d.csv"]),
        ("{root}/work/job/b c.csv", ["work/job/b c.csv"]),
        ("{root}/elsewhere/e.csv", []),
        ("cat a.csv sub/d.csv > out.csv", ["work/job/a.csv", "work/job/sub/d.csv"]),
        (
            "python {root}/flow/run.py --in={root}/work/job/b c.csv --fast",
            ["flow/run.py", "work/job/b c.csv"],
        ),
        ("cp {root}/work/job/a.csv .", ["work/job/a.csv"]),
        ("nothing of this is a file", []),
        ({"x": [{"y": "a.csv"}], "n": 3, "none": None}, ["work/job/a.csv"]),
        ("a\0b", []),
        ("x" * 5000, []),
    ],
)
def test_what_exists_and_is_named_is_found(root: Path, value: Any, expected: list[str]) -> None:
    if isinstance(value, str):
        value = value.replace("{root}", str(root))
    found = named_paths({"v": value}, [root / "work", root / "flow"], [root / "work/job", root / "flow"])
    assert sorted(str(path.relative_to(root)) for path in found) == expected


def test_an_error_can_say_which_input_it_was(root: Path) -> None:
    inputs = {"files": ["x", {"path": "a.csv"}]}
    assert named_paths(inputs, [root / "work"], [root / "work/job"]) == {
        root / "work/job/a.csv": "files[1].path"
    }
