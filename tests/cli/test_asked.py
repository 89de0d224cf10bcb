"""Only the commands that a command line names are built: nobody can tell by what they say."""

from __future__ import annotations

import pytest
import typer

from aetherflow.cli.asked import COMPLETION, asked_for
from aetherflow.cli.main import app, run_command_line


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "-h",
        "runs --help",
        "runs -h",
        "runs list --help",
        "run --help",
        "init --help",
        "scheduler -h",
    ],
)
def test_help_is_the_help_of_the_whole(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app(args=words.split(), prog_name="aetherflow")
    expected = capsys.readouterr()

    assert run_command_line(words.split()) == 0

    assert capsys.readouterr() == expected
    assert "Usage: aetherflow" in expected.out


@pytest.mark.parametrize("words", ["runs", "scheduler", ""])
def test_a_group_without_a_command_lists_its_commands(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([*words.split(), "--help"]) == 0
    expected = capsys.readouterr().out

    assert run_command_line(words.split()) == 2

    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("words", "said"), [("rum", "No such command 'rum'"), ("runs shaw", "No such command 'shaw'")]
)
def test_what_is_misspelt_is_compared_with_all(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(words.split()) == 2
    assert said in capsys.readouterr().err


def names(of: typer.Typer) -> set[str]:
    """Return the names of commands, groups and commands of groups that are left."""
    found = {info.name or getattr(info.callback, "__name__", "") for info in of.registered_commands}
    for group in of.registered_groups:
        assert group.typer_instance
        found |= {str(group.name), *names(group.typer_instance)}
    return found


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("run flow.yaml --help", {"run"}),
        ("explain-code AF111", {"explain-code"}),
        ("runs show x", {"runs", "show"}),
    ],
)
def test_one_command_is_left(words: str, left: set[str]) -> None:
    assert names(asked_for(app, words.split())) == left


@pytest.mark.parametrize("words", ["init", "init --force", "init folder"])
def test_a_group_that_has_a_command_of_its_own_for_the_rest_keeps_all(words: str) -> None:
    assert {"project", "plugin", "systemd"} <= names(asked_for(app, words.split()))


def test_a_shell_that_completes_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPLETION, "complete_bash")
    assert asked_for(app, ["run"]) is app
