"""`--executor` is part of how a run was started: what resumes the run repeats it."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.command_line import CommandLine

FAILS = """\
version: 1
flow: {id: f}
jobs:
  - id: a
    steps:
      - {id: s, type: external.process, inputs: {command: ["false"]}}
"""


def resume_of(text: str) -> list[str]:
    """Return the words of the command in a line `resume: COMMAND`."""
    [line] = [line for line in text.splitlines() if "resume: aetherflow" in line]
    return shlex.split(line.partition("resume: ")[2])


@pytest.fixture
def failed(cli: CommandLine) -> CommandLine:
    """A run that was started with the option, and has failed."""
    cli.write("flow.yaml", FAILS)
    done = cli.run("run", "flow.yaml", "--run-id", "r", "--executor", "local")
    assert done.code == 1, done
    assert resume_of(done.err)[-2:] == ["--executor", "local"]
    return cli


def test_what_shows_a_failed_run_repeats_the_option(failed: CommandLine) -> None:
    assert resume_of(failed.run("runs", "show", "r").out)[-2:] == ["--executor", "local"]
    assert failed.run("runs", "show", "r", "--json").json()["executor"] == "local"
    assert failed.run("runs", "export", "r", "--html", "page.html").code == 0
    assert "--executor local" in (failed.folder / "page.html").read_text()


def test_the_records_of_a_run_repeat_the_option(failed: CommandLine) -> None:
    [ended] = [line for line in failed.run("events", "r").lines() if "resume" in line]
    assert shlex.split(ended["resume"])[-2:] == ["--executor", "local"]


def test_the_report_of_a_run_repeats_the_option(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)
    done = cli.run("run", "flow.yaml", "--run-id", "r", "--executor", "local", "--json")
    assert shlex.split(done.json()["resume"])[-2:] == ["--executor", "local"]


def test_the_command_of_a_resume_counts_from_then_on(failed: CommandLine) -> None:
    again = failed.run("runs", "retry", "r")
    assert again.code == 1, again
    assert "--executor" not in resume_of(again.err)
    assert "--executor" not in resume_of(failed.run("runs", "show", "r").out)


def test_without_the_option_nothing_names_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)
    done = cli.run("run", "flow.yaml", "--run-id", "r", env={"AETHERFLOW_EXECUTOR": "local"})
    assert done.code == 1, done
    assert "--executor" not in done.err
    assert "executor" not in cli.run("events", "r").lines()[0]
