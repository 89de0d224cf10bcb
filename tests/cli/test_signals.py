"""Ctrl-C and SIGTERM: the exit code, the state, and no process left, whatever the children do."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import (
    OK,
    SECONDS,
    WAITS,
    CommandLine,
    Running,
    flow,
    has_place,
    lives,
    no_trace,
)
from tests.polling import wait_until

TREE = flow(
    """
- id: s
  type: external.process
  inputs:
    command:
      - bash
      - -c
      - "sleep 300 & echo $!; setsid sleep 300 & echo $!; (sleep 300) & echo $!; echo $$; echo up; wait"
"""
)
STUBBORN = flow(
    """
- id: s
  type: external.process
  inputs:
    command: [bash, -c, "trap '' TERM INT; echo $$; echo up; while :; do sleep 0.1; done"]
    kill_grace_seconds: 600
"""
)
BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

pytestmark = pytest.mark.usefixtures("cold_start")


def _children(run: Running) -> list[int]:
    """Read the process ids that the step says, until it says `up`."""
    pids = []
    while (text := run.event("step_output")["text"]) != "up":
        pids.append(int(text))
    assert pids
    assert all(map(lives, pids))
    return pids


@pytest.mark.parametrize(("number", "code"), BOTH)
def test_a_signal_cancels_the_run_and_ends_its_whole_tree(
    cli: CommandLine, number: signal.Signals, code: int
) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start("run", "flow.yaml", "--run-id", "t", "--log-format", "json") as run:
        children = _children(run)
        run.send(number)
        result = run.end()

    assert [pid for pid in children if lives(pid)] == []
    assert result.code == code
    assert result.err == ""
    assert result.lines()[-1]["status"] == "CANCELLED"
    assert cli.query("select status, reason from runs") == [("CANCELLED", number.name)]
    assert cli.query("select status from step_state") == [("CANCELLED",)]


@pytest.mark.parametrize(("number", "code"), BOTH)
def test_a_second_signal_does_not_wait_for_a_child_that_resists(
    cli: CommandLine, number: signal.Signals, code: int
) -> None:
    cli.write("flow.yaml", STUBBORN)
    with cli.start("run", "flow.yaml", "--log-format", "json") as run:
        children = _children(run)
        run.send(number)
        again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        assert run.event("notice")["message"] == (
            f"{name}: the run stops; its programs get SIGTERM, and SIGKILL after 600 s; "
            f"{again} kills the programs at once"
        )
        cancelled_at = run.event("cancel_requested")["timestamp"]
        waiting = run.event("notice")
        assert waiting["message"].startswith(
            "the run has not ended yet: a program is killed when its kill_grace"
        )
        assert waiting["timestamp"] > cancelled_at
        assert all(map(lives, children))
        run.send(number)
        result = run.end()

    assert [pid for pid in children if lives(pid)] == []
    assert result.code == code
    assert "the programs are killed; a third " in result.out
    assert "ends this process within 10 s, and the run can be resumed" in result.out
    assert no_trace(result)
    assert cli.query("select status from runs") == [("CANCELLED",)]


def test_a_cancelled_run_can_be_resumed(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start("run", "flow.yaml", "--run-id", "t", "--log-format", "json") as run:
        _children(run)
        run.send(signal.SIGTERM)
        run.end()
    cli.write("flow.yaml", OK)

    result = cli.run("run", "flow.yaml", "--run-id", "t")

    assert result.code == 0, result
    assert "runs again: a.s (CANCELLED)" in result.err
    assert cli.query("select status from runs") == [("SUCCESS",)]


def test_ctrl_c_while_a_module_of_settings_is_loaded_ends_without_a_word_too_many(cli: CommandLine) -> None:
    slow = (
        "import pathlib, time\npathlib.Path('loading').touch()\nwhile True: time.sleep(0.02)\nSETTINGS = {}\n"
    )
    cli.write("slow.py", slow)
    cli.write("flow.yaml", OK)
    cli.env |= {"AETHERFLOW_SETTINGS_MODULE": "slow", "PYTHONPATH": str(cli.folder)}
    with cli.start("run", "flow.yaml") as run:
        wait_until((cli.folder / "loading").exists)
        run.send(signal.SIGINT)
        result = run.end()

    assert result.code == 130
    assert no_trace(result)
    assert not cli.state.exists()


def test_ctrl_c_while_the_command_line_is_imported_has_no_traceback(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['aetherflow', 'steps', 'list']\n"
        "from aetherflow.__main__ import main\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_run_id_is_executed_by_one_process_and_the_other_is_reported_by_which(cli: CommandLine) -> None:
    go = cli.folder / "go"
    cli.env["GO"] = str(go)
    cli.write("flow.yaml", WAITS)
    options = ("run", "flow.yaml", "--run-id", "one", "--log-format", "json")
    with cli.start(*options) as first, cli.start(*options) as second:
        wait_until(lambda: first.process.poll() is not None or second.process.poll() is not None)
        loser, winner = (first, second) if first.process.poll() is not None else (second, first)
        refused = loser.end()
        winner.event("step_output", text="up")
        go.touch()
        result = winner.end()

    assert refused.code == 75, refused
    assert refused.out == ""
    assert "error[AF610]: run one is being executed by process" in refused.err
    assert f"end it (aetherflow runs cancel one --state {cli.state})" in refused.err
    assert f"process {winner.pid} on " in refused.err
    assert result.code == 0
    assert cli.query("select status, attempt from runs") == [("SUCCESS", 1)]
    assert cli.query("select count(*) from events where event = 'step_started'") == [(1,)]


def test_an_error_of_the_flow_names_its_file_also_when_it_is_a_pipe(cli: CommandLine) -> None:
    result = cli.bash("aetherflow validate <(echo 'a: [')")

    assert result.code == 2
    assert has_place(result.err, "/dev/fd/63", "2:1", "AF103"), result.err
