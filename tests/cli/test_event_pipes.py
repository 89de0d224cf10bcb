"""`--events` to named pipes that nobody reads, or late, and to what is no file: a run never hangs on them."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, flow, no_trace
from tests.cli.test_serve import EVERY_SECOND

WAITS_FOR_GO = flow(
    "- {id: s, type: external.process, inputs: {command: [sh, -c, 'until test -e GO; do sleep 0.02; done']}}"
)


@pytest.fixture
def pipe(cli: CommandLine) -> Path:
    path = cli.folder / "events"
    os.mkfifo(path)
    return path


@pytest.mark.usefixtures("pipe")
@pytest.mark.parametrize("options", [(), ("--log-format", "json")])
def test_a_run_whose_pipe_nobody_reads_ends_and_reports_the_loss(
    cli: CommandLine, options: tuple[str, ...]
) -> None:
    cli.write("flow.yaml", OK)

    done = cli.run("run", "flow.yaml", "--events", "events", *options)

    assert (done.code, no_trace(done)) == (0, True), done
    assert f"events were lost: nobody read the pipe {cli.folder}/events in time" in done.err
    assert cli.query("select status from runs") == [("SUCCESS",)]


def test_a_reader_that_comes_during_the_run_gets_all_events(cli: CommandLine, pipe: Path) -> None:
    cli.write("flow.yaml", WAITS_FOR_GO.replace("GO", str(cli.folder / "go")))
    with cli.start("run", "flow.yaml", "--log-format", "json", "--events", "events") as run:
        run.event("step_started")
        with pipe.open("rb") as reader:
            (cli.folder / "go").touch()
            events = [json.loads(line)["event"] for line in reader]
        assert run.end().code == 0
    assert (events[0], events[-1]) == ("run_started", "run_summary")


def test_a_shell_may_give_the_pipe_of_another_program(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    done = cli.bash(
        "aetherflow run flow.yaml --events >(cat >got) && until grep -q run_summary got; do sleep 0.05; done"
    )

    assert (done.code, no_trace(done)) == (0, True), done


def test_a_server_whose_pipe_nobody_reads_serves_warns_and_gives_a_late_reader_its_events(
    cli: CommandLine, pipe: Path
) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json", "--events", "events") as server:
        warning = server.event("notice", level="warning")["message"]
        server.event("firing_finished", outcome="SUCCESS")
        with pipe.open("rb") as reader:
            names = {json.loads(reader.readline())["event"] for _ in range(5)}
        server.event("firing_finished", outcome="SUCCESS")  # the reader has left
        server.send(signal.SIGTERM)
        done = server.end()
    assert (done.code, no_trace(done)) == (143, True), done
    assert f"nobody reads the pipe {pipe}" in warning
    assert "schedule_loaded" in names
    assert "events were lost: nobody read the pipe" in done.err


def test_what_is_no_file_is_refused_before_the_run(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(cli.folder / "socket"))
    (cli.folder / "folder").mkdir()

    for target, reason in {"socket": "it is a socket", "folder": "Is a directory"}.items():
        done = cli.run("run", "flow.yaml", "--events", target)
        assert (done.code, no_trace(done)) == (2, True), done
        assert f"error[AF002]: cannot write events to {cli.folder}/{target}: {reason}" in done.err
    assert not cli.state.exists()


def test_a_full_device_loses_the_events_and_not_the_run(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)

    done = cli.run("run", "flow.yaml", "--events", "/dev/full")

    assert done.code == 0
    assert "cannot write to /dev/full: No space left on device" in done.err
