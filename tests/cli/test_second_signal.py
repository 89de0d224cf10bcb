"""A second signal ends a server and a run within a bounded time, whatever holds them; with real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.cli.command_line import SECONDS, CommandLine, flow, lives, no_trace
from tests.cli.test_stuck_runs import SCHEDULE, SWALLOWS, serve, start
from tests.polling import wait_until

LEAVES_TASK = """
    async def never():
        while True:
            try:
                await anyio.sleep(0.1)
            except BaseException:
                pass
    global task
    task = asyncio.get_running_loop().create_task(never())
"""
LEAVES_THREAD = """
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
"""
BLOCKS_AT_THE_END = """
    async def never():
        try:
            await anyio.sleep_forever()
        finally:
            pathlib.Path("blocks").touch()
            time.sleep(600)
    global task
    task = asyncio.get_running_loop().create_task(never())
"""
WAITS = """
    while not pathlib.Path("let_go").exists():
        await anyio.sleep(0.05)
"""
SHIELDED = """
    with anyio.CancelScope(shield=True):
        while not pathlib.Path("let_go").exists():
            await anyio.sleep(0.05)
"""
LEFT = "code of a step did not end within 0.5 s after the command, which ends without it\n"


@pytest.mark.parametrize("leaves", [LEAVES_TASK, LEAVES_THREAD])
def test_a_run_ends_although_a_step_has_left_a_task_or_a_thread(cli: CommandLine, leaves: str) -> None:
    with start(cli, leaves, "run", "flow.yaml", "--run-id", "r") as run:
        done = run.end()

    assert (done.code, done.err) == (0, LEFT)
    assert done.lines()[-1]["status"] == "SUCCESS"


def test_an_item_that_is_fired_here_ends_although_a_step_has_left_a_task(cli: CommandLine) -> None:
    cli.write("scheduler.yaml", SCHEDULE)
    fire = ("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")
    with start(cli, LEAVES_TASK, *fire) as fired:
        done = fired.end()

    assert (done.code, done.err) == (0, LEFT), done


def test_a_second_signal_ends_an_item_that_is_fired_here_and_swallows_its_cancellation(
    cli: CommandLine,
) -> None:
    cli.write("scheduler.yaml", SCHEDULE)
    fire = ("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")
    with start(cli, SWALLOWS, *fire, forced_end=1.0) as fired:
        for _ in range(2):
            fired.send_alone(signal.SIGTERM)
        done = fired.end()

    assert done.code == 70, done


def test_a_second_signal_ends_a_run_whose_last_task_blocks_the_loop_when_the_run_is_over(
    cli: CommandLine,
) -> None:
    body = BLOCKS_AT_THE_END + SHIELDED
    with start(cli, body, "run", "flow.yaml", "--run-id", "r", forced_end=10.0) as run:
        for _ in range(2):
            run.send(signal.SIGTERM)
            run.event("notice", level="warning")
        (cli.folder / "let_go").touch()
        done = run.end()

    assert done.code == 0, done
    assert done.err == (
        "warning[AF121]: the process did not end within 10 s after a second signal, although its work is "
        "over: its event loop, a thread or its output is blocked; it exits now\n"
    )
    assert cli.query("SELECT status FROM runs") == [("SUCCESS",)]


def test_a_second_signal_ends_a_server_that_is_over_but_whose_loop_is_blocked(cli: CommandLine) -> None:
    with serve(cli, BLOCKS_AT_THE_END + SHIELDED, forced_end=10.0) as server:
        for _ in range(2):
            server.send(signal.SIGTERM)
            server.event("schedule_notice", level="info")
        (cli.folder / "let_go").touch()
        done = server.end()

    assert done.code == 143, done
    assert "warning[AF121]: the process did not end within 10 s after a second signal" in done.err


def test_one_more_signal_ends_a_process_at_once_whose_work_is_over(cli: CommandLine) -> None:
    body = f"{BLOCKS_AT_THE_END}    await anyio.sleep(0.1)\n"
    with start(cli, body, "run", "flow.yaml", "--run-id", "r") as run:
        run.event("run_summary")
        wait_until((cli.folder / "blocks").exists)
        run.send(signal.SIGTERM)
        done = run.end()

    assert (done.code, done.err) == (0, "")


def test_a_second_signal_ends_a_run_whose_step_swallows_its_cancellation(cli: CommandLine) -> None:
    with start(cli, SWALLOWS, "run", "flow.yaml", "--run-id", "r", forced_end=0.7) as run:
        run.event("step_started")
        for _ in range(2):
            run.send_alone(signal.SIGINT)
        done = run.end()

    assert done.code == 70, done
    assert done.err.startswith(
        "error[AF659]: run r did not end within 0.7 s after a second signal; the process"
    )


def test_hooks_are_cut_off_some_time_after_a_second_signal(cli: CommandLine) -> None:
    hooks = "[{id: h, type: external.process, inputs: {command: [sleep, '600']}}, {id: i, type: stuck}]"
    head = f"flow: {{id: f, on_exit: {hooks}}}"
    with start(cli, SHIELDED, "run", "flow.yaml", "--run-id", "r", hooks=5.0, head=head) as run:
        for _ in range(2):
            run.send(signal.SIGTERM)
            said = run.event("notice")["message"]
        (cli.folder / "let_go").touch()
        done = run.end()

    assert "the programs are killed, then on_exit runs for at most 5 s; a third signal" in said
    assert (done.code, done.err) == (0, ""), done  # the jobs had succeeded
    assert cli.query("SELECT DISTINCT status FROM step_state WHERE job_id = '@on_exit'") == [("CANCELLED",)]


STUBBORN = flow(
    """
- id: s
  type: external.process
  inputs:
    command: [bash, -c, "trap '' TERM INT; echo $$; while :; do sleep 0.1; done"]
    kill_grace_seconds: 600
"""
)


def test_a_second_signal_ends_a_server_with_a_child_that_ignores_sigterm(cli: CommandLine) -> None:
    cli.write("flow.yaml", STUBBORN)
    cli.write("scheduler.yaml", SCHEDULE)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        child = int(server.event("step_output")["text"])
        server.send(signal.SIGTERM)
        server.event("schedule_notice", level="info")
        assert lives(child)
        server.send(signal.SIGTERM)
        done = server.end()

    assert done.code == 143, done
    assert no_trace(done)
    assert not lives(child)


def test_a_second_signal_ends_a_server_whose_database_is_locked(cli: CommandLine) -> None:
    with serve(cli, WAITS) as server:
        server.event("step_started")
        with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            server.send_alone(signal.SIGTERM)
            began = time.monotonic()
            server.send(signal.SIGTERM)
            done = server.end()

    assert time.monotonic() - began < 15
    assert done.code in (143, 70), done
    assert no_trace(done)


def open_files(pid: int) -> list[str]:
    """Return the paths of the files that a process has open."""
    paths = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            paths.append(str(descriptor.readlink()))
    return paths


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_a_server_that_waits_for_a_locked_database_at_its_start(
    cli: CommandLine, signals: int
) -> None:
    cli.write("flow.yaml", STUBBORN)
    cli.write("scheduler.yaml", SCHEDULE.replace("interval_seconds: 1", "at: '2099-01-01T00:00'"))
    with cli.start("serve", "scheduler.yaml") as server:
        wait_until(lambda: bool(cli.state.exists() and cli.query("SELECT 1 FROM sqlite_master")))
        server.send(signal.SIGTERM)
        server.end()
    with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with cli.start("serve", "scheduler.yaml") as server:
            wait_until(lambda: str(cli.state) in open_files(server.pid))
            time.sleep(0.5)  # until it waits for the lock
            for _ in range(signals):
                server.send(signal.SIGTERM)
            done = server.end()

    assert done.code == 143, done
    assert no_trace(done)


def test_a_server_does_not_wait_for_a_file_which_never_ends(cli: CommandLine) -> None:
    holidays = cli.folder / "holidays.ics"
    os.mkfifo(holidays)
    cli.write("flow.yaml", STUBBORN)
    cli.write(
        "scheduler.yaml",
        "version: 1\ncalendars: {c: {holidays: holidays.ics}}\n"
        "items:\n- {id: a, cron: '@daily', calendar: c, flow_yaml: flow.yaml}\n",
    )
    done = cli.run("serve", "scheduler.yaml")

    assert (done.code, "AF577" in done.err) == (2, True), done
    assert no_trace(done)


def test_a_second_signal_ends_a_server_whose_output_nobody_reads(cli: CommandLine) -> None:
    loud = flow(
        "- {id: s, type: external.process, inputs: {command: [sh, -c, 'while :; do echo loud; done']}}"
    )
    cli.write("flow.yaml", loud)
    cli.write("scheduler.yaml", SCHEDULE)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        server.event("step_output")
        time.sleep(0.5)  # until its output is full
        server.send_alone(signal.SIGTERM)
        server.send(signal.SIGTERM)
        assert server.process.wait(SECONDS) == 143
