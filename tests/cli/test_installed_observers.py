"""Observers of installed packages: chosen by a setting, they get the records of a run and never stop it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.command_line import CommandLine

FLOW = """
version: 1
flow: {id: watched}
jobs:
- id: a
  steps:
  - {id: s, type: external.process, inputs: {command: [sh, -c, 'echo out; test -e go'], cwd: flow}}
"""
MODULE = """
import json
import os

class Writer:
    takes_output = False

    def __init__(self, run):
        self.file = open(run.env["SEEN"], "a")
        self.ids = run.flow_id, run.run_id
        if os.environ.get("FAULT") == "made":
            raise ValueError("cannot be made")

    def take(self, records):
        if os.environ.get("FAULT") == "taken":
            self.file.close()
            raise ValueError("cannot be taken")
        for record in records:
            print(json.dumps(record), file=self.file)
        if os.environ.get("FAULT") == "returned":
            return 42
        return "one thing" if any(one["event"] == "run_started" for one in records) else None

    def close(self, deadline_seconds):
        print(json.dumps([*self.ids, deadline_seconds]), file=self.file)
        self.file.close()
        return os.environ.get("LOST")

class WithOutput(Writer):
    takes_output = True

SOMETHING = 5
"""


@pytest.fixture
def watched(cli: CommandLine) -> CommandLine:
    cli.write("flow.yaml", FLOW)
    cli.write("site/seeing.py", MODULE)
    cli.write("site/seeing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: seeing\nVersion: 1\n")
    cli.write(
        "site/seeing-1.dist-info/entry_points.txt",
        "[aetherflow.observers]\nseeing = seeing:Writer\nall = seeing:WithOutput\nno = seeing:SOMETHING\n",
    )
    cli.env |= {"PYTHONPATH": str(cli.folder / "site"), "SEEN": str(cli.folder / "seen")}
    return cli


def seen(cli: CommandLine) -> list[Any]:
    """Return what the observer has written."""
    return [json.loads(line) for line in (cli.folder / "seen").read_text().splitlines()]


def test_it_gets_the_records_of_a_run_and_of_its_resume_and_is_closed(watched: CommandLine) -> None:
    watched.write("aetherflow.yaml", "version: 1\nsettings: {observers: [seeing]}\n")
    options = ("--log-format", "json", "--debug")

    first = watched.run("run", "flow.yaml", "--run-id", "r1", *options)
    (watched.folder / "go").touch()
    second = watched.run("runs", "retry", "r1", *options)

    assert (first.code, second.code) == (1, 0)
    found = [one for one in seen(watched) if not isinstance(one, list)]
    expected = [one for one in first.lines() + second.lines() if one["event"] != "step_output"]
    of_run = [one for one in expected if one["event"] != "notice"]
    assert [one for one in found if one["event"] != "notice"] == of_run
    assert [one for one in seen(watched) if isinstance(one, list)] == [["watched", "r1", 3.0]] * 2
    assert "one thing" in [one["message"] for one in first.lines() if one["level"] == "warning"]
    doctor = watched.run("doctor")
    assert "observer seeing: seeing.Writer" in doctor.out
    assert "aetherflow.yaml:2" in doctor.out


def test_one_that_wants_them_gets_the_lines_of_programs(watched: CommandLine) -> None:
    watched.run("run", "flow.yaml", env={"AETHERFLOW_OBSERVERS": "all, seeing"})

    assert [
        one["text"] for one in seen(watched) if isinstance(one, dict) and one["event"] == "step_output"
    ] == ["out"]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FAULT": "made"}, "ValueError: cannot be made"),
        ({"FAULT": "taken"}, "ValueError: cannot be taken"),
        (
            {"FAULT": "returned"},
            "TypeError: its method take returned int, where a text or None is expected\n",
        ),
        ({"LOST": "3 records"}, "3 records"),
        ({"LOST": "3 records\n\x1b]0;x"}, "3 records\n    \\x1b]0;x"),
    ],
)
def test_one_that_fails_is_reported_and_the_run_succeeds(
    watched: CommandLine, env: dict[str, str], words: str
) -> None:
    (watched.folder / "go").touch()

    done = watched.run("run", "flow.yaml", env=env | {"AETHERFLOW_OBSERVERS": "seeing"})

    assert done.code == 0
    assert f"the output of the observer seeing is incomplete: {words}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seing", "[AF512]: there is no observer 'seing'"),
        ("no", "[AF541]: the observer 'no' is registered, but what it names is a int"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_written(
    watched: CommandLine, name: str, words: str
) -> None:
    env = {"AETHERFLOW_OBSERVERS": name}

    done = watched.run("run", "flow.yaml", env=env)

    assert done.code == 2
    assert words in done.err
    assert name != "seing" or "did you mean 'seeing'?" in done.err
    assert not watched.state.exists()
    doctor = watched.run("doctor", env=env)
    assert doctor.code == 2
    assert words.partition(": ")[2] in doctor.out


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"AETHERFLOW_OBSERVERS": "seing"}, "[AF512]: there is no observer 'seing'"),
        ({"AETHERFLOW_METRICS_MODULE": "no_such_module"}, "no_such_module"),
    ],
)
def test_a_server_with_a_wrong_one_does_not_start(
    watched: CommandLine, setting: dict[str, str], words: str
) -> None:
    watched.write(
        "scheduler.yaml", "version: 1\nitems: [{id: a, interval_seconds: 1, flow_yaml: flow.yaml}]\n"
    )

    done = watched.run("serve", "scheduler.yaml", env=setting)

    assert done.code == 2
    assert words in done.err
    assert not watched.state.exists()


def test_a_wrong_one_of_the_project_of_a_flow_is_reported_at_its_item(watched: CommandLine) -> None:
    watched.write("other/flow.yaml", FLOW)
    watched.write("other/aetherflow.yaml", "version: 1\nsettings: {observers: [seing]}\n")
    watched.write(
        "scheduler.yaml", "version: 1\nitems: [{id: a, interval_seconds: 1, flow_yaml: other/flow.yaml}]\n"
    )

    done = watched.run("serve", "scheduler.yaml", "--strict")

    assert done.code == 2
    assert "scheduler.yaml:2:" in done.err
    assert "[AF207]: the settings of the flow of item 'a': there is no observer 'seing'" in done.err
    assert "did you mean 'seeing'?" in done.err
