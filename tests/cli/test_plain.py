"""What a terminal gets: lines without the tree and without colours, where the user wants that."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress

import pytest

from tests import warm_start
from tests.cli.command_line import AETHERFLOW, SECONDS, CommandLine

LINE = r"printf '\033[32mgreen\033[0m \033[2Jx\n'"
FLOW = f"""
version: 1
flow: {{id: f}}
jobs:
- id: a
  steps:
  - {{id: s, type: external.process, inputs: {{command: [sh, -c, "{LINE.replace(chr(92), chr(92) * 2)}"]}}}}
"""
SCHEDULE = "version: 1\nitems:\n- {id: i, cron: '@daily', flow_yaml: flow.yaml}\n"
FIRE = ("scheduler", "fire", "i", "--file", "scheduler.yaml", "--here")


def on_terminal(cli: CommandLine, *arguments: str, **env: str) -> str:
    """Return what a command writes to a terminal that is its standard error."""
    ours, theirs = os.openpty()
    process = warm_start.Popen(
        [AETHERFLOW, *arguments],
        cwd=cli.folder,
        env={**cli.env, "TERM": "xterm", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    with suppress(OSError):  # Linux says EIO when the last one has closed the terminal
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    assert process.wait(SECONDS) == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("options", "env"), [(["--plain"], {}), ([], {"TERM": "dumb"}), (["--plain"], {"NO_COLOR": ""})]
)
def test_a_plain_terminal_gets_lines_without_colours_and_short_times(
    cli: CommandLine, options: list[str], env: dict[str, str]
) -> None:
    cli.write("flow.yaml", FLOW)

    shown = on_terminal(cli, "run", "flow.yaml", "--run-id", "r", *options, **env)

    assert "\x1b" not in shown
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", line) for line in shown.splitlines()]
    assert "TIME INFO  a.s | green x" in lines
    assert re.fullmatch(
        r"TIME INFO  run r of f  SUCCESS in \d\.\d\d s; jobs: 1 SUCCESS; steps: 1 SUCCESS", lines[-1]
    )
    assert all(line.startswith("TIME ") for line in lines)


@pytest.mark.parametrize(
    ("options", "env", "seen"),
    [
        ([], {}, "\x1b[32mgreen\x1b[0m x\x1b[0m\n"),
        ([], {"NO_COLOR": "1"}, "green x\n"),
        (["--plain"], {}, "green x\n"),
        ([], {"TERM": "dumb"}, "green x\n"),
    ],
)
def test_colours_of_programs_pass_to_a_terminal_that_wants_them(
    cli: CommandLine, options: list[str], env: dict[str, str], seen: str
) -> None:
    cli.write("flow.yaml", FLOW)
    cli.write("scheduler.yaml", SCHEDULE)

    shown = on_terminal(cli, *FIRE, *options, **env)

    assert f"a.s | {seen}" in shown
    assert "\x1b[2J" not in shown


def test_what_is_no_terminal_gets_a_line_per_event_with_date_and_offset(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    cli.env["TZ"] = "Asia/Kolkata"

    done = cli.run("run", "flow.yaml", "--run-id", "r")

    lines = done.err.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:30 INFO  ", line) for line in lines), lines
    assert len(lines) == 7
    assert "a.s | green x" in done.err
