"""Only one module asks for the working directory: a server must live on when that folder is removed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aetherflow
from aetherflow.errors import ConfigError
from aetherflow.working_directory import absolute, working_directory, working_directory_name

ROOT = Path(aetherflow.__file__).parent
ASKS = {"cwd", "getcwd", "getcwdb", "absolute"}


@pytest.fixture(autouse=True)
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the folders of other tests: a new one may have the inode of one that was removed."""
    monkeypatch.setattr("aetherflow.working_directory._names", {})


def questions(file: Path) -> Iterator[str]:
    """Yield where a file calls what fails in a removed folder: `Path.cwd()`, `os.getcwd()`, `.absolute()`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS:
            yield f"{file.relative_to(ROOT.parent)}:{node.lineno}"


def test_nothing_else_of_ours_asks_for_the_working_directory() -> None:
    files = [file for file in ROOT.rglob("*.py") if file.name != "working_directory.py"]
    assert len(files) > 100
    assert [place for file in files for place in questions(file)] == []
    assert list(questions(ROOT / "working_directory.py"))  # the check sees what it looks for


def test_a_removed_folder_has_the_name_that_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert working_directory() == folder
    folder.rmdir()
    assert working_directory() == folder
    assert absolute(Path("x")) == folder / "x"
    assert absolute(Path("../../x")) == tmp_path.parent / "x"
    monkeypatch.chdir(tmp_path)
    assert working_directory() == tmp_path


def test_a_renamed_folder_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert working_directory_name() == str(folder)
    folder.rename(tmp_path / "there")
    assert absolute(Path("x")) == folder / "x"


def test_a_folder_that_was_gone_before_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert working_directory_name() == ""
    assert absolute(tmp_path) == tmp_path
    with pytest.raises(ConfigError, match=f"x is relative to the working directory {folder}, which"):
        absolute(Path("x"))
