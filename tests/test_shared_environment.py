"""An environment that has packages of AetherFlow 0.0, too, is reported, with the command that repairs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from aetherflow import shared_environment
from aetherflow.admin.host_checks import machine_results
from aetherflow.config.environment import load_environment

REMOVE = "pip uninstall aetherflow-core aetherflow-scheduler"
PACKAGE = Path(shared_environment.__file__).parent


def install_old(site: Path, *names: str) -> None:
    """Make the folders by which pip knows a package."""
    for name in names or shared_environment.OLD_PACKAGES:
        folder = site / f"{name.replace('-', '_')}-0.0.14.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.14\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of this package with the files of 0.0 that it does not have itself."""
    ignore = shutil.ignore_patterns("__pycache__", "*.md", "testing")
    shutil.copytree(PACKAGE, tmp_path / "aetherflow", ignore=ignore)
    (tmp_path / "aetherflow/core/runner.py").write_text("")
    install_old(tmp_path)
    ours = tmp_path / "aetherflow-9.9.dist-info"
    ours.mkdir()
    (ours / "METADATA").write_text("Metadata-Version: 2.1\nName: aetherflow\nVersion: 9.9\n")
    origin = '{"url": "file:///home/ann/my%20copy", "dir_info": {"editable": true}}'
    (ours / "direct_url.json").write_text(origin)
    return tmp_path


def python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        env={"PYTHONPATH": str(site), "HOME": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_says_it_while_the_files_of_this_package_are_whole(site: Path) -> None:
    result = python(site, "-m", "aetherflow", "--version")

    assert result.returncode == 0
    assert result.stdout.startswith("aetherflow ")
    assert result.stderr == (
        "warning[AF186]: aetherflow-core 0.0.14 and aetherflow-scheduler 0.0.14 of AetherFlow 0.0 are in the "
        "environment of this AetherFlow: plugins may import the wrong one\n"
        f"    hint: repair it: {REMOVE} && pip install --force-reinstall --no-deps -e '/home/ann/my copy'\n"
    )


def test_a_command_of_replaced_files_does_not_run(site: Path) -> None:
    (site / "aetherflow/core/__init__.py").write_text("from .runner import run_flow\n")

    command, program = python(site, "-m", "aetherflow", "--version"), python(site, "-c", "import aetherflow")

    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr.startswith("error[AF186]: ")
    assert "and files of it were replaced" in command.stderr
    assert "ImportError" in program.stderr
    assert REMOVE in program.stderr


@pytest.mark.parametrize("module", ["aetherflow.core.cli", "aetherflow.scheduler.cli"])
def test_a_command_of_0_0_says_that_it_is_one(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_module(module).main() == 2

    assert "this command is one of theirs" in capsys.readouterr().err


def test_doctor_names_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def results() -> list[str]:
        found = machine_results(load_environment({"HOME": str(tmp_path)}))
        return [f"{one.state} {one.message}" for one in found if one.subject == "installation"]

    assert results() == []
    install_old(tmp_path, "aetherflow-core")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert results() == [
        "error aetherflow-core 0.0.14 of AetherFlow 0.0 is in the environment of this AetherFlow"
    ]
