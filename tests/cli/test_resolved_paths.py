"""`doctor` and `validate -v` print every path that is resolved, and what names it."""

from __future__ import annotations

import json

from tests.cli.bundle_files import OPTION, root, with_bundle
from tests.cli.command_line import OK, CommandLine

FLOW = OK.replace("flow: {id: f}", "flow: {id: f, state: {path: own.db}, workspace: {root: ../work}}")


def settings(cli: CommandLine) -> dict[str, str]:
    cli.write("conf/profiles.yaml", "{}\n")
    cli.write("conf/extra.env", "A=b\n")
    cli.write("conf/secrets.py", "def expand_env(env):\n    return {}\n")
    cli.write("home/plugins/p.py", "")
    return {
        "HOME": str(cli.folder / "home"),
        "AETHERFLOW_STATE_ROOT": "~/state",
        "AETHERFLOW_PROFILES_FILE": "conf/profiles.yaml",
        "AETHERFLOW_PLUGIN_PATHS": "$HOME/plugins",
        "AETHERFLOW_SECRETS_PATH": "conf/secrets.py",
        "AETHERFLOW_ENV_FILES_JSON": json.dumps([{"path": "conf/extra.env"}]),
    }


def test_the_paths_of_a_flow_with_their_origins(cli: CommandLine) -> None:
    cli.write("flows/flow.yaml", FLOW)
    env = settings(cli)
    here = cli.folder
    expected = [
        ("flow file", f"{here}/flows/flow.yaml", "the command line"),
        ("state database", f"{here}/flows/own.db", "flow.state.path"),
        ("step logs", f"{here}/flows/own.logs", "beside the state database"),
        ("workspace root", f"{here}/work", "flow.workspace.root"),
        ("profiles", f"{here}/conf/profiles.yaml", "AETHERFLOW_PROFILES_FILE, environment"),
        ("env file", f"{here}/conf/extra.env", "AETHERFLOW_ENV_FILES_JSON"),
        ("plugin path", f"{here}/home/plugins", "AETHERFLOW_PLUGIN_PATHS, environment"),
        ("secrets provider", f"{here}/conf/secrets.py", "AETHERFLOW_SECRETS_PATH"),
    ]
    lines = [f"path     {name} = {path} ({origin})" for name, path, origin in expected]
    for command in (("validate", "-v"), ("doctor",)):
        shown = cli.run(*command, "flows/flow.yaml", env=env)
        assert [line for line in shown.out.splitlines() if line.startswith("path ")] == lines
        found = cli.run(*command, "flows/flow.yaml", "--json", env=env).json()["paths"]
        assert [(one["name"], one["path"], one["origin"]) for one in found] == expected


def test_validate_is_silent_about_them_without_the_option(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)
    assert cli.run("validate", "flow.yaml").out == "flow.yaml: valid\n"
    assert "paths" not in cli.run("validate", "flow.yaml", "--json").json()


def test_the_paths_of_this_machine(cli: CommandLine) -> None:
    shown = cli.run("doctor", env=settings(cli))
    state = f"{cli.folder}/home/state"
    assert (
        f"path     state database = {state}/aetherflow.sqlite (AETHERFLOW_STATE_ROOT, environment)"
        in shown.out
    )
    assert f"path     workspace root = {state}/work (AETHERFLOW_STATE_ROOT, environment)" in shown.out


def test_the_paths_of_a_bundle(cli: CommandLine) -> None:
    with_bundle(cli)
    snapshot = f"{root(cli)}/snapshots/"
    found = {one["name"]: one for one in cli.run("doctor", *OPTION, "--json").json()["paths"]}
    assert found["flow file"]["path"].startswith(snapshot)
    assert found["flow file"]["origin"] == "bundle demo: flows/hello.yaml"
    assert found["bundle snapshot"]["path"].startswith(snapshot)
    assert found["bundle manifest"]["path"] == f"{cli.folder}/bundle.yaml"


def test_the_paths_of_a_scheduler_file(cli: CommandLine) -> None:
    cli.write("flows/flow.yaml", FLOW)
    cli.write(
        "ops/serve.yaml",
        "version: 1\nstate: {path: ~/s.db}\nitems:\n"
        "  - {id: a, cron: '@daily', flow_yaml: ../flows/flow.yaml}\n",
    )
    shown = cli.run("validate", "-v", "ops/serve.yaml").out.splitlines()
    assert f"path     state database = {cli.folder}/s.db (state.path)" in shown
    assert f"path     flow file = {cli.folder}/ops/../flows/flow.yaml (item a)" in shown
