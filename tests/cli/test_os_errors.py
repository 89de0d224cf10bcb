"""Errors of the operating system are reported as such, with the path: they are no bugs of AetherFlow."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, Result, no_trace

SCHEDULE = 'version: 1\nitems:\n  - {id: one, cron: "0 5 * * *", flow_yaml: small.yaml}\n'
ORDINARY = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search"
"""Makes root a user for whom permissions count."""

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may do everything"
)


class Closed(CommandLine):
    """A folder with a state folder and a folder of files that nobody may enter."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.write("small.yaml", OK)
        self.write("scheduler.yaml", SCHEDULE)
        self.write("files/small.yaml", OK)
        assert self.run("run", "small.yaml", "--run-id", "r").code == 0

    def ask(self, command: str) -> Result:
        """Run a command as an ordinary user."""
        return self.bash(f"exec {ORDINARY if os.geteuid() == 0 else ''} aetherflow {command}")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Closed]:
    place = Closed(tmp_path)
    folders = (place.state.parent, place.folder / "files")
    for folder in folders:
        folder.chmod(0)
    yield place
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "command",
    [
        "run small.yaml",
        "run small.yaml --run-id again",
        "runs list",
        "runs show r",
        "runs retry r",
        "runs prune --keep-runs 0",
        "logs r",
        "locks list",
        "state list",
        "pools list",
        "pools set warehouse 2",
        "state set m 1 --type int --flow f",
        "scheduler status scheduler.yaml",
        "scheduler status --state state/other.sqlite",
        "scheduler fire one --file scheduler.yaml",
    ],
)
def test_a_state_folder_that_may_not_be_entered_is_named(closed: Closed, command: str) -> None:
    result = closed.ask(command)

    assert result.code == 2, result
    assert f"error[AF601]: the state database {closed.state.parent}" in result.err
    assert "this user may enter and write its folder" in result.err
    assert no_trace(result)


@pytest.mark.parametrize("flow", ["", "small.yaml"])
def test_doctor_names_the_state_folder_that_may_not_be_entered(closed: Closed, flow: str) -> None:
    result = closed.ask(f"doctor {flow}")

    assert (result.code, no_trace(result)) == (2, True), result
    assert f"error    state: {closed.state.parent} cannot be written" in result.out


@pytest.mark.parametrize("command", ["validate", "validate --flow-yaml", "explain", "graph", "run"])
def test_a_flow_that_may_not_be_read_is_named(closed: Closed, command: str) -> None:
    result = closed.ask(f"{command} {closed.folder}/files/small.yaml")

    assert result.code == 2, result
    assert f"{closed.folder}/files/small.yaml:1:1: error[AF101]: this file may not be read" in result.err
    assert no_trace(result)


def test_init_in_a_folder_that_may_not_be_written_is_reported(closed: Closed) -> None:
    result = closed.ask("init files/new")

    assert (result.code, no_trace(result)) == (2, True), result
    assert "cannot write files/new/README.md: Permission denied" in result.err


def test_what_nobody_foresaw_is_reported_with_the_file(closed: Closed) -> None:
    home = shlex.quote(str(closed.folder / "files"))
    ordinary = ORDINARY if os.geteuid() == 0 else ""
    result = closed.bash(f"export HOME={home}; {ordinary} aetherflow --install-completion; exit $?")

    assert (result.code, no_trace(result)) == (1, True), result
    assert f"error[AF003]: {closed.folder}/files/.bashrc: Permission denied\n" in result.err


def test_debug_shows_the_traceback_of_what_no_command_foresaw(closed: Closed) -> None:
    home = shlex.quote(str(closed.folder / "files"))
    ordinary = ORDINARY if os.geteuid() == 0 else ""
    result = closed.bash(f"export HOME={home}; {ordinary} aetherflow --debug --install-completion; exit $?")

    assert result.code == 1
    assert "Traceback (most recent call last):" in result.err
    assert "error[AF003]: " in result.err


def test_help_for_a_full_disk_is_no_bug(cli: CommandLine) -> None:
    result = cli.bash("aetherflow run --help > /dev/full")

    assert (result.code, no_trace(result)) == (1, True)
    assert "error[AF810]: cannot write the output: No space left on device" in result.err
