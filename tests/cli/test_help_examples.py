"""Each `--help` ends with two or three examples, and each is a command line that the commands take."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from aetherflow.cli.commands import COMMANDS, Group, each_command
from aetherflow.cli.main import app, run_command_line
from tests.cli.command_line import OK

WORDS = ["", *(name for name, entry in COMMANDS.items() if isinstance(entry, Group)), *dict(each_command())]
ENDS_AT = {"|", "&&", ">"}
"""Where the shell does the rest of a line."""
RUN_BY_THE_TEST = (
    *("explain-code", "help", "graph", "schema", "steps", "steps show", "connectors", "init"),
    *("scheduler next", "scheduler simulate", "pools", "init systemd"),
)
SCHEDULE = "version: 1\nitems: [{id: nightly, cron: '0 3 * * *', flow_yaml: flow.yaml}]\n"


def examples(words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the examples of a command as its help shows them."""
    assert run_command_line([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out.rpartition("\nExamples:\n")[2]
    assert shown.isascii()
    return [line.removeprefix("  ") for line in shown.splitlines()]


def command_lines(example: str) -> Iterator[list[str]]:
    """Yield the arguments of each `aetherflow` in an example."""
    words: list[str] = []
    for word in [*shlex.split(example, comments=True), "&&"]:
        if word not in ENDS_AT:
            words.append(word)
            continue
        if words[:1] == ["aetherflow"]:
            yield words[1:]
        words = []


def parsed(arguments: list[str]) -> str:
    """Parse a command line as it would be called; return the words of its command."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("aetherflow", arguments)
    while hasattr(context.command, "resolve_command"):
        name, command, rest = context.command.resolve_command(context, context._protected_args + context.args)
        context = command.make_context(name, rest, parent=context)
    return str(context.command_path).partition(" ")[2]


@pytest.mark.parametrize("words", WORDS)
def test_the_help_ends_with_examples_that_the_commands_take(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = examples(words, capsys)

    assert 2 <= len(shown) <= 3
    for line in shown:
        assert len(line) < 100
        called = [parsed(arguments) for arguments in command_lines(line)]
        assert called
        assert f"{called[0]} ".startswith(f"{words} ") or not words, f"{line} shows another command"


@pytest.mark.parametrize("words", RUN_BY_THE_TEST)
def test_examples_that_need_nothing_work(
    words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AETHERFLOW_STATE_ROOT", str(tmp_path))
    (tmp_path / "flow.yaml").write_text(OK)
    for name in ("scheduler", "day", "night"):
        (tmp_path / f"{name}.yaml").write_text(SCHEDULE)
    for line in examples(words, capsys):
        for arguments in command_lines(line):
            assert run_command_line(arguments) == 0, line
            assert capsys.readouterr().out


def test_a_line_that_the_commands_do_not_take_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(["runs", "list", "--no-such-option"])
