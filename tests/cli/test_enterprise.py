"""Enterprise mode: each restriction, as a run meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import OK, CommandLine, flow

MANIFEST = """
version: 1
mode: enterprise
bundle:
  id: demo
  source: {type: filesystem, base_path: share}
  layout: {plugins_dir: plugins}
  entry_flow: flow.yaml
paths: {plugins: [trusted], allow: exchange}
zip_drivers: [zipfile]
"""
OPTION = ("--bundle-manifest", "bundle.yaml")
PLUGIN = """
from aetherflow import StepContext, step


@step("STEP")
def found(context: StepContext, inputs: dict) -> dict:
    context.check_zip_driver(inputs.get("driver", "zipfile"))
    return {}
"""

PACKER = """
from aetherflow import Connector, connector


@connector("archive:packer")
class Packer(Connector):
    restricted_by = "zip_drivers"

    @classmethod
    async def open(cls, resource):
        return cls()

    async def aclose(self):
        pass
"""
"""A connector of the kind that the manifest restricts."""


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    """A bundle in enterprise mode, a plugin in each of three places, and a folder that is allowed."""
    cli.write("bundle.yaml", MANIFEST)
    cli.write("share/flows/flow.yaml", OK)
    cli.write("trusted/a.py", PLUGIN.replace("STEP", "trusted_step"))
    cli.write("trusted/packer.py", PACKER)
    cli.write("share/plugins/b.py", PLUGIN.replace("STEP", "bundle_step"))
    cli.write("inherited/c.py", PLUGIN.replace("STEP", "inherited_step"))
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.folder / "inherited")
    (cli.folder / "exchange").mkdir()
    return cli


def says(path: Path | str, folder: str = "") -> str:
    """Write a flow whose step works in a folder and writes its log file to a path."""
    cwd = f", cwd: '{folder}'" if folder else ""
    return flow(
        "- {id: s, type: external.process, inputs: {command: [echo, hi]"
        f"{cwd}, log: {{stdout: file, file_path: '{path}'}}}}}}"
    )


def test_a_plain_flow_runs(shop: CommandLine) -> None:
    assert shop.run("run", *OPTION).code == 0
    settings = shop.run("doctor", *OPTION, "--json").json()["settings"]
    mode = next(one for one in settings if one["name"] == "mode")
    assert (mode["value"], mode["source"]) == ("enterprise", "bundle")


@pytest.mark.parametrize(
    ("step", "mode", "code"),
    [
        ("trusted_step", "enterprise", 0),
        ("bundle_step", "enterprise", 2),
        ("inherited_step", "enterprise", 2),
        ("trusted_step", "internal_fast", 0),
        ("bundle_step", "internal_fast", 0),
        ("inherited_step", "internal_fast", 0),
    ],
)
def test_only_listed_plugin_paths_count(shop: CommandLine, step: str, mode: str, code: int) -> None:
    shop.write("bundle.yaml", MANIFEST.replace("mode: enterprise", f"mode: {mode}"))
    shop.write("share/flows/flow.yaml", flow(f"- {{id: s, type: {step}}}"))

    result = shop.run("run", *OPTION)

    assert result.code == code, result
    assert ("AF540" in result.err) is (code == 2)


def test_the_environment_alone_asks_for_the_mode_too(shop: CommandLine) -> None:
    shop.write("bundle.yaml", MANIFEST.replace("mode: enterprise\n", ""))
    shop.write("share/flows/flow.yaml", flow("- {id: s, type: bundle_step}"))
    assert shop.run("validate", *OPTION).code == 0

    shop.env["AETHERFLOW_MODE"] = "enterprise"

    assert "AF540" in shop.run("validate", *OPTION).err
    shop.write("plain.yaml", flow("- {id: s, type: inherited_step}"))
    assert "AF540" in shop.run("run", "plain.yaml").err


@pytest.mark.parametrize("place", ["elsewhere/log", "exchange/../elsewhere/log", "exchange/link/log"])
def test_an_absolute_path_elsewhere_is_refused(shop: CommandLine, place: str) -> None:
    (shop.folder / "elsewhere").mkdir()
    (shop.folder / "exchange" / "link").symlink_to(shop.folder / "elsewhere")
    shop.write("share/flows/flow.yaml", says(shop.folder / place))

    result = shop.run("run", *OPTION)

    assert result.code == 1
    assert "AF870: enterprise mode does not allow the path" in result.err
    assert list((shop.folder / "elsewhere").iterdir()) == []

    shop.write("bundle.yaml", MANIFEST.replace("mode: enterprise\n", ""))
    assert shop.run("run", *OPTION).code == 0
    assert (shop.folder / "elsewhere" / "log").exists()


def test_the_workspace_the_bundle_and_listed_paths_are_allowed(shop: CommandLine) -> None:
    allowed = shop.folder / "exchange" / "sub" / "log"
    in_workspace = shop.state.parent / "work" / "anywhere.log"
    for path in (allowed, in_workspace, "relative.log"):
        shop.write("share/flows/flow.yaml", says(path, "{{env.AETHERFLOW_ACTIVE_DIR}}"))
        result = shop.run("run", *OPTION)
        assert result.code == 0, result
    assert allowed.read_text() == in_workspace.read_text() == "hi\n"


def test_no_setting_lifts_the_restriction(shop: CommandLine) -> None:
    loose = {"AETHERFLOW_STRICT_SANDBOX": "false"}
    for path in (str(shop.folder / "elsewhere.log"), "../../../../../../elsewhere.log"):
        shop.write("share/flows/flow.yaml", says(path))
        result = shop.run("run", *OPTION, env=loose)
        assert result.code == 1
        assert "AF870" in result.err
    assert not (shop.folder / "elsewhere.log").exists()


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ("workspace: {root: PLACE}", "flow.workspace.root"),
        ("workspace: {layout: {artifacts: PLACE}}", "flow.workspace.layout.artifacts"),
        ("workspace: {layout: {artifacts: ../../../../../../..}}", "flow.workspace.layout.artifacts"),
        ("state: {path: PLACE/state.sqlite}", "flow.state.path"),
    ],
)
def test_a_flow_cannot_choose_another_workspace(shop: CommandLine, head: str, key: str) -> None:
    head = head.replace("PLACE", str(shop.folder / "elsewhere"))
    shop.write("share/flows/flow.yaml", OK.replace("flow: {id: f}", f"flow: {{id: f, {head}}}"))

    result = shop.run("run", *OPTION)

    assert result.code == 2, result
    assert f"error[AF871]: {key} is " in result.err
    assert not (shop.folder / "elsewhere").exists()


def test_a_flow_may_choose_a_workspace_in_a_listed_place(shop: CommandLine) -> None:
    head = f"flow: {{id: f, workspace: {{root: '{shop.folder}/exchange/w', cleanup_policy: never}}}}"
    shop.write("share/flows/flow.yaml", OK.replace("flow: {id: f}", head))

    assert shop.run("run", *OPTION).code == 0


def test_archive_drivers_come_from_the_list_only(shop: CommandLine) -> None:
    shop.write("share/flows/flow.yaml", flow("- {id: s, type: trusted_step, inputs: {driver: packer}}"))
    refused = shop.run("run", *OPTION)
    assert refused.code == 1
    assert "AF872: enterprise mode does not allow the archive driver 'packer'" in refused.err
    assert "listed: zipfile" in refused.err

    shop.write("share/flows/flow.yaml", flow("- {id: s, type: trusted_step, inputs: {driver: zipfile}}"))
    assert shop.run("run", *OPTION).code == 0

    shop.write("share/flows/flow.yaml", OK + "resources: {packer: {kind: archive, driver: packer}}\n")
    result = shop.run("validate", *OPTION)
    assert "flows/flow.yaml:7:37: error[AF872]" in result.err
    shop.write("bundle.yaml", MANIFEST.replace("[zipfile]", "[packer]"))
    assert shop.run("validate", *OPTION).code == 0


def test_an_env_file_of_the_bundle_cannot_change_settings(shop: CommandLine) -> None:
    shop.write("bundle.yaml", MANIFEST + "env_files: [{path: night.env}]\n")
    shop.write("share/night.env", "NIGHT=1\nAETHERFLOW_MODE=internal_fast\n")

    result = shop.run("run", *OPTION)

    assert result.code == 2
    assert "error[AF873]: bundle env file night.env sets AETHERFLOW_MODE" in result.err
    shop.write("share/night.env", "NIGHT=1\n")
    assert shop.run("run", *OPTION).code == 0
