"""`runs cancel` from another process: the run ends as with Ctrl-C, its children are gone."""

from __future__ import annotations

import signal

import pytest

from tests.cli.command_line import OK, CommandLine, Running, flow, lives, no_trace
from tests.polling import wait_until

TREE = flow(
    """
- id: s
  type: external.process
  inputs: {command: [bash, -c, "sleep 300 & echo $!; setsid sleep 300 & echo $!; echo $$; echo up; wait"]}
"""
)
RUN = ("run", "flow.yaml", "--run-id", "t", "--log-format", "json")


def _children(run: Running) -> list[int]:
    """Read the process ids that the step says, until it says `up`."""
    pids = []
    while (text := run.event("step_output")["text"]) != "up":
        pids.append(int(text))
    assert len(pids) == 3
    assert all(map(lives, pids))
    return pids


def test_a_run_is_cancelled_from_another_process_and_its_children_are_gone(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        children = _children(run)
        asked = cli.run("runs", "cancel", "t")
        result = run.end()

    assert (asked.code, asked.err) == (0, "")
    assert asked.out.startswith(f"run t: cancel requested; process {run.pid} on ")
    assert [pid for pid in children if lives(pid)] == []
    assert (result.code, result.err) == (130, "")
    assert cli.query("select status, reason from runs") == [("CANCELLED", "runs cancel")]
    assert cli.query("select status from step_state") == [("CANCELLED",)]
    assert cli.query("select count(*) from events where event = 'cancel_requested'") == [(1,)]


def test_with_wait_the_command_ends_when_the_run_has_ended(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        children = _children(run)
        asked = cli.run("runs", "cancel", "t", "--wait", "--flow-yaml", "flow.yaml", "--json")
        left = [pid for pid in children if lives(pid)]
        result = run.end()

    assert asked.code == 0, asked
    assert asked.json()["status"] == "CANCELLED"
    assert asked.json()["executed_by"].startswith(f"process {run.pid} on ")
    assert left == []
    assert result.code == 130


def test_without_wait_no_status_is_promised(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        _children(run)
        asked = cli.run("runs", "cancel", "t", "--json")
        run.end()

    assert asked.json()["run_id"] == "t"
    assert asked.json()["status"] is None


def test_a_cancelled_run_is_resumed_and_the_old_request_is_forgotten(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        _children(run)
        cli.run("runs", "cancel", "t", "--wait")
        run.end()
    slow = flow("- {id: s, type: external.process, inputs: {command: [sleep, '2.5']}}")
    cli.write("flow.yaml", slow)  # longer than the process takes to look for a request

    result = cli.run("run", "flow.yaml", "--run-id", "t")

    assert result.code == 0, result
    assert cli.query("select status, attempt from runs") == [("SUCCESS", 2)]


def test_a_run_that_has_ended_cannot_be_cancelled(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run(*RUN).code == 0

    result = cli.run("runs", "cancel", "t")

    assert (result.code, result.out) == (2, "")
    assert "run t is not being executed: it is SUCCESS" in result.err
    assert cli.query("select status from runs") == [("SUCCESS",)]


def test_a_run_whose_process_was_killed_is_reported_as_interrupted(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        children = _children(run)
        run.send(signal.SIGKILL)
        run.end()
    wait_until(lambda: not any(map(lives, children)))

    result = cli.run("runs", "cancel", "t", "--wait")

    assert result.code == 2
    assert "run t is not being executed: it is INTERRUPTED" in result.err


def test_a_run_that_dies_while_it_is_cancelled_does_not_keep_the_command_waiting(cli: CommandLine) -> None:
    cli.write("flow.yaml", TREE)
    with cli.start(*RUN) as run:
        _children(run)
        run.send(signal.SIGSTOP)
        with cli.start("runs", "cancel", "t", "--wait") as asking:
            wait_until(lambda: cli.query("select cancel_reason from leases") == [("runs cancel",)])
            run.send(signal.SIGKILL)
            run.end()
            result = asking.end()

    assert result.code == 0, result
    assert result.out.splitlines()[-1] == "run t: INTERRUPTED"


@pytest.mark.parametrize("option", [(), ("--wait",), ("--json",)])
def test_a_run_that_nobody_knows_is_refused(cli: CommandLine, option: tuple[str, ...]) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run(*RUN).code == 0

    result = cli.run("runs", "cancel", "nobody", *option)

    assert result.code == 2
    if "--json" in option:
        assert result.err == ""
        assert result.json()["error"]["message"].startswith("there is no run 'nobody' in ")
    else:
        assert result.out == ""
        assert "error[AF002]: there is no run 'nobody' in " in result.err
    assert no_trace(result)
