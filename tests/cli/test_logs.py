"""`logs`: what programs wrote, safe to look at, and which execution wrote it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from aetherflow.admin.step_logs import StepLog
from aetherflow.cli import logs
from aetherflow.cli.main import run_command_line
from tests.cli.command_line import CommandLine, flow

NASTY = r"""
- id: s
  type: external.process
  inputs:
    command: [printf, 'title \033]0;owned\007 \033[31mred\033[0m\rback\b\n\\ttab\ttab \377 ü\n== forged\n%s',
      "\e[2Jend"]
"""
FAILS_ONCE = flow(
    """
- id: s
  type: external.process
  inputs: {command: [sh, -c, 'echo "try"; printf open; test -e "$0"', "{{env.GO}}"]}
  retry: {max_attempts: 2, backoff_seconds: 0}
"""
)

LOCKED = flow(
    """
- id: fine
  type: external.process
  inputs: {command: [echo, fine]}
- id: swap
  type: with_lock
  inputs:
    lock_key: k
    step: {type: external.process, id: copy, inputs: {command: [sh, -c, 'echo broken; exit 3']}}
"""
)
"""A flow whose program fails inside a lock."""


def test_control_characters_of_programs_do_not_reach_the_terminal(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow(NASTY))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0

    shown = cli.run("logs", "r")

    assert shown.code == 0
    assert re.findall(r"[^\n\t -~ü\ufffd]", shown.out) == []
    heading, *lines = shown.out.splitlines()
    assert heading.startswith("== a.s, attempt 1 (/")
    assert lines == [
        r"title \x1b]0;owned\x07 red\rback\x08",
        "\\ttab\ttab \ufffd ü",
        "== forged",
        "end",
    ]


def test_raw_prints_the_bytes(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", flow(NASTY))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0

    with (tmp_path / "out").open("wb") as out:
        assert cli.run("logs", "r", "--raw", stdout=out).code == 0

    printed = (tmp_path / "out").read_bytes()
    log = next(cli.state.parent.rglob("s.1.log")).read_bytes()
    assert b"\x1b]0;owned\x07" in log
    assert printed.partition(b"\n")[2] == log + b"\n"


def test_lines_of_each_attempt_and_execution_are_distinct(cli: CommandLine, tmp_path: Path) -> None:
    cli.write("flow.yaml", FAILS_ONCE)
    cli.env["GO"] = str(tmp_path / "go")
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    (tmp_path / "go").touch()
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0

    lines = [
        re.sub(r"\(/.*|\d{4}-\d\d-\d\dT.*", "...", line) for line in cli.run("logs", "r").out.splitlines()
    ]

    assert lines == [
        "== a.s, attempt 2 ...",
        "try",
        "open",
        "== a.s, attempt 1 ...",
        "try",
        "open",
        "[aetherflow: execution 2 of the run, attempt 1 of the step, ...",
        "try",
        "open",
    ]


def test_the_log_of_a_program_inside_a_lock_is_one_of_the_step_that_has_the_lock(cli: CommandLine) -> None:
    cli.write("flow.yaml", LOCKED)
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1

    for options in (["--failed"], ["--step", "swap"], ["--step", "a.swap"], ["--step", "swap.copy"]):
        shown = cli.run("logs", "r", *options)
        assert (shown.code, shown.err) == (0, "")
        heading, *lines = shown.out.splitlines()
        assert heading.startswith("== a.swap.copy, attempt 1 (")
        assert lines == ["broken"]


def test_the_pieces_of_a_long_line_are_whole_characters() -> None:
    lines = logs._safe_lines(io.BytesIO(b"x" + "é".encode() * logs.PIECE_BYTES + b"\r\n\xc3\nend"))

    assert b"".join(lines).decode() == f"x{'é' * logs.PIECE_BYTES}\n\ufffd\nend\n"


def test_a_piece_that_fits_ends_its_line() -> None:
    log = io.BytesIO(b"wanted" + b"x" * logs.PIECE_BYTES + b"\nother\nalso wanted\n")

    first, second = logs._fitting(logs._safe_lines(log), re.compile("wanted"))

    assert (first[:7], first[-2:], second) == (b"wantedx", b"x\n", b"also wanted\n")


@pytest.mark.parametrize("option", ["--follow", "--tail=3", "--grep=x", "--raw"])
def test_options_of_lines_are_refused_where_no_lines_are_printed(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["logs", "r", "--json", option]) == 2
    assert "--json says only where the logs are" in capsys.readouterr().out


def test_a_log_that_is_removed_before_its_turn_is_named_and_the_others_are_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = StepLog("a", "s", 1, tmp_path / "s.1.log", 4)

    assert logs._print_log(log, None, None, raw=False) is False

    assert capfd.readouterr() == ("", f"{log.path} has been removed meanwhile\n")


def test_a_folder_in_the_place_of_a_log_is_named_and_is_no_bug(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS_ONCE)
    cli.env["GO"] = str(cli.folder / "go")
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    log = next(cli.state.parent.rglob("s.1.log"))
    log.unlink()
    log.mkdir()

    shown = cli.run("logs", "r")

    assert shown.code == 1
    assert shown.err == (
        f"error[AF003]: {log}: Is a directory\n    hint: there is a folder where a file should be\n"
    )
