"""A server whose database cannot be opened, or fails while it serves: reported as that, never as a bug."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from aetherflow.store.database import BUSY_SECONDS
from tests.cli.command_line import AETHERFLOW, OK, WAITS, CommandLine, Running, no_trace

EVERY_SECOND = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"


@pytest.mark.parametrize("here", [False, True])
def test_a_database_that_cannot_be_opened_is_reported(
    cli: CommandLine, tmp_path: Path, *, here: bool
) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND)
    (tmp_path / "folder").mkdir()
    fire = ("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")
    command = fire if here else ("serve", "scheduler.yaml")
    done = cli.run(*command, "--state", str(tmp_path / "folder"))
    assert done.code in (1, 2)
    assert "AF6" in done.err
    assert "bug" not in done.err
    assert no_trace(done)


def test_a_database_that_fails_for_good_lets_a_server_end_in_order(cli: CommandLine) -> None:
    """Files may not grow, as on a full disk: what ends with the server cannot be stored any more."""
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND)
    full = 160 * 1024
    process = subprocess.Popen(
        [AETHERFLOW, "serve", "scheduler.yaml", "--log-format", "json"],
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (full, full)),  # noqa: PLW1509 - no threads
    )
    with Running(process) as server:
        server.event("schedule_notice", level="error")
        server.send(signal.SIGTERM)
        done = server.end()
    assert done.code == 143, done
    assert "bug" not in done.err
    assert "other servers take over" in done.out


@pytest.mark.parametrize("by", ["rm", "another"])
def test_a_server_whose_database_is_taken_away_stops_and_says_so(cli: CommandLine, by: str) -> None:
    """What it fired would be known to nobody: a server with a new file would fire the same ticks."""
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        server.event("firing_finished", outcome="SUCCESS")
        for path in cli.state.parent.glob("aetherflow.sqlite*"):
            path.unlink()
        if by == "another":
            assert cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here").code == 0
        done = server.end()
    assert done.code == 1, done
    assert f"error[AF212]: the state database {cli.state} was " in done.err
    assert "moved or deleted while" in done.err or "replaced by another file while" in done.err
    for more in ("tries again every second", "other servers take over"):
        assert more not in done.out, "it is said once"
    failures = [line["message"] for line in done.lines() if line.get("code") == "AF614"]
    assert all(failure.startswith("the end of run ") for failure in failures), "of a run that was on its way"
    assert no_trace(done)


def test_a_second_signal_ends_a_server_whose_database_is_locked_without_the_usual_patience(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.write("flow.yaml", WAITS)
    cli.write("scheduler.yaml", EVERY_SECOND)
    cli.env["GO"] = str(tmp_path / "go")
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        server.event("step_output")
        with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            server.send_alone(signal.SIGTERM)
            server.send(signal.SIGTERM)
            began = time.monotonic()
            done = server.end()
    assert time.monotonic() - began < BUSY_SECONDS / 2
    assert done.code == 143, done
    assert "has kept it locked for more than" in done.out + done.err
    assert no_trace(done)
