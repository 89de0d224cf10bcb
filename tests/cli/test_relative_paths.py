"""Paths in a file are relative to that file: a run id is the same run wherever one stands."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.command_line import FAILS, OK, CommandLine, no_trace

BESIDE = "flow: {id: f, state: {path: state/own.sqlite}, workspace: {root: work, cleanup_policy: never}}"
FLOW = FAILS.replace("flow: {id: f}", BESIDE)
GOOD = OK.replace("flow: {id: f}", BESIDE)


def test_a_flow_keeps_its_state_and_files_beside_it(cli: CommandLine) -> None:
    cli.write("flows/flow.yaml", FLOW)
    first = cli.run("run", "flows/flow.yaml", "--run-id", "r")
    assert first.code == 1, first.err
    assert (cli.folder / "flows/state/own.sqlite").is_file()
    assert (cli.folder / "flows/work/f/a/r").is_dir()
    assert not (cli.folder / "state").exists()


def test_a_database_that_does_not_exist_yet_is_named_with_its_base(cli: CommandLine) -> None:
    cli.write("flows/flow.yaml", FLOW)
    found = cli.run("runs", "show", "r", "--flow-yaml", "flows/flow.yaml")
    assert found.code == 2
    assert f"there is no state database {cli.folder}/flows/state/own.sqlite" in found.err
    assert f"flow.state.path is 'state/own.sqlite', relative to {cli.folder}/flows;" in found.err


@pytest.mark.parametrize("cd", ["flows", "elsewhere/deep", "/"])
def test_the_same_run_id_from_another_folder_resumes_the_run(cli: CommandLine, cd: str) -> None:
    flow = cli.write("flows/flow.yaml", FLOW)
    (cli.folder / "elsewhere/deep").mkdir(parents=True)
    cli.run("run", "flows/flow.yaml", "--run-id", "r")
    again = cli.bash(f"cd {cd} && aetherflow run {flow} --run-id r")
    assert "attempt 2" in again.err or "resum" in again.err, again.err
    rows = cli.query("select attempt from runs", cli.folder / "flows/state/own.sqlite")
    assert rows == [(2,)]
    listed = cli.bash(f"cd {cd} && aetherflow runs list --flow-yaml {flow}")
    assert " r " in f" {listed.out} "
    assert listed.code == 0


def test_a_path_of_a_variable_or_a_parameter_follows_the_same_rule(cli: CommandLine) -> None:
    head = (
        "flow:\n  id: f\n  params: {name: {default: p}}\n"
        "  state: {path: '{{env.BASE}}/{{params.name}}.sqlite'}\n"
    )
    cli.write("flows/flow.yaml", OK.replace("flow: {id: f}", head))
    assert cli.run("run", "flows/flow.yaml", env={"BASE": "kept"}).code == 0
    assert (cli.folder / "flows/kept/p.sqlite").is_file()
    assert cli.run("run", "flows/flow.yaml", env={"BASE": "~/mine"}).code == 0
    assert (cli.folder / "mine/p.sqlite").is_file()
    refused = cli.run("run", "flows/flow.yaml", env={"BASE": "$HOME/mine"})
    assert refused.code == 2
    assert "AF141" in refused.err
    assert not list(cli.folder.rglob("$HOME"))
    assert not list(cli.folder.rglob("~"))


def test_a_linked_flow_is_a_flow_in_the_folder_of_the_link(cli: CommandLine) -> None:
    flow = cli.write("releases/1/flow.yaml", GOOD)
    (cli.folder / "current").symlink_to(flow.parent)
    (cli.folder / "bin").mkdir()
    (cli.folder / "bin/flow.yaml").symlink_to(flow)
    assert cli.run("run", "bin/flow.yaml").code == 0
    assert (cli.folder / "bin/state/own.sqlite").is_file()
    assert not (flow.parent / "state").exists()
    assert cli.run("run", "current/flow.yaml").code == 0
    assert (flow.parent / "state/own.sqlite").is_file()


def test_a_flow_from_a_pipe_has_the_folder_of_the_shell(cli: CommandLine) -> None:
    cli.write("flow.yaml", GOOD)
    (cli.folder / "here").mkdir()
    done = cli.bash("cd here && aetherflow run <(cat ../flow.yaml)")
    assert done.code == 0, done.err
    assert (cli.folder / "here/state/own.sqlite").is_file()


def test_a_flow_runs_from_a_folder_that_was_removed(cli: CommandLine) -> None:
    flow = cli.write("flows/flow.yaml", GOOD)
    done = cli.bash(f"mkdir gone && cd gone && rmdir ../gone && aetherflow run {flow}")
    assert done.code == 0, done.err
    assert (cli.folder / "flows/state/own.sqlite").is_file()


class TestADatabaseThatWasLeftBehind:
    """The version before began at the working directory: its runs must not silently begin again."""

    @pytest.fixture
    def left(self, cli: CommandLine) -> Path:
        cli.write("flow.yaml", FLOW)
        cli.run("run", "flow.yaml", "--run-id", "r")
        (cli.folder / "flows").mkdir()
        (cli.folder / "flow.yaml").rename(cli.folder / "flows/flow.yaml")
        return cli.folder / "state/own.sqlite"

    def test_it_is_named_and_the_hint_works(self, cli: CommandLine, left: Path) -> None:
        refused = cli.run("run", "flows/flow.yaml", "--run-id", "r")
        assert refused.code == 2
        assert "AF143" in refused.err
        assert str(left) in refused.err
        assert not (cli.folder / "flows/state").exists()
        command = refused.err.partition("move it: ")[2].partition("; or")[0]
        assert cli.bash(command).code == 0
        again = cli.run("run", "flows/flow.yaml", "--run-id", "r")
        assert again.code == 1
        assert no_trace(again)
        assert cli.query("select attempt from runs", cli.folder / "flows/state/own.sqlite") == [(2,)]
        assert cli.run("logs", "r", "--flow-yaml", "flows/flow.yaml").code == 0

    def test_that_of_another_flow_is_not_meant(self, cli: CommandLine, left: Path) -> None:
        assert left.is_file()
        cli.write("flows/flow.yaml", GOOD.replace("id: f,", "id: other,"))
        assert cli.run("run", "flows/flow.yaml", "--run-id", "r").code == 0

    def test_that_of_0_0_is_named_too(self, cli: CommandLine) -> None:
        cli.write("flows/flow.yaml", GOOD)
        (cli.folder / "state").mkdir()
        with closing(sqlite3.connect(cli.folder / "state/own.sqlite")) as old:
            old.executescript("create table job_runs (x); create table step_runs (x); create table locks (x)")
        refused = cli.run("run", "flows/flow.yaml")
        assert refused.code == 2
        assert "AF143" in refused.err
        assert str(cli.folder / "state/own.sqlite") in refused.err


def test_a_path_that_leads_up_is_shown_without_dots_unless_a_link_is_on_the_way(cli: CommandLine) -> None:
    up = OK.replace("flow: {id: f}", "flow: {id: f, state: {path: ../state/x.db}}")
    cli.write("real/flows/flow.yaml", up)
    (cli.folder / "elsewhere").mkdir()
    (cli.folder / "elsewhere/link").symlink_to(cli.folder / "real/flows")
    shown = cli.run("validate", "-v", "real/flows/flow.yaml").out
    assert f"state database = {cli.folder}/real/state/x.db" in shown
    through = cli.run("run", "elsewhere/link/flow.yaml")
    assert through.code == 0, through.err
    assert (cli.folder / "real/state/x.db").is_file()  # `..` of a linked folder is that of its target
    assert not (cli.folder / "elsewhere/state").exists()
