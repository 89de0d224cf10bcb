"""Signals end a server and a run, also when a step swallows its cancellation or blocks the loop."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.cli.command_line import CommandLine, Running, flow, no_trace

IMPATIENT = """
from aetherflow import event_loop
from aetherflow.observe import time_order
from aetherflow.runs import execute_run, run_pool, stop_notices
from aetherflow.server import last_resort
run_pool.FORCE_SECONDS, run_pool.FORCES, last_resort.FORCED_END_SECONDS = 0.1, 3, {forced_end}
event_loop.CLOSE_SECONDS, time_order.HOLD_SECONDS = 0.5, 0.01
execute_run.FORCED_END_SECONDS = {{2: {forced_end}, 3: 0.5}}
stop_notices.HOOKS_SECONDS = execute_run.HOOKS_SECONDS = {hooks}
from aetherflow.__main__ import main
main()
"""
"""The command with less patience: the real one takes 30 s, 60 s, 10 s, 30 s for hooks, 0.3 s for the log."""

SWALLOWS = """
    while not pathlib.Path("let_go").exists():
        try:
            await anyio.sleep(0.05)
        except BaseException:
            pass
"""
BLOCKS = """
    try:
        await anyio.sleep_forever()
    finally:
        time.sleep(60)
"""
BLOCKED = """
    time.sleep(60)
"""
PLUGIN = """
import asyncio, os, pathlib, time
import anyio
from aetherflow import step

@step("stuck")
async def stuck(context, inputs):
    '''Ignore the cancellation.'''
    os.write(2, b"up\\n")
{body}
    return {{}}
"""
SCHEDULE = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"


def serve(cli: CommandLine, body: str, *, forced_end: float = 60.0) -> Running:
    """Start a server of one item whose step has this body, and wait until the step runs."""
    cli.write("scheduler.yaml", SCHEDULE)
    return start(cli, body, "serve", "scheduler.yaml", forced_end=forced_end)


def start(
    cli: CommandLine,
    body: str,
    *command: str,
    forced_end: float = 60.0,
    hooks: float = 30.0,
    head: str = "flow: {id: f}",
) -> Running:
    """Start a command for a flow whose step has this body, and wait until the step runs."""
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = "plugins"
    cli.write("flow.yaml", flow("- {id: s, type: stuck}", head))
    cli.write("plugins/stuck.py", PLUGIN.format(body=body))
    running = Running(
        subprocess.Popen(
            [
                *(sys.executable, "-c", IMPATIENT.format(forced_end=forced_end, hooks=hooks)),
                *(*command, "--log-format", "json"),
            ],
            cwd=cli.folder,
            env=cli.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    assert running.process.stderr is not None
    for line in running.process.stderr:
        if line == "up\n":
            return running
    raise AssertionError(f"the step never ran: {running.end()}")


def test_a_second_signal_ends_a_server_whose_step_swallows_its_cancellation(
    cli: CommandLine,
) -> None:
    with serve(cli, SWALLOWS) as server:
        run_id = server.event("step_started")["run_id"]
        server.send(signal.SIGTERM)
        server.event("schedule_notice", level="info")
        server.send(signal.SIGTERM)
        left = server.event("schedule_notice", level="error")
        done = server.end()

    assert done.code == 70, done
    assert no_trace(done)
    assert left["code"] == "AF659"
    assert left["message"] == (
        f"run {run_id} did not end (in step a.s, stuck); the server exits without it, "
        "and the next server resumes it as on_crash says"
    )
    cli.write("let_go", "")
    with serve(cli, SWALLOWS) as server:
        server.event("firing_taken_over", run_id=run_id)
        server.event("firing_finished", run_id=run_id, outcome="SUCCESS")
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert cli.query(f"SELECT status, attempt FROM runs WHERE run_id = '{run_id}'") == [("SUCCESS", 2)]


def test_a_second_signal_ends_a_server_whose_event_loop_is_blocked_after_it(
    cli: CommandLine,
) -> None:
    with serve(cli, BLOCKS, forced_end=0.5) as server:
        server.send(signal.SIGTERM)
        server.event("schedule_notice", level="info")
        server.send(signal.SIGTERM)
        done = server.end()

    assert done.code == 70, done
    assert done.err == (
        "error[AF659]: the server did not end within 0.5 s after a second signal; "
        "it exits now, and the next server resumes its runs as on_crash says\n"
    )


def test_a_second_signal_ends_a_server_whose_event_loop_was_blocked_before_the_first(
    cli: CommandLine,
) -> None:
    with serve(cli, BLOCKED, forced_end=0.5) as server:
        server.send_alone(signal.SIGTERM)
        server.send(signal.SIGTERM)
        done = server.end()

    assert done.code == 70, done
    assert done.err.startswith("error[AF659]: the server did not end within 0.5 s after a second signal")


def test_a_third_signal_ends_a_run_whose_event_loop_was_blocked_before_the_first(cli: CommandLine) -> None:
    with start(cli, BLOCKED, "run", "flow.yaml", "--run-id", "r") as run:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            run.send_alone(number)
        done = run.end()

    assert done.code == 70, done
    assert done.err.startswith("error[AF659]: run r did not end within 0.5 s after a third signal")


def test_a_third_signal_ends_a_run_whose_step_swallows_its_cancellation(cli: CommandLine) -> None:
    with start(cli, SWALLOWS, "run", "flow.yaml", "--run-id", "r") as run:
        run.event("step_started")
        run.send(signal.SIGINT)
        run.event("cancel_requested")
        run.send(signal.SIGINT)
        run.send(signal.SIGINT)
        run.send(signal.SIGTERM)
        done = run.end()

    assert done.code == 70, done
    assert done.err == (
        "error[AF659]: run r did not end within 0.5 s after a third signal; the process exits now, "
        f"and aetherflow runs retry r --state {cli.state} resumes the run\n"
    )
    cli.write("let_go", "")
    assert cli.run("runs", "retry", "r", "--state", str(cli.state)).code == 0
