"""What a server that stops shows: in the log, in `scheduler status` and to systemd; with a real process."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path
from typing import Self

from tests.cli.command_line import SECONDS, CommandLine, Running, flow
from tests.polling import wait_until

WAITS = flow(
    """
- id: s
  type: external.process
  inputs: {command: [sh, -c, "trap '' TERM; echo up; until [ -e $GO ]; do sleep .05; done"]}
"""
)
BOTH = "1 run is cancelled, 1 run is left to the next server"
SCHEDULE = """version: 1
id: night
timezone: Europe/Berlin
shutdown_grace_seconds: {grace}
items:
- {{id: a, interval_seconds: 1, flow_yaml: flow.yaml}}
- {{id: b, interval_seconds: 1, flow_yaml: flow.yaml, on_stop: resume}}
"""


class Systemd:
    """What a server says to systemd."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self.socket.bind(self.name)
        self.socket.settimeout(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def hear(self, wanted: str) -> str:
        """Return the next message that has this text."""
        while wanted not in (said := self.socket.recv(4096).decode()):
            pass
        return said


def drained(cli: CommandLine, systemd: Systemd, grace: int) -> Running:
    """Start a server, and stop it while a run of each item executes."""
    cli.env |= {"GO": str(cli.folder / "go"), "NOTIFY_SOCKET": systemd.name}
    cli.write("flow.yaml", WAITS)
    cli.write("scheduler.yaml", SCHEDULE.format(grace=grace))
    server = cli.start("serve", "scheduler.yaml", "--log-format", "json")
    server.event("step_output", text="up")
    server.event("step_output", text="up")
    server.send(signal.SIGTERM)
    return server


def test_a_drain_is_shown_in_the_log_in_the_status_and_to_systemd(cli: CommandLine, tmp_path: Path) -> None:
    with Systemd(tmp_path) as systemd, drained(cli, systemd, 300) as server:
        said = server.event("schedule_notice")["message"]
        assert said.startswith("the server stops: 2 runs may take 300 s to end, until ")
        assert said.endswith(
            "Z, then 1 run is cancelled, 1 run is left to the next server; "
            "a second signal does it at once and kills the programs"
        )
        message = systemd.hear("STOPPING=1")
        assert "STATUS=stopping: 2 runs may take until " in message
        assert "EXTEND_TIMEOUT_USEC=375000000" in message
        wait_until(lambda: cli.query("SELECT count(drains_until) FROM schedulers") == [(1,)])
        shown = cli.run("scheduler", "status").out
        assert re.search(r": stopping: its runs may take until 20\S+\+0[12]:00 \(in \d", shown), shown
        status = cli.run("scheduler", "status", "--json").json()["schedulers"][0]
        assert status["servers"][0]["state"] == "stopping"
        assert status["servers"][0]["drains_until"].endswith("Z")
        server.send(signal.SIGTERM)
        assert server.event("schedule_notice")["message"] == (
            f"{BOTH}; their programs are killed; the server ends within 60 s"
        )
        assert server.end().code == 143
    ends = cli.query("SELECT item_id, outcome FROM firings WHERE started_at IS NOT NULL ORDER BY item_id")
    assert ends == [("a", "CANCELLED"), ("b", "QUEUED")]


def test_the_end_of_the_time_of_a_drain_is_shown(cli: CommandLine, tmp_path: Path) -> None:
    with Systemd(tmp_path) as systemd, drained(cli, systemd, 1) as server:
        server.event("schedule_notice")
        assert server.event("schedule_notice")["message"] == f"the time is over: {BOTH}"
        systemd.hear(f"STATUS=stopping: {BOTH}")
        assert ": stopping: the time of its runs is over" in cli.run("scheduler", "status").out
        server.send(signal.SIGTERM)
        assert server.end().code == 143


def test_a_server_whose_runs_end_in_time_says_no_more(cli: CommandLine, tmp_path: Path) -> None:
    with Systemd(tmp_path) as systemd, drained(cli, systemd, 60) as server:
        server.event("schedule_notice")
        cli.write("go", "")
        systemd.hear("STATUS=stopping: nothing runs")
        done = server.end()
    assert done.code == 143
    assert "the time is over" not in done.out
