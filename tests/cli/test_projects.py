"""Projects with the real command: every command that reads settings uses the project file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.bundle_files import OPTION, with_bundle
from tests.cli.command_line import CommandLine, no_trace

PROJECT = """\
version: 1
settings:
  state_root: state of project
  log_format: json
profiles: profiles.yaml
env_files: [team.env]
dotenv: true
defaults:
  workspace: {root: work, cleanup_policy: never}
"""
STEP = """\
from aetherflow import StepContext, step


@step("hello")
def hello(context: StepContext, inputs: dict) -> dict:
    \"\"\"Say hello.\"\"\"
    context.say("hello " + context.env["TEAM"])
    context.path("told.txt").write_text(context.env["TEAM"])
    return {}
"""
FLOW = """\
version: 1
flow: {id: greet}
resources:
  r: {kind: db, driver: sqlite3, profile: warehouse}
jobs:
  - id: greet
    steps:
      - {id: say, type: hello, inputs: {resource: r}}
"""
SCHEDULE = "version: 1\nid: night\nitems:\n- {id: a, at: '2099-01-01T00:00', flow_yaml: greet.yaml}\n"


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    """Return a command line in a folder with a project; no setting is in its environment."""
    del cli.env["AETHERFLOW_STATE_ROOT"]
    cli.state = cli.folder / "state of project" / "aetherflow.sqlite"
    cli.write("aetherflow.yaml", PROJECT)
    cli.write("profiles.yaml", "warehouse: {config: {path: '{{env.DB}}'}}\n")
    cli.write("team.env", "TEAM=ops\nDB=:memory:\n")
    cli.write(".env", "# mine\nTEAM=${TEAM:-x}2\n").chmod(0o600)
    cli.write("steps/hello.py", STEP)
    cli.write("flows/greet.yaml", FLOW)
    cli.write("flows/night.yaml", SCHEDULE)
    return cli


def test_a_flow_has_the_settings_variables_profiles_steps_and_defaults_of_its_project(
    project: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = project.run("run", "flows/greet.yaml", "--run-id", "r1")
    assert result.code == 0, result
    assert "hello ops2" in result.out
    assert json.loads(result.out.splitlines()[0])["event"] == "run_started"
    assert (project.folder / "work/greet/greet/r1/artifacts/told.txt").read_text() == "ops2"
    assert project.query("select run_id, status from runs") == [("r1", "SUCCESS")]

    elsewhere = tmp_path_factory.mktemp("elsewhere")
    flow = str(project.folder / "flows" / "greet.yaml")
    again = project.bash(f"cd {elsewhere} && TEAM=shell aetherflow run '{flow}' --run-id r2")
    assert again.code == 0, again
    assert "hello shell" in again.out, "the environment wins"
    assert list(elsewhere.iterdir()) == []


def test_commands_without_a_flow_use_the_project_of_the_folder_where_one_is(project: CommandLine) -> None:
    project.run("run", "flows/greet.yaml", "--run-id", "r1")
    for script in (
        "aetherflow runs list",
        "cd flows && aetherflow runs show r1",
        "cd / && aetherflow runs list --flow-yaml $HOME/flows/greet.yaml | grep r1",
        "cd flows && aetherflow runs retry r1 --flow-yaml greet.yaml",
        "aetherflow locks list && aetherflow runs list | grep r1",
        "aetherflow scheduler next flows/night.yaml",
        "cd / && aetherflow explain $HOME/flows/greet.yaml",
        "cd / && aetherflow graph $HOME/flows/greet.yaml",
        "cd flows && aetherflow steps list | grep 'hello.*Say hello.*steps/hello.py:4'",
        "aetherflow steps show hello",
        "aetherflow schema --kind flow | grep '\"hello\"'",
        "aetherflow schema --kind project | grep plugin_paths",
        "aetherflow validate aetherflow.yaml && aetherflow validate flows/night.yaml",
    ):
        result = project.bash(script)
        assert result.code == 0, (script, result)
    assert not (project.folder / ".local").exists(), "nothing is in the usual state root"


def test_scheduler_fire_uses_the_project_of_the_scheduler_file(project: CommandLine) -> None:
    result = project.bash("cd / && aetherflow scheduler fire a --file $HOME/flows/night.yaml --here")
    assert result.code == 0, result
    assert "hello ops2" in result.out, "log_format: json"
    assert project.query("select status from runs") == [("SUCCESS",)]


def test_each_flow_of_a_server_has_its_own_project(project: CommandLine) -> None:
    project.write("other/aetherflow.yaml", "version: 1\nsettings: {state_root: s}\nenv_files: [o.env]\n")
    project.write("other/o.env", "TEAM=others\n")
    project.write("other/steps/hello.py", STEP)
    project.write("other/greet.yaml", FLOW.replace("profile: warehouse", "config: {path: x}"))
    project.write("flows/night.yaml", SCHEDULE.replace("greet.yaml", "../other/greet.yaml"))

    result = project.run("scheduler", "fire", "a", "--file", "flows/night.yaml", "--here")
    assert result.code == 0, result
    assert "hello others" in result.out
    assert project.bash("cd other && aetherflow runs list | grep SUCCESS").code == 0, "a run is in its state"
    status = project.run("scheduler", "status", "flows/night.yaml").out
    assert "a: last" in status, "the firing is in the state of the server"


def test_scheduler_files_whose_projects_contradict_each_other_are_refused(project: CommandLine) -> None:
    settings = "{log_format: text, state_root: ../state of project}"
    project.write("other/aetherflow.yaml", f"version: 1\nsettings: {settings}\n")
    project.write("other/day.yaml", SCHEDULE.replace("night", "day").replace("greet", "../flows/greet"))

    result = project.run("serve", "flows/night.yaml", "other/day.yaml")
    assert result.code == 2
    assert "error[AF206]: the scheduler files contradict each other: log_format is json" in result.err


def test_a_flow_that_comes_through_a_pipe_has_the_project_of_the_folder(project: CommandLine) -> None:
    result = project.bash("cat flows/greet.yaml | aetherflow run /dev/stdin --run-id p1")
    assert result.code == 0, result
    assert "hello ops2" in result.out


def test_doctor_shows_what_the_project_gives_and_where(project: CommandLine) -> None:
    project.write(".env", "TEAM=mine\n").chmod(0o644)
    for result in (project.run("doctor"), project.run("doctor", "flows/greet.yaml")):
        assert result.code == 0, result
        lines = result.out.splitlines()
        folder = project.folder
        assert f"ok       project: aetherflow.yaml ({folder}; own steps in steps/)" in lines
        assert "ok       project: aetherflow.yaml:6:13: team.env: DB" in lines
        assert "ok       project: aetherflow.yaml:7:1: .env: TEAM" in lines
        assert f"warning  project: {folder}/.env can be read by every user of this machine" in lines
        workspace = '{"root":"work","cleanup_policy":"never"}'
        assert f"ok       project: aetherflow.yaml:9:3: defaults.workspace: {workspace}" in lines
        assert f"setting  state_root = {folder}/state of project (aetherflow.yaml:3:3)" in lines
        assert "setting  log_format = json (aetherflow.yaml:4:3)" in lines
        assert f"setting  profiles_file = {folder}/profiles.yaml (aetherflow.yaml:5:1)" in lines

    paths = project.run("validate", "-v", "flows/greet.yaml").out
    assert f"path     project file = {folder}/aetherflow.yaml (the nearest one upwards)" in paths
    assert f"path     workspace root = {folder}/work (defaults.workspace.root, aetherflow.yaml:9:3)" in paths
    assert f"path     env file = {folder}/team.env (aetherflow.yaml:6:13)" in paths

    overridden = project.run("doctor", env={"AETHERFLOW_LOG_FORMAT": "text"}).out
    assert "project: aetherflow.yaml:4:3: log_format has no effect: environment wins" in overridden
    project.folder.joinpath("aetherflow.yaml").unlink()
    assert "project: none: there is no aetherflow.yaml here or above" in project.run("doctor").out


def test_a_mistake_in_the_project_is_reported_with_its_place_by_every_command(project: CommandLine) -> None:
    project.write("aetherflow.yaml", PROJECT.replace("log_format", "logformat"))
    for command in (
        ("validate", "aetherflow.yaml"),
        ("validate", "flows/greet.yaml"),
        ("run", "flows/greet.yaml"),
        ("doctor",),
        ("runs", "list"),
        ("steps", "list"),
        ("serve", "flows/night.yaml"),
    ):
        result = project.run(*command)
        assert result.code == 2, (command, result)
        assert "aetherflow.yaml:4:3: error[AF111]: unknown key 'logformat' in 'settings'" in result.err, (
            command
        )
        assert "did you mean 'log_format'?" in result.err
        assert no_trace(result)
    assert project.run("runs", "list", "--state", "x.sqlite").err.count("AF605") == 1, "no setting is needed"


def test_a_broken_step_file_matters_only_to_flows_that_lack_a_type(project: CommandLine) -> None:
    project.write("steps/broken.py", "x = (\n")
    assert project.run("validate", "flows/greet.yaml").err == ""
    listed = project.run("steps", "list")
    assert listed.code == 0
    assert "steps/broken.py:1:5: warning[AF581]: this is not Python" in listed.err

    project.write("flows/greet.yaml", FLOW.replace("type: hello", "type: quite_another"))
    result = project.run("validate", "flows/greet.yaml")
    assert result.code == 2
    assert "steps/broken.py:1:5: error[AF581]: this is not Python" in result.err
    assert f"looked in: AetherFlow, the installed packages, {project.folder}/steps" in result.err


def test_a_bundle_has_its_own_project_and_none_above_it(cli: CommandLine) -> None:
    shop = with_bundle(cli)
    shop.write("aetherflow.yaml", "version: 1\nenv_files: [machine.env]\n")
    shop.write("machine.env", "WHO=machine\nWHERE=machine\n")
    shop.write("share/aetherflow.yaml", "version: 1\ndotenv: true\ndefaults: {workspace: {root: own}}\n")
    shop.write("share/.env", "WHO=bundle\n")
    shop.write(
        "share/steps/hello.py",
        STEP.replace('context.env["TEAM"]', 'context.env["WHO"] + context.env["WHERE"]'),
    )
    flow = FLOW.replace("resources:\n  r: {kind: db, driver: sqlite3, profile: warehouse}\n", "")
    shop.write("share/flows/hello.yaml", flow.replace("{resource: r}", "{}"))
    result = shop.run("run", *OPTION, "--run-id", "b1")
    assert result.code == 0, result
    assert "hello bundlemachine" in result.out + result.err

    shop.write("share/aetherflow.yaml", "version: 1\nsettings: {state_root: here}\n")
    refused = shop.run("validate", *OPTION)
    assert refused.code == 2
    assert "AF873" in refused.err
    assert "aetherflow.yaml:2:12" in refused.err

    shop.write("share/aetherflow.yaml", "version: 1\n")
    restricted = shop.run("validate", *OPTION, env={"AETHERFLOW_MODE": "enterprise"})
    assert restricted.code == 2
    assert "unknown step type 'hello'" in restricted.err


def test_a_server_says_that_its_project_has_changed(project: CommandLine) -> None:
    with project.start("serve", "flows/night.yaml") as server:
        server.event("schedule_loaded")
        project.write("aetherflow.yaml", PROJECT + "  retry: {max_attempts: 2}\n")
        notice = server.event("schedule_notice")
        assert "aetherflow.yaml has changed: runs that start now use it" in notice["message"]
        project.write("aetherflow.yaml", PROJECT + "  retri: {max_attempts: 2}\n")
        notice = server.event("schedule_notice")
        assert "is not valid; runs are refused until then" in notice["message"]
        assert "AF111" in notice["message"]


def test_init_writes_a_project_that_reads_its_dotenv(cli: CommandLine) -> None:
    cli.run("init", "shop")
    assert (
        cli.bash("cd shop && aetherflow validate aetherflow.yaml && aetherflow validate flow.yaml").code == 0
    )
    result = cli.bash("cd shop && cp .env.example .env && chmod 600 .env && aetherflow doctor flow.yaml")
    assert "project: aetherflow.yaml:4:1: .env: WAREHOUSE_PATH" in result.out
    assert ".env" in (cli.folder / "shop/.gitignore").read_text().splitlines()
    assert Path(cli.folder / "shop/aetherflow.yaml").exists()
