"""Commands in hints name the state database only where the command would not find it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, Result

FLOW = """
version: 1
flow: {id: night}
jobs:
- {id: a, steps: [{id: s, type: external.process, inputs: {command: [test, -e, FILE]}}]}
"""


@pytest.fixture
def home(cli: CommandLine) -> CommandLine:
    """A user whose shell sets nothing."""
    del cli.env["AETHERFLOW_STATE_ROOT"]
    cli.state = cli.folder / ".local" / "state" / "aetherflow" / "aetherflow.sqlite"
    cli.write("flow.yaml", FLOW.replace("FILE", str(cli.folder / "ready")))
    return cli


def resume_of(done: Result) -> str:
    (line,) = (line for line in done.err.splitlines() if "  resume: " in line)
    return line.partition("  resume: ")[2]


def test_the_usual_database_is_not_named_and_the_command_works_in_any_folder(home: CommandLine) -> None:
    failed = home.run("run", "flow.yaml", "--run-id", "r")

    assert resume_of(failed) == "aetherflow runs retry r"
    assert "  resume: aetherflow runs retry r\n" in home.run("runs", "show", "r").out
    assert home.run("events", "r").lines()[-1]["resume"] == "aetherflow runs retry r"
    (home.folder / "ready").touch()
    (home.folder / "elsewhere").mkdir()
    assert home.bash("cd elsewhere; aetherflow runs retry r").code == 0


@pytest.mark.parametrize("other", ["setting", "flow", "project", "project_here"])
def test_another_database_is_named(home: CommandLine, other: str) -> None:
    where = home.folder
    match other:
        case "setting":
            home.env["AETHERFLOW_STATE_ROOT"] = str(home.state.parent)  # another shell may not have it
        case "flow":
            home.write("flow.yaml", FLOW.replace("night", "night, state: {path: own.sqlite}"))
        case "project":
            home.write("aetherflow.yaml", "version: 1\nsettings: {state_root: own}\n")
        case "project_here":
            home.write("here/aetherflow.yaml", "version: 1\nsettings: {state_root: own}\n")
            where = home.folder / "here"
    flow = home.folder / "flow.yaml"
    failed = home.bash(f"cd {where} && aetherflow run {flow} --run-id r")

    command = resume_of(failed)
    assert " --state " in command
    state = Path(shlex.split(command)[-1])
    assert state.is_file()
    again = home.bash(f"cd {where} && {command}")
    assert again.code == 1
    assert "resuming run r of night" in again.err
