"""The table of commands: what it says is true of each, and only the one that is called is imported."""

from __future__ import annotations

import inspect

import pytest

from aetherflow.cli.command_group import build_command
from aetherflow.cli.commands import COMMANDS, Group, each_command
from aetherflow.cli.main import run_command_line
from tests.cli.command_line import CommandLine
from tests.cli.test_command_snapshots import LINES, SERVERS, SNAPSHOTS, STARTED

ALL = dict(each_command())
GROUPS = {name: entry for name, entry in COMMANDS.items() if isinstance(entry, Group)}


@pytest.mark.parametrize("words", ALL)
def test_the_summary_is_the_first_sentence_of_the_help(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*words.split(), "--help"]) == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith(f"Usage: aetherflow {words} [OPTIONS]")
    first_line = inspect.cleandoc(build_command(words, ALL[words]).help).partition("\n")[0]
    assert first_line == ALL[words].summary or first_line.startswith(f"{ALL[words].summary} ")


def test_each_command_has_a_snapshot_of_what_it_prints() -> None:
    assert {*LINES, *STARTED, *SERVERS} == {*ALL}
    stored = {path.stem.replace("_", " ") for path in SNAPSHOTS.iterdir()}
    assert stored == {*LINES, *STARTED}


@pytest.mark.parametrize("words", ALL)
def test_a_flow_is_also_taken_as_an_option(words: str) -> None:
    options = {name for parameter in build_command(words, ALL[words]).params for name in parameter.opts}

    assert "flow" not in options or "--flow-yaml" in options


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_the_help_of_a_group_lists_its_commands(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = GROUPS[group].commands if group else COMMANDS

    assert run_command_line([*group.split(), "--help"]) == 0

    listed = capsys.readouterr().out.partition("Commands:\n")[2].partition("\nExamples:\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(table)
    assert [line.split(maxsplit=1)[1].removesuffix(".") for line in listed] == [
        entry.summary.partition(". ")[0].removesuffix(".") for entry in table.values()
    ]


@pytest.mark.parametrize("words", ["", *(group for group in GROUPS if not GROUPS[group].default)])
def test_a_group_without_a_command_shows_its_help(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([*words.split(), "--help"]) == 0
    expected = capsys.readouterr().out

    assert run_command_line(words.split()) == 2

    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rum", "No such command 'rum'. Did you mean 'run'?"),
        ("runs shwo", "No such command 'shwo'. Did you mean 'show'?"),
        ("xyz", "No such command 'xyz'."),
    ],
)
def test_a_misspelt_command_gets_the_nearest_names(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words.split()) == 2
    assert f"error[AF002]: {message}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "complete"),
    [
        ("aetherflow ru", {"run", "runs"}),
        ("aetherflow runs ", {"list", "show", "diff", "export", "cancel", "retry", "prune"}),
        ("aetherflow runs retry --on", {"--only"}),
        ("aetherflow graph --format m", {"mermaid"}),
    ],
)
def test_a_shell_completes_commands_options_and_choices(
    cli: CommandLine, line: str, complete: set[str]
) -> None:
    result = cli.run(
        env={
            "_AETHERFLOW_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
        }
    )

    assert set(result.out.split()) == complete


def test_the_short_name_of_the_scheduler_is_its_group(cli: CommandLine) -> None:
    result = cli.bash("aetherflow-scheduler next --help")

    assert result.code == 0
    assert result.out.startswith("Usage: aetherflow scheduler next [OPTIONS]")
