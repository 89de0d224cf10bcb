"""`aetherflow help`: pages, headings, steps and codes, without a network."""

from __future__ import annotations

import sys

import pytest

from tests.cli.command_line import CommandLine


def test_without_a_topic_the_contents_are_shown(cli: CommandLine) -> None:
    result = cli.run("help")

    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("# AetherFlow: the manual\n")
    assert "[flow-file](flow-file.md)" in result.out


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (["tutorial"], "# Tutorial: from a shell script in cron"),
        (["Flow-File"], "# The flow file"),
        (["flow", "file"], "# The flow file"),
        (["runs", "retry"], "## aetherflow runs retry"),
        (["cron expressions"], "## Cron expressions"),
        (["time limits"], "## Time limits and retries"),
        (["hooks"], "## Hooks: steps after the run"),
        (["text"], "## Text, numbers and quotes"),
        (["params"], "## Keys of params"),
        (["item"], "## Keys of an item"),
        (["AF104"], "## AF104\n\nA mapping has a key twice"),
        (["104"], "## AF104"),
        (["external.process"], "## external.process"),
    ],
)
def test_a_page_a_heading_a_step_or_a_code_is_shown(cli: CommandLine, words: list[str], begin: str) -> None:
    result = cli.run("help", *words)

    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(begin)
    assert "<!--" not in result.out


def test_the_name_of_a_group_of_commands_shows_them_all(cli: CommandLine) -> None:
    result = cli.run("help", "runs")

    assert (result.code, result.err) == (0, "")
    headings = [line for line in result.out.splitlines() if line.startswith("## ")]
    assert headings == [
        f"## aetherflow runs {name}"
        for name in ("list", "show", "diff", "export", "cancel", "retry", "prune")
    ]
    assert result.out.endswith("(from: aetherflow help commands)\n")


def test_a_step_of_a_plugin_is_shown(cli: CommandLine) -> None:
    cli.write(
        "p.py",
        "from aetherflow import step\n\n\n@step('shout')\ndef shout(context, inputs: dict) -> dict:\n"
        "    '''Shout.'''\n    return {}\n",
    )

    result = cli.run("help", "shout", env={"AETHERFLOW_PLUGIN_PATHS": "p.py"})

    assert result.code == 0, result
    assert result.out.startswith("shout: Shout.\n")


@pytest.mark.parametrize(
    ("name", "near"),
    [("tutoral", "tutorial"), ("externl.process", "external.process"), ("run retry", "runs retry")],
)
def test_an_unknown_name_gets_the_nearest_names_and_exit_code_2(
    cli: CommandLine, name: str, near: str
) -> None:
    result = cli.run("help", name)

    assert (result.code, result.out) == (2, "")
    assert f"the manual has no page, section, step or code {name!r}" in result.err
    assert f"aetherflow help {near}" in result.err


def test_what_is_like_nothing_gets_the_list_of_pages(cli: CommandLine) -> None:
    result = cli.run("help", "zzzzzzzz")

    assert result.code == 2
    assert "aetherflow help lists the pages" in result.err


def test_a_name_that_only_the_text_has_gets_the_search_for_it(cli: CommandLine) -> None:
    result = cli.run("help", "kill -9")

    assert result.code == 2
    assert "aetherflow help --search 'kill -9' finds it in the text" in result.err


def test_a_search_lists_sections_with_the_words_in_their_heading_first(cli: CommandLine) -> None:
    first = cli.run("help", "--search", "retry").out.splitlines()[0]

    assert first == "commands: aetherflow runs retry"


def test_a_search_lists_the_sections_with_all_words(cli: CommandLine) -> None:
    result = cli.run("help", "--search", "watchdog systemd")

    assert (result.code, result.err) == (0, "")
    assert "server: How a server ends\n" in result.out
    assert all("watchdog" in part or "systemd" in part for part in result.out.splitlines()[1::2])


def test_a_search_without_a_result_is_a_usage_error(cli: CommandLine) -> None:
    result = cli.run("help", "--search", "nosuchword")

    assert (result.code, result.out) == (2, "")
    assert "no section of the manual contains 'nosuchword'" in result.err


def test_on_a_terminal_a_page_is_formatted_and_shown_by_the_pager(cli: CommandLine) -> None:
    script = (
        "import os, pty, sys\n"
        "status = pty.spawn(['aetherflow', 'help', 'exit-codes'])\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    cli.write("terminal.py", script)

    result = cli.bash(
        f"{sys.executable} terminal.py", env={"PAGER": "sed s/^/paged:/", "TERM": "xterm", "COLUMNS": "80"}
    )

    assert result.code == 0, result
    assert "paged:" in result.out
    assert "| code | meaning |" not in result.out, "a table is drawn"
    assert "Exit codes" in result.out
