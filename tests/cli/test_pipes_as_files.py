"""Pipes where a file is named: one that nobody writes or reads is refused at once; one of the shell works."""

from __future__ import annotations

import os
import re

import pytest

from tests.cli.command_line import OK, CommandLine, flow, no_trace

SECRET = flow(
    "- {id: s, type: db_extract, inputs: {resource: box, sql: SELECT 1, output: one.tsv}}",
    "flow: {id: f}\nresources:\n  box: {kind: db, driver: sqlite3, config: {path: {secret: 'file:PATH'}}}",
)
TO_A_PIPE = flow(
    "- {id: s, type: external.process, "
    "inputs: {command: [seq, '100000'], log: {stdout: file, file_path: PATH}}}"
)


@pytest.fixture
def pipes(cli: CommandLine) -> CommandLine:
    """A folder with a named pipe `pipe`, and files that name it."""
    os.mkfifo(cli.folder / "pipe")
    cli.write("flow.yaml", OK)
    cli.write("secret.yaml", SECRET.replace("PATH", str(cli.folder / "pipe")))
    cli.write("output.yaml", TO_A_PIPE.replace("PATH", str(cli.folder / "pipe")))
    (cli.folder / "plugins" / "package").mkdir(parents=True)
    os.mkfifo(cli.folder / "plugins" / "package" / "__init__.py")
    os.mkfifo(cli.folder / "plugins" / "one.py")
    return cli


@pytest.mark.parametrize(
    "command",
    [
        "aetherflow validate pipe",
        "aetherflow run flow.yaml --params-file pipe",
        "aetherflow run --bundle-manifest pipe",
        "aetherflow serve pipe",
        "aetherflow scheduler next pipe",
        "AETHERFLOW_PROFILES_FILE=pipe aetherflow validate flow.yaml",
        """AETHERFLOW_ENV_FILES_JSON='[{"type": "dotenv", "path": "pipe"}]' aetherflow validate flow.yaml""",
        "aetherflow run secret.yaml",
        "aetherflow doctor secret.yaml",
        "aetherflow run output.yaml",
    ],
)
def test_a_pipe_that_may_have_no_other_end_is_refused(pipes: CommandLine, command: str) -> None:
    done = pipes.bash(command)

    assert (done.code in (1, 2), no_trace(done)) == (True, True), done
    assert re.search("it is a named pipe, not a file|pipe is no file", done.err + done.out)


def test_pipes_among_plugins_are_no_plugins(pipes: CommandLine) -> None:
    pipes.write("flow.yaml", OK.replace("check_items", "no_such_type"))

    done = pipes.run("validate", "flow.yaml", env={"AETHERFLOW_PLUGIN_PATHS": "plugins"})

    assert (done.code, no_trace(done)) == (2, True), done
    assert "no_such_type" in done.err


@pytest.mark.parametrize(
    "command",
    [
        "aetherflow validate <(cat flow.yaml)",
        "cat flow.yaml | aetherflow validate /dev/stdin",
        "aetherflow run flow.yaml --params-file <(echo '{}')",
        "AETHERFLOW_PROFILES_FILE=/dev/fd/9 aetherflow validate flow.yaml 9< <(echo '{}')",
    ],
)
def test_a_pipe_that_the_shell_has_opened_is_read(pipes: CommandLine, command: str) -> None:
    done = pipes.bash(command)

    assert (done.code, no_trace(done)) == (0, True), done
