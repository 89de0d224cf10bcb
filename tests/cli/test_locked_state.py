"""A state database that another program keeps locked: the run can be stopped, and says who it waited for."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.command_line import OK, WAITS, CommandLine, no_trace


def test_a_run_that_waits_for_a_locked_database_can_be_stopped_and_resumed(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.write("flow.yaml", WAITS)
    cli.env["GO"] = str(tmp_path / "go")
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        run.event("step_output")
        with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            run.send(signal.SIGINT)
            run.send(signal.SIGINT)
            result = run.end()

    assert result.code == 1, result
    assert no_trace(result)
    assert f"run r stopped: the state database {cli.state}" in result.err
    assert "another process has kept it locked" in result.err
    assert "(python" in result.err or "(pytest" in result.err
    assert f"aetherflow runs retry r --state {cli.state}\n" in result.err
    assert cli.query("select status from run_state") == [("RUNNING",)]
    (tmp_path / "go").touch()
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0


def test_looking_does_not_wait_for_a_writer(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0
    with closing(sqlite3.connect(cli.state, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for words in (("runs", "list"), ("runs", "show", "r"), ("locks", "list"), ("state", "list")):
            assert cli.run(*words).code == 0
