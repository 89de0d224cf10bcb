"""`init plugin`: what it writes works as it is, and nothing is overwritten."""

from __future__ import annotations

import shlex
import sys

import pytest

from tests.cli.command_line import CommandLine

FILES = [
    "README.md",
    "example.yaml",
    "pyproject.toml",
    "src/acme_files/__init__.py",
    "src/acme_files/connectors.py",
    "src/acme_files/steps.py",
    "tests/test_acme_files.py",
]
SOURCES = {"AETHERFLOW_PLUGIN_PATHS": "acme-files/src"}


@pytest.fixture
def made(cli: CommandLine) -> CommandLine:
    """A folder with a new plugin in it."""
    result = cli.run("init", "plugin", "acme-files")
    assert result.code == 0, result
    folder = cli.folder / "acme-files"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == FILES
    assert sorted(result.out.splitlines()[:-1]) == [f"acme-files/{name}" for name in FILES]
    assert result.out.splitlines()[-1].startswith("try it: cd acme-files && ")
    return cli


def test_its_own_tests_pass(made: CommandLine) -> None:
    command = f"cd acme-files && {shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider"

    result = made.bash(command, env={"PYTHONPATH": "src"})

    assert (result.code, "5 passed" in result.out) == (0, True), result


def test_its_commands_work_as_they_are_reported(made: CommandLine) -> None:
    reported = (made.folder / "acme-files/README.md").read_text()
    commands = [line.strip() for line in reported.splitlines() if line.startswith("    AETHERFLOW")]
    assert len(commands) == 3

    for command in commands:
        result = made.bash(f"cd acme-files && {command}")
        assert result.code == 0, (command, result)

    assert made.query("select step_id, status from step_state order by step_id") == [
        ("echo", "SUCCESS"),
        ("list", "SUCCESS"),
    ]


def test_it_is_found_by_its_entry_points_once_it_is_installed(made: CommandLine) -> None:
    project = (made.folder / "acme-files/pyproject.toml").read_text()
    entries = project[project.index("[project.entry-points") : project.index("[tool.hatch")]
    made.write(
        "acme-files/src/acme_files-0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: acme-files\nVersion: 0\n",
    )
    made.write(
        "acme-files/src/acme_files-0.dist-info/entry_points.txt",
        entries.replace("project.entry-points.", "").replace('"', ""),
    )

    result = made.run(
        "steps", "show", "acme_files_list_files", "--json", env={"PYTHONPATH": "acme-files/src"}
    )

    assert result.code == 0, result
    assert result.json()["source"] == "acme-files"
    assert [field["name"] for field in result.json()["inputs"]] == ["resource", "pattern"]


def test_a_misspelt_input_is_found_before_anything_runs(made: CommandLine) -> None:
    flow = made.folder / "acme-files/example.yaml"
    flow.write_text(flow.read_text().replace("pattern:", "patern:"))

    result = made.run("validate", str(flow), env=SOURCES)

    assert result.code == 2
    assert "AF543" in result.err
    assert "did you mean 'pattern'?" in result.err


def test_nothing_is_overwritten_without_force(made: CommandLine) -> None:
    steps = made.write("acme-files/src/acme_files/steps.py", "mine")
    made.write("acme-files/notes.txt", "mine")

    refused = made.run("init", "plugin", "acme-files")

    assert refused.code == 2
    assert "acme-files/pyproject.toml" in refused.err
    assert "are there already\n    hint: choose another name, or overwrite with --force" in refused.err
    assert steps.read_text() == "mine"
    assert made.run("init", "plugin", "acme-files", "--force").code == 0
    assert "list_files" in steps.read_text()
    assert (made.folder / "acme-files/notes.txt").read_text() == "mine"


def test_a_single_file_that_is_there_is_named_and_nothing_is_written(cli: CommandLine) -> None:
    cli.write("other/README.md", "mine")

    result = cli.run("init", "plugin", "other")

    assert result.code == 2
    assert result.err.startswith("error[AF002]: other/README.md is there already\n")
    assert [path.name for path in (cli.folder / "other").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["1st", "a b", "import", "json", "aetherflow", "Ä", "."])
def test_a_name_that_no_package_can_have_is_refused(cli: CommandLine, name: str) -> None:
    result = cli.run("init", "plugin", name)

    assert (result.code, result.err[:13]) == (2, "error[AF002]:")
    assert list(cli.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(cli: CommandLine) -> None:
    cli.write("file", "")

    result = cli.run("init", "plugin", "file/plugin_here")

    assert (result.code, result.err) == (2, "error[AF002]: cannot write file/plugin_here: Not a directory\n")
