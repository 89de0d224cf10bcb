"""Arguments, environment variables and file names that are not UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine

NAME = os.fsdecode(b"a\xff")
FLOW = """
version: 1
flow: {id: plain}
jobs:
  - id: a
    for_each: ["{{env.ODD:none}}"]
    steps: [{id: s, type: check_items, inputs: {items: ["{{item}}"]}}]
"""


@pytest.fixture
def command(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.write("flow.yaml", FLOW)
    assert made.run("run", "flow.yaml", "--run-id", "r").code == 0
    return made


@pytest.mark.parametrize(
    "words",
    ["runs show", "runs retry", "runs cancel", "runs list --flow", "logs", "locks release", "pools remove"],
)
def test_a_name_that_is_not_utf8_is_refused_in_words(command: CommandLine, words: str) -> None:
    ended = command.run(*words.split(), NAME)

    assert ended.code == 2
    assert "AF000" not in ended.err
    assert r"\udcff" in ended.err


def test_a_variable_that_is_not_utf8_changes_no_run(command: CommandLine) -> None:
    ended = command.run("run", "flow.yaml", env={"ODD": NAME})

    assert (ended.code, "1 SUCCESS" in ended.err) == (0, True), ended.err


def test_a_report_in_json_names_a_file_that_is_not_utf8(command: CommandLine) -> None:
    ended = command.run("validate", NAME, "--json")

    assert ended.code == 2
    assert ended.json()["file"] == r"a\udcff"


def test_a_number_that_no_list_can_have_is_refused(command: CommandLine) -> None:
    for words in ("runs list --limit", "runs prune --keep-runs"):
        ended = command.run(*words.split(), "9" * 30)
        assert (ended.code, "AF000" in ended.err) == (2, False), words
