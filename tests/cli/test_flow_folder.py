"""What lies beside a flow can be named: `{{flow.dir}}`, `cwd: flow`, AETHERFLOW_FLOW_DIR."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bundle_files import MANIFEST, OPTION, root, with_bundle
from tests.cli.command_line import CommandLine, flow

TOOL = '#!/bin/sh\necho "at $(pwd) of ${AETHERFLOW_FLOW_DIR:-nobody} with $*"\n'
CAPTURE = "log: {stdout: capture}"


def tool(cli: CommandLine, name: str = "flows/tool.sh") -> Path:
    path = cli.write(name, TOOL)
    path.chmod(0o755)
    return path


def outputs(cli: CommandLine) -> list[str]:
    rows = cli.query("select outputs ->> 'stdout' from step_state order by started_at")
    return [str(text).strip() for (text,) in rows]


def test_a_script_beside_the_flow_is_found_wherever_the_flow_is_run_from(cli: CommandLine) -> None:
    tool(cli)
    cli.write(
        "flows/flow.yaml",
        flow(f"""
- {{id: a, type: external.process, inputs: {{command: [./tool.sh, x], cwd: flow, {CAPTURE}}}}}
- id: b
  type: external.process
  inputs: {{command: ["{{{{flow.dir}}}}/tool.sh", y], inherit_env: false, {CAPTURE}}}
- id: c
  type: external.process
  inputs: {{command: [sh, -c, 'wc -l < "$AETHERFLOW_FLOW_FILE"'], {CAPTURE}}}
"""),
    )
    (cli.folder / "else").mkdir()
    done = cli.bash("cd else && aetherflow run ../else/../flows/flow.yaml")
    assert done.code == 0, done.err
    here = cli.folder / "flows"
    first, second, lines = outputs(cli)
    assert first == f"at {here} of {here} with x"
    assert second.endswith(f"/artifacts of {here} with y")
    assert int(lines) == 12


def test_a_folder_that_is_called_flow_is_written_with_a_dot(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        flow("""
- {id: make, type: external.process, inputs: {command: [mkdir, flow], cwd: artifacts}}
- {id: use, type: external.process, inputs: {command: [pwd], cwd: ./flow, log: {stdout: capture}}}
"""),
    )
    done = cli.run("run", "flow.yaml")
    assert done.code == 0, done.err
    assert outputs(cli)[1].endswith("/artifacts/flow")


def test_a_flow_names_its_folder_in_its_own_keys_and_in_resources(cli: CommandLine) -> None:
    cli.write(
        "flows/flow.yaml",
        flow(
            "- {id: s, type: db_extract, inputs: {resource: r, sql: select 1, output: o.tsv}}",
            head="flow:\n  id: f\n  state: {path: '{{flow.dir}}/s.db'}\n"
            "  workspace: {root: '{{flow.dir}}/{{flow.id}}'}\n"
            "resources:\n  r: {kind: db, driver: sqlite3, config: {path: '{{flow.dir}}/x.db'}}",
        ),
    )
    done = cli.run("run", "flows/flow.yaml")
    assert done.code == 0, done.err
    assert {path.name for path in (cli.folder / "flows").iterdir()} >= {"s.db", "f", "x.db"}


def test_a_wrong_name_below_flow_is_found_by_validate(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow('- {id: s, type: check_items, inputs: {items: ["{{flow.path}}"]}}'))
    found = cli.run("validate", "flow.yaml")
    assert found.code == 2
    assert "flow.yaml:6:56: error[AF403]: 'flow.path' is not known" in found.err
    assert "flow has id, dir, file" in found.err


def test_a_resumed_run_sees_the_folder_of_the_file_that_is_given_now(cli: CommandLine) -> None:
    text = flow("""
- {id: a, type: external.process, inputs: {command: ["{{flow.dir}}/tool.sh"], log: {stdout: capture}}}
- {id: b, type: external.process, inputs: {command: [test, -e, "{{flow.dir}}/go"]}}
""")
    tool(cli, "one/tool.sh")
    tool(cli, "two/tool.sh")
    cli.write("one/flow.yaml", text)
    cli.write("two/flow.yaml", text)
    cli.write("two/go", "")
    assert cli.run("run", "one/flow.yaml", "--run-id", "r").code == 1
    done = cli.run("run", "two/flow.yaml", "--run-id", "r")
    assert done.code == 0, done.err
    assert f"of {cli.folder}/one with" in outputs(cli)[0]  # it is not run again


def test_without_a_bundle_the_folders_of_one_are_the_workspace_root(cli: CommandLine) -> None:
    names = ("LOCAL_ROOT_DIR", "ACTIVE_DIR", "CACHE_DIR")
    seen = " ".join(f"$AETHERFLOW_{name}" for name in names)
    given = " ".join(f"{{{{env.AETHERFLOW_{name}}}}}" for name in names)
    cli.write(
        "flow.yaml",
        flow(
            f"""
- {{id: a, type: external.process, inputs: {{command: 'echo "{seen}"', shell: true, {CAPTURE}}}}}
- {{id: b, type: external.process, inputs: {{command: [echo, "{given}"], {CAPTURE}}}}}
""",
            head="flow:\n  id: f\n  params: {day: {type: string, default: x}}\n"
            '  workspace: {root: "work/{{params.day}}"}',
        ),
    )
    checked = cli.run("validate", "flow.yaml")
    assert (checked.code, checked.err) == (0, "")
    done = cli.run("run", "flow.yaml", "--param", "day=mon", env={"AETHERFLOW_ACTIVE_DIR": "/of/another/run"})
    assert done.code == 0, done.err
    assert outputs(cli) == [" ".join([f"{cli.folder}/work/mon"] * 3)] * 2


@pytest.mark.parametrize("mode", ["internal_fast", "enterprise"])
def test_a_flow_of_a_bundle_has_its_folder_in_the_snapshot(cli: CommandLine, mode: str) -> None:
    manifest = MANIFEST.replace("version: 1", f"version: 1\nmode: {mode}")
    with_bundle(cli).write("bundle.yaml", manifest)
    cli.write("share/flows/tool.sh", TOOL)
    cli.write(
        "share/flows/hello.yaml",
        flow(
            f"""
- {{id: a, type: external.process, inputs: {{command: [sh, tool.sh, x], cwd: flow, {CAPTURE}}}}}
- {{id: b, type: external.process, inputs: {{command: [touch, made]}}}}
""",
            head="flow: {id: hello, state: {path: own/s.db}, workspace: {root: mine, cleanup_policy: never}}",
        ),
    )
    done = cli.run("run", *OPTION)
    assert done.code == 0, done.err
    snapshot = root(cli) / "snapshots" / (root(cli) / "active").readlink().name
    own = cli.state.parent / "own/s.db"
    assert cli.query("select outputs ->> 'stdout' from step_state where step_id = 'a'", own) == [
        (f"at {snapshot}/flows of {snapshot}/flows with x",)
    ]
    assert list((cli.state.parent / "work/mine/hello/a").rglob("made"))


class TestANameThatNoShellReplaces:
    """A folder that is literally called `~` or `$HOME` is never made."""

    @pytest.mark.parametrize(
        "inputs",
        [
            "command: [pwd], cwd: ~/x",
            "command: [pwd], log: {stdout: file, file_path: ~/log.txt}",
            "command: [pwd], success: {require_files: [$HOME/x]}",
            "command: [pwd], success: {marker_file: ~root/x}",
        ],
    )
    def test_in_the_inputs_of_a_program(self, cli: CommandLine, inputs: str) -> None:
        cli.write("flow.yaml", flow(f"- {{id: s, type: external.process, inputs: {{{inputs}}}}}"))
        self.refused(cli)

    def test_in_an_output(self, cli: CommandLine) -> None:
        cli.write(
            "flow.yaml",
            flow(
                "- {id: s, type: db_extract, inputs: {resource: r, sql: select 1, output: ~/o.tsv}}",
                head="flow: {id: f}\nresources: {r: {kind: db, driver: sqlite3, config: {path: ':memory:'}}}",
            ),
        )
        self.refused(cli)

    def test_from_a_variable_when_the_step_runs(self, cli: CommandLine) -> None:
        inputs = "command: [pwd], success: {require_files: ['{{env.OUT}}/x']}"
        cli.write("flow.yaml", flow(f"- {{id: s, type: external.process, inputs: {{{inputs}}}}}"))
        done = cli.run("run", "flow.yaml", env={"OUT": "~"})
        assert done.code == 1
        assert "AF142: the path '~/x' begins with ~" in done.err

    def test_in_the_layout_of_the_workspace(self, cli: CommandLine) -> None:
        head = "flow: {id: f, workspace: {layout: {artifacts: '{{env.OUT}}/x'}}}"
        cli.write("flow.yaml", flow("- {id: s, type: external.process, inputs: {command: [pwd]}}", head=head))
        done = cli.run("run", "flow.yaml", env={"OUT": "$HOME"})
        assert done.code == 2
        assert "AF142" in done.err

    @staticmethod
    def refused(cli: CommandLine) -> None:
        found = cli.run("validate", "flow.yaml")
        assert found.code == 2
        assert "error[AF142]" in found.err
        done = cli.run("run", "flow.yaml")
        assert done.code == 2
        assert "AF142" in done.err
        assert "{{env.HOME}}" in done.err
        assert [path for path in cli.folder.rglob("*") if path.name.startswith(("~", "$"))] == []
