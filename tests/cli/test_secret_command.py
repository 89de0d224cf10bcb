"""A program that is asked for a secret belongs to its run: it ends with it, however the run ends."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.cli.command_line import CommandLine, flow, lives, no_trace
from tests.polling import wait_until

EXTRACT = "- {id: s, type: db_extract, inputs: {resource: db, sql: 'SELECT pin FROM t', output: x.tsv}}"


def extracting(secret: str) -> str:
    """Return a flow that extracts from a SQLite file whose path is a secret."""
    text = flow(EXTRACT)
    return (
        f"{text}resources:\n  db: {{kind: db, driver: sqlite3, config: {{path: {{secret: {secret!r}}}}}}}\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_hangs_ends_with_its_run(cli: CommandLine, number: signal.Signals) -> None:
    pid_file = cli.folder / "pid"
    cli.write("ask.sh", f"echo $$ > {pid_file}.part; mv {pid_file}.part {pid_file}; exec sleep 600\n")
    cli.write("flow.yaml", extracting(f"command:sh {cli.folder}/ask.sh"))
    with cli.start("run", "flow.yaml", "--run-id", "r1") as running:
        wait_until(pid_file.exists)
        pid = int(pid_file.read_text())
        assert lives(pid)
        running.send(number)
        result = running.end()
    assert result.code == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert no_trace(result)
    wait_until(lambda: not lives(pid))


def test_each_provider_gives_the_secret_to_the_connector_and_to_nobody_else(cli: CommandLine) -> None:
    file = cli.folder / "canary-7f3a9c.sqlite"
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("CREATE TABLE t (pin)")
    pin = cli.write("pin", f"{file}\n")
    pin.chmod(0o644)
    env = {"WHERE": str(file)}
    for name, secret in {
        "by_env": "env:WHERE",
        "by_file": f"file:{pin}",
        "by_command": f"command:cat {pin}",
    }.items():
        cli.write("flow.yaml", extracting(secret))
        valid = cli.run("validate", "flow.yaml", env=env)
        done = cli.run("run", "flow.yaml", "--run-id", name, env=env)
        assert (valid.code, valid.err, done.code) == (0, "", 0), (valid, done)
        assert "canary" not in done.out + done.err
        assert ("can be read by every user of this machine: chmod o-r" in done.err) is (name == "by_file")
    broken = cli.run("run", "flow.yaml", "--run-id", "broken", env={"PATH": "/nowhere"})
    assert broken.code == 1
    assert "config.path: cannot start cat: no such file or directory" in broken.err


def test_a_short_secret_alone_on_a_line_is_masked_live_in_the_error_and_in_the_log(cli: CommandLine) -> None:
    command = "[sh, -c, 'echo \"$DB_PASSWORD\"; exit 3']"
    cli.write(
        "flow.yaml",
        "version: 1\nflow: {id: f}\njobs:\n- id: a\n  steps:\n"
        f"  - {{id: s, type: external.process, inputs: {{command: {command}}}}}\n",
    )

    result = cli.run("run", "flow.yaml", "--run-id", "r", env={"DB_PASSWORD": "742"})

    assert result.code == 1
    for shown in (result.err, cli.run("runs", "show", "r", "--json").out, cli.run("logs", "r").out):
        assert "***" in shown
        assert not re.search(r"\b742\b", shown)
