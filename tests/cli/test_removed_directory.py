"""A working directory that is removed, replaced or closed: only what needs it fails, and is named."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, Result, Running, flow, no_trace
from tests.cli.test_serve import hear

EVERY_SECOND = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: FLOW}\n"
REMOVED = "mkdir -p gone && cd gone && rmdir ../gone && exec aetherflow "
STARTS_PROGRAMS = flow("""
- {id: s, type: external.process, inputs: {command: [pwd]}}
- {id: query, type: db_extract, inputs: {resource: box, sql: SELECT 1, output: one.tsv}}
""")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("run flow.yaml", "flow.yaml"),
        ("validate flow.yaml", "flow.yaml"),
        ("explain flow.yaml", "flow.yaml"),
        ("serve scheduler.yaml", "scheduler.yaml"),
        ("run ../flow.yaml", "../flow.yaml"),
        ("init", "README.md"),
        ("init first", "first/README.md"),
        ("run {folder}/flow.yaml --params-file params.yaml", "params.yaml"),
        ("run --bundle-manifest bundle.yaml", "bundle.yaml"),
    ],
)
def test_a_relative_path_in_a_removed_directory_is_named(cli: CommandLine, command: str, file: str) -> None:
    cli.write("flow.yaml", OK)

    result = cli.bash(REMOVED + command.format(folder=cli.folder))

    assert (result.code, no_trace(result)) == (2, True), result
    assert f"error[AF003]: {file} is relative to the working directory {cli.folder}/gone, " in result.err
    assert "cd to a folder that exists, or give an absolute path" in result.err


@pytest.mark.parametrize(
    "command",
    [
        "run {folder}/flow.yaml",
        "runs list",
        "runs retry r",
        "validate {folder}/flow.yaml",
        "explain {folder}/flow.yaml",
        "doctor",
        "doctor {folder}/flow.yaml",
        "locks list",
        "state list",
        "steps list",
        "scheduler fire one --here --file {folder}/scheduler.yaml",
        "scheduler next {folder}/scheduler.yaml",
    ],
)
def test_what_needs_no_working_directory_works_in_a_removed_one(cli: CommandLine, command: str) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND.replace("id: a", "id: one").replace("FLOW", "flow.yaml"))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 0

    result = cli.bash(REMOVED + command.format(folder=cli.folder))

    assert (result.code, no_trace(result)) == (0, True), result


def test_a_run_from_a_removed_directory_is_resumed_from_anywhere(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow("- {id: s, type: external.process, inputs: {command: [test, -e, GO]}}")
              .replace("GO", str(cli.folder / "go")))  # fmt: skip
    assert cli.bash(f"{REMOVED} run {cli.folder}/flow.yaml --run-id r").code == 1
    (cli.folder / "go").touch()

    assert cli.run("runs", "retry", "r").code == 0


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may enter every folder"
)
@pytest.mark.parametrize(("command", "code"), [("run {folder}/flow.yaml", 0), ("run flow.yaml", 2)])
def test_a_directory_that_may_not_be_entered_still_has_a_name(
    cli: CommandLine, command: str, code: int
) -> None:
    cli.write("flow.yaml", OK)
    ordinary = (
        "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search"
    )
    start = f"{ordinary if os.geteuid() == 0 else ''} aetherflow {command.format(folder=cli.folder)}"

    result = cli.bash(
        f"mkdir closed; cd closed; cp ../flow.yaml .; chmod 0 .; {start}; r=$?; chmod 755 .; exit $r"
    )

    assert (result.code, no_trace(result)) == (code, True), result


def serve_in(cli: CommandLine, folder: Path, file: str) -> Running:
    """Start a server in a folder of its own, for a scheduler file with one item each second."""
    place = CommandLine(folder)
    place.env = cli.env
    return place.start("serve", file, "--log-format", "json")


def test_a_server_outlives_the_folder_where_it_was_started(cli: CommandLine) -> None:
    """Every path in its files is absolute, so nothing of it needs that folder: runs, children, secrets."""
    go = cli.folder / "go"
    waits = f"until test -e {go}; do sleep 0.02; done; pwd"
    cli.write(
        "abs/flow.yaml",
        flow(f"- {{id: s, type: external.process, inputs: {{command: [sh, -c, '{waits}']}}}}"),
    )
    cli.write("abs/scheduler.yaml", EVERY_SECOND.replace("FLOW", f"{cli.folder}/abs/flow.yaml"))
    (cli.folder / "release").mkdir()
    with serve_in(cli, cli.folder / "release", f"{cli.folder}/abs/scheduler.yaml") as server:
        first = server.event("firing_scheduled")["run_id"]
        (cli.folder / "release").rmdir()
        go.touch()
        hear(server, ("firing_finished", {"run_id": first, "outcome": "SUCCESS"}))
        second = server.event("firing_scheduled")["run_id"]
        hear(server, ("firing_finished", {"run_id": second, "outcome": "SUCCESS"}))
        server.send(signal.SIGHUP)
        server.event("schedule_loaded")
        server.send(signal.SIGTERM)
        assert no_trace(done := server.end())
        assert done.code == 143, done


def test_a_file_in_the_removed_folder_is_reported_and_the_others_are_served(cli: CommandLine) -> None:
    cli.write("release/scheduler.yaml", EVERY_SECOND.replace("FLOW", "flow.yaml"))
    cli.write("release/flow.yaml", OK)
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", EVERY_SECOND.replace("FLOW", "flow.yaml").replace("night", "day"))
    place = CommandLine(cli.folder / "release")
    place.env = cli.env
    with place.start("serve", "scheduler.yaml", "../scheduler.yaml", "--log-format", "json") as server:
        hear(server, ("firing_finished", {"scheduler": "night"}), ("firing_finished", {"scheduler": "day"}))
        shutil.rmtree(cli.folder / "release")
        problem = server.event("schedule_invalid", scheduler="night")["problem"]
        failed = server.event("firing_finished", scheduler="night", outcome="FAILED")
        server.event("firing_finished", scheduler="day", outcome="SUCCESS")
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert f"it was looked for in {cli.folder}/release" in problem
    assert f"it was looked for in {cli.folder}/release" in failed["reason"]


def test_a_relative_path_keeps_its_name_when_another_folder_takes_its_place(cli: CommandLine) -> None:
    """A release is switched by renaming: the server goes with the name, as with an absolute path."""
    for release in ("old", "new"):
        cli.write(f"{release}/scheduler.yaml", EVERY_SECOND.replace("FLOW", "flow.yaml") + f"# {release}\n")
        cli.write(f"{release}/flow.yaml", OK.replace("id: f", f"id: {release}"))
    (cli.folder / "old").rename(cli.folder / "app")
    with serve_in(cli, cli.folder / "app", "scheduler.yaml") as server:
        server.event("run_started", flow_id="old")
        (cli.folder / "app").rename(cli.folder / "before")
        (cli.folder / "new").rename(cli.folder / "app")
        hear(server, ("schedule_loaded", {"is_first": False}), ("run_started", {"flow_id": "new"}))
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    directories = cli.query(
        "SELECT DISTINCT json_extract(payload, '$.directory') FROM events WHERE event = 'run_started'"
    )
    assert directories == [(f"{cli.folder}/app",)]


def test_programs_start_in_a_removed_directory(cli: CommandLine) -> None:
    """A step has a folder of its own; the program of a secret inherits the removed one, and starts too."""
    head = (
        "flow: {id: f}\nresources:\n"
        "  box: {kind: db, driver: sqlite3, "
        f"config: {{path: {{secret: 'command:printf {cli.folder}/box'}}}}}}"
    )
    cli.write("flow.yaml", STARTS_PROGRAMS.replace("flow: {id: f}", head))

    result: Result = cli.bash(f"{REMOVED} run {cli.folder}/flow.yaml")

    assert (result.code, no_trace(result)) == (0, True), result
    assert f"a.s | {cli.state.parent}/work/f/a/" in result.err
