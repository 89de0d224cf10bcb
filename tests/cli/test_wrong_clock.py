"""Two processes of `aetherflow serve` on one database, one with a clock that is an hour ahead."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aetherflow._version import __version__
from tests.cli.command_line import OK, CommandLine, Running, no_trace
from tests.polling import wait_until

EVERY_SECOND = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"
HOUR = 3660
"""An hour and a minute: a second more or less changes neither the hours nor the first digits in seconds."""

SHIFTED = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from aetherflow.__main__ import main
from aetherflow.clock import SystemClock
shift, new_id = Path(sys.argv.pop(1)), SystemClock.new_id
SystemClock.now = lambda self: datetime.now(UTC) + timedelta(seconds=float(shift.read_text()))
SystemClock.new_id = lambda self: f"z{new_id(self)}"
main()
"""
"""`aetherflow` whose clock is ahead by the seconds in a file; of two that are equally old it counts less."""


def serve_after(first: Running, cli: CommandLine, shift: Path) -> Running:
    """Start `aetherflow serve` with a clock that the file shifts, when the first one serves."""
    first.event("schedule_loaded")
    return Running(
        subprocess.Popen(
            [sys.executable, "-c", SHIFTED, str(shift), "serve", "scheduler.yaml", "--log-format", "json"],
            cwd=cli.folder,
            env=cli.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )


def later() -> str:
    """Return a time that no tick has yet."""
    return f"{datetime.now(UTC) + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"


def status(cli: CommandLine) -> dict[str, dict[str, Any]]:
    """Return what `scheduler status` reports about the servers, by their process."""
    found = cli.run("scheduler", "status", "--json").json()["schedulers"]
    return {server["owner"]: server for one in found for server in one["servers"]}


def known(cli: CommandLine, server: Running) -> dict[str, Any]:
    """Wait until the clock of a server has been compared; return its status."""
    (name,) = [name for name in status(cli) if name.startswith(f"process {server.pid} ")]
    wait_until(lambda: status(cli)[name]["clock_ahead_seconds"] is not None, "the clocks are compared")
    return status(cli)[name]


def test_of_two_servers_the_one_whose_clock_is_off_decides_nothing(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND)
    shift = cli.write("shift", f"{HOUR}")
    with (
        cli.start("serve", "scheduler.yaml", "--log-format", "json") as right,
        serve_after(right, cli, shift) as wrong,
    ):
        wrong.event("schedule_loaded")
        notice = wrong.event("schedule_notice", code="AF217")
        assert notice["message"].startswith("this server is on standby: its clock is 36"), notice
        assert "s ahead of that of server" in notice["message"]
        off, active = known(cli, wrong), known(cli, right)
        assert (off["state"], active["state"]) == ("standby", "active")
        assert HOUR - 5 < off["clock_ahead_seconds"] < HOUR + 5
        assert (off["version"], round(active["clock_ahead_seconds"])) == (__version__, 0)
        done = cli.run("scheduler", "status")
        assert f"server {off['server']}: standby: its clock is 36" in done.out, done
        assert "clock 1 h" in done.out
        assert "clock agrees (" in done.out
        with_run = "SELECT DISTINCT server FROM firings WHERE run_id IS NOT NULL AND server <> ''"
        assert cli.query(with_run) == [(f"server:{active['server']}",)]
        assert cli.query("SELECT max(scheduled_at) FROM firings") < [(later(),)]
        shift.write_text("0")
        wrong.event("schedule_notice", level="info")
        wait_until(lambda: {one["state"] for one in status(cli).values()} == {"active"}, "both decide")
        right.send(signal.SIGTERM)
        assert right.end().code == 143
        wrong.event("firing_finished", outcome="SUCCESS")
        wrong.send(signal.SIGTERM)
        assert no_trace(wrong.end())
