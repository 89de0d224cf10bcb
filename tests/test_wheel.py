"""The wheel has what the package needs: every file, the entry points, and each library that it imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("aetherflow", "plugins")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built by the build backend of the project."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    call = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(call, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (built,) = folder.glob("*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    wanted = {
        str(path.relative_to(ROOT)).removeprefix("plugins/")
        for path in files
        if "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert any(name.startswith("aetherflow/manual/errors/") for name in wanted)


def test_the_command_works_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from aetherflow.__main__ import main; main()"
    for words, said in (
        (["help", "schedules"], "misfire_grace_time"),
        (["explain-code", "AF201"], "AF201"),
        (["init", str(tmp_path / "new")], ""),
    ):
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert (done.returncode, said in done.stdout) == (0, True), done


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for name, some in project["optional-dependencies"].items() if name != "dev" for one in some]
    declared = {_name(re.split(r"[<>=\[;!~ ]", one)[0]) for one in [*project["dependencies"], *extras]}
    known = packages_distributions()
    missing: dict[str, str] = {}
    for path in (ROOT / "aetherflow").rglob("*.py"):
        for module in _imported(ast.parse(path.read_text())):
            names = {_name(one) for one in known.get(module, [module])}
            if module not in sys.stdlib_module_names and not names & declared:
                missing[module] = str(path)
    assert missing == {}


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found - {"aetherflow"}


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()
