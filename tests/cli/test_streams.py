"""Streams that are closed, full or read by nobody, and a real terminal: a run ends as it should."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command_line import AETHERFLOW, FAILS, OK, SECONDS, CommandLine, no_trace
from tests.observe.screen import Screen

READS = {
    "validate": ("validate", "flow.yaml"),
    "doctor": ("doctor", "flow.yaml", "--json"),
    "steps list": ("steps", "list"),
    "steps show": ("steps", "show", "external.process"),
    "dry run": ("run", "flow.yaml", "--dry-run"),
}


@pytest.fixture
def unread() -> int:
    """Return the writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("what", READS)
def test_a_report_that_nobody_reads_ends_silently(cli: CommandLine, unread: int, what: str) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run(*READS[what], stdout=unread)
    os.close(unread)

    assert result.code == 141
    assert result.err == ""


def test_head_gets_its_line(cli: CommandLine) -> None:
    result = cli.bash("aetherflow steps list | head -1")

    assert result.out.startswith("check_items")
    assert result.out.count("\n") == 1
    assert result.err == ""


@pytest.mark.parametrize("options", [("--log-format", "json"), ("--events", "-")])
def test_a_run_whose_lines_nobody_reads_still_ends_and_keeps_its_state(
    cli: CommandLine, unread: int, options: tuple[str, ...]
) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", *options, stdout=unread)
    os.close(unread)

    assert result.code == 0, result
    assert no_trace(result)
    assert cli.query("select status from runs") == [("SUCCESS",)]
    assert cli.query("select count(*) from events where event = 'run_finished'") == [(1,)]


CLOSED = {
    "standard input": ("run flow.yaml <&-", 0),
    "standard output": ("run flow.yaml --log-format json >&-", 0),
    "standard error": ("run flow.yaml 2>&-", 0),
    "standard error of a failure": ("run fails.yaml 2>&-", 1),
    "standard error of a wrong flow": ("run nothing.yaml 2>&-", 2),
    "all of them": ("run flow.yaml --log-format json <&- >&- 2>&-", 0),
    "standard output of a report": ("validate flow.yaml >&-", 0),
    "standard output of events": ("run flow.yaml --run-id r1 && aetherflow events r1 >&-", 0),
    "a full standard error": ("run flow.yaml 2>/dev/full", 0),
    "a full standard error of a failure": ("run fails.yaml 2>/dev/full", 1),
    "a full standard error of a wrong flow": ("run nothing.yaml 2>/dev/full", 2),
    "a full standard output": ("run flow.yaml --log-format json >/dev/full", 0),
}


@pytest.mark.parametrize("what", CLOSED)
def test_a_stream_that_is_gone_does_not_change_how_a_command_ends(cli: CommandLine, what: str) -> None:
    command, code = CLOSED[what]
    cli.write("flow.yaml", OK)
    cli.write("fails.yaml", FAILS)

    result = cli.bash(f"aetherflow {command}")

    assert result.code == code, result
    assert no_trace(result)
    if command.startswith("run f"):
        assert cli.query("select status from runs") == [("SUCCESS" if code == 0 else "FAILED",)]


@pytest.mark.parametrize("command", ["steps list", "validate flow.yaml --json", "--version"])
def test_a_report_that_does_not_fit_on_the_disk_is_reported(cli: CommandLine, command: str) -> None:
    cli.write("flow.yaml", OK)

    result = cli.bash(f"aetherflow {command} >/dev/full")

    assert result.code == 1
    assert "error[AF810]" in result.err
    assert "No space left on device" in result.err
    assert no_trace(result)


def _on_a_terminal(cli: CommandLine, *arguments: str) -> tuple[int, str]:
    """Run a command with a terminal as its standard streams; return its exit code and what was shown."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [AETHERFLOW, *arguments],
        cwd=cli.folder,
        env=cli.env | {"TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # Linux says EIO when the last one has closed the terminal
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    return process.wait(SECONDS), shown.decode()


def test_a_terminal_shows_the_tree_and_the_summary_below_it_with_the_cursor_at_the_end(
    cli: CommandLine,
) -> None:
    cli.write("flow.yaml", OK)

    code, shown = _on_a_terminal(cli, "run", "flow.yaml", "--run-id", "tty")

    screen = Screen()
    screen.feed(shown)  # it knows no sequence that hides the cursor
    title, job, total, summary, end = screen.text
    assert code == 0
    assert title == "f  run tty"
    assert re.fullmatch(r"✓ a  check_items  \d\.\d\d s", job)
    assert re.fullmatch(r"0:\d\d  1 of 1 job", total)
    assert re.match(r"run tty of f +SUCCESS in .*jobs: 1 SUCCESS", summary)
    assert (end, screen.row) == ("", 4)


def test_a_failure_on_a_terminal_says_why_and_how_to_resume(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)

    code, shown = _on_a_terminal(cli, "run", "flow.yaml", "--run-id", "tty")

    assert code == 1
    assert "exit code 3" in shown
    assert "aetherflow runs retry tty --state " in shown


def test_a_state_folder_is_made_where_the_settings_say(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", env={"AETHERFLOW_STATE_ROOT": str(tmp_path / "a" / "b")})

    assert result.code == 0
    assert (tmp_path / "a" / "b" / "aetherflow.sqlite").is_file()
