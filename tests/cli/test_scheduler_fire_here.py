"""`scheduler fire --here`: its exit codes, its output, and what is said when the one before died."""

from __future__ import annotations

import json
import re
import shlex
import signal

import pytest

from tests.cli.command_line import OK, WAITS, CommandLine
from tests.polling import wait_until

NEVER = "version: 1\nid: night\nitems:\n- {id: a, at: '2099-01-01T00:00', flow_yaml: flow.yaml}\n"
FIRE = ("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_gives_the_exit_code(cli: CommandLine, number: signal.Signals) -> None:
    cli.write("flow.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "never")))
    cli.write("scheduler.yaml", NEVER)
    with cli.start(*FIRE, "--log-format", "json") as process:
        process.event("step_output")
        process.send(number)
        done = process.end()
    assert done.code == 128 + number, done
    assert "a: CANCELLED (run " in done.out


def test_the_report_is_alone_on_standard_output(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", NEVER)
    wrong = cli.run(*FIRE, "--json", "--log-format", "json")
    assert (wrong.code, wrong.err) == (2, "")
    assert "both write to standard output" in wrong.json()["error"]["message"]
    done = cli.run(*FIRE, "--json", env={"AETHERFLOW_LOG_FORMAT": "json"})
    assert done.code == 0, done
    assert json.loads(done.out)["outcome"] == "SUCCESS"


def test_a_run_whose_process_died_is_gone_on_with_by_retry(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    cli.write("scheduler.yaml", NEVER)
    with cli.start(*FIRE, "--log-format", "json") as process:
        run_id = process.event("step_output")["run_id"]
        process.process.kill()
        process.end()
    wait_until(lambda: cli.run("runs", "list", "--status", "INTERRUPTED", "--json").json()["runs"] != [])
    held = cli.run(*FIRE)
    assert (held.code, "resume it: aetherflow runs retry RUN" in held.err) == (75, True)
    (cli.folder / "go").touch()
    assert cli.run("runs", "retry", run_id).code == 0
    assert cli.run(*FIRE).code == 0


@pytest.mark.parametrize("rule", ["skip", "queue"])
def test_a_lock_that_is_held_is_an_exit_code_and_leaves_no_firing_behind(cli: CommandLine, rule: str) -> None:
    """Nobody else was asked to run it: no server may do so later, unasked."""
    locked = WAITS.replace("{{env.GO}}", str(cli.folder / "go")).replace(
        "{id: f", "{id: f, locks: {scope: flow}"
    )
    assert "scope: flow" in locked
    cli.write("flow.yaml", locked)
    cli.write("scheduler.yaml", NEVER.replace("flow_yaml", f"overlap: {rule}, flow_yaml"))
    with cli.start("run", "flow.yaml", "--log-format", "json") as process:
        process.event("step_output")
        held = cli.run(*FIRE, "--json")
        (cli.folder / "go").touch()
        assert process.end().code == 0
    assert (held.code, held.json()["outcome"]) == (75, "SKIPPED"), held
    assert "one run of the flow" in held.json()["reason"]
    assert cli.query("SELECT outcome FROM firings WHERE finished_at IS NOT NULL") == [("SKIPPED",)]
    assert cli.run(*FIRE).code == 0


def test_a_firing_without_a_server_sends_the_messages_of_the_scheduler_file_once(cli: CommandLine) -> None:
    check = "steps: [{id: s, type: external.process, inputs: {command: [test, -e, ok], cwd: flow}}]"
    cli.write("flow.yaml", f"version: 1\nflow: {{id: f}}\njobs: [{{id: j, {check}}}]\n")
    send = """{to: command, command: [sh, -c, 'echo "$AETHERFLOW_NOTIFY_SUBJECT" >> inbox']}"""
    cli.write("scheduler.yaml", f"{NEVER}notify: [{send}]\n")
    assert [cli.run(*FIRE).code for _ in range(2)] == [1, 1]
    (cli.folder / "ok").touch()
    assert [cli.run(*FIRE).code for _ in range(2)] == [0, 0]
    failed, recovered = (cli.folder / "inbox").read_text().splitlines()
    assert failed == "[FAILED] a (f): j.s: AF732 exit code 1: test -e ok"
    assert recovered.startswith("[RECOVERED] a (f): its run succeeded, after a failure reported ")


def test_a_second_signal_cuts_off_a_message_about_a_firing(cli: CommandLine) -> None:
    cli.write("flow.yaml", "version: 1\nflow: {id: f}\njobs: [{id: a}]\n")
    send = "{to: command, command: [sh, -c, 'touch began; sleep 60']}"
    cli.write("scheduler.yaml", f"{NEVER}notify: [{send}]\n")
    with cli.start(*FIRE, "--log-format", "json") as process:
        wait_until((cli.folder / "began").exists)
        process.send(signal.SIGINT)
        said = process.event("schedule_notice")["message"]
        process.send(signal.SIGINT)
        ended = process.event("run_summary")
        done = process.end()
    assert said == "Ctrl-C: the run has ended, its messages are sent; Ctrl-C again cuts them off"
    assert (ended["flow_id"], ended["status"]) == ("night.on_late", "CANCELLED")
    assert (done.code, "a: FAILED" in done.out) == (1, True), done


@pytest.mark.parametrize("state", [(), ("--state", "firings.sqlite")])
def test_the_explanation_names_a_command_that_finds_the_run(cli: CommandLine, state: tuple[str, ...]) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", "version: 1\nitems: [{id: a, cron: '0 4 * * *', flow_yaml: flow.yaml}]\n")
    file = ("--file", "scheduler.yaml", *state)
    assert cli.run("scheduler", "fire", "a", "--here", *file).code == 0
    shown = cli.run("scheduler", "explain", "a", "today", *file).out
    (more,) = re.findall(r"more: aetherflow (runs show .+)", shown)
    assert ("--flow-yaml" in more) == bool(state)
    assert "SUCCESS" in cli.run(*shlex.split(more)).out
