"""Plugins as they were written for AetherFlow 0.0.x, unchanged, in real flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import CommandLine, no_trace

PLUGINS = Path(__file__).parent / "plugins"
SECRETS = "def decode(value):\n    return {'coded': 'open sesame'}.get(value, value)\n"
NEW_CONNECTOR = """
from aetherflow import Connector, connector

@connector("new:made")
class Made(Connector):
    @classmethod
    async def open(cls, resource):
        return cls()

    async def aclose(self): ...

    async def answer(self, text, *, twice):
        import anyio
        await anyio.sleep(0)
        return text * (2 if twice else 1)

    def plain(self):
        return "plain"
"""

SHARE_STEP = """
from pathlib import Path
from aetherflow.core.api import STEP_SUCCESS, Step, StepResult, register_step

@register_step("tidy_share")
class TidyShare(Step):
    def run(self):
        nas = self.ctx.connectors.smb("nas")
        nas.mkdir_recursive("new/deep")
        nas.write_bytes("DATA:/new/deep/a.txt", b"abc")
        local = Path(self.inputs["local"])
        nas.download("new/deep/a.txt", str(local))
        nas.upload(str(local), "new/b.txt")
        listed = [(one.path, one.name, one.is_dir, one.size) for one in nas.list("DATA:/new")]
        read = nas.read_bytes("new/b.txt").decode()
        nas.delete("new/b.txt")
        nas.delete_recursive("new/deep")
        return StepResult(STEP_SUCCESS, {"listed": listed, "read": read, "left": len(nas.list("new"))})
"""


@pytest.fixture
def old(cli: CommandLine) -> CommandLine:
    """A folder with a drop box, an environment that names the old plugins, and a provider of secrets."""
    cli.write("box/in/a.csv", "1,2\n")
    cli.write("box/in/b.csv", "3,4\n")
    cli.write("box/in/note.txt", "hello\n")
    (cli.folder / "public").mkdir()
    cli.env |= {
        "AETHERFLOW_PLUGIN_PATHS": str(PLUGINS),
        "AETHERFLOW_SECRETS_PATH": str(cli.write("secrets.py", SECRETS)),
        "BOX_TOKEN": "coded",
        "PUBLISH_ROOT": str(cli.folder / "public"),
    }
    return cli


def resource(folder: Path, *, decode: bool = True) -> str:
    """Return the resource `box`."""
    reported = ", decode: {config: {token: true}}" if decode else ""
    config = f'{{base_dir: {folder}/box, token: "{{{{env.BOX_TOKEN}}}}"}}'
    return f"resources:\n  box: {{kind: dropbox, driver: folder, config: {config}{reported}}}\n"


def head(folder: Path) -> str:
    """Return the head of a flow whose files stay."""
    return f"version: 1\nflow: {{id: old, workspace: {{root: {folder}/work, cleanup_policy: never}}}}\n"


def one(step_type: str, inputs: str = "{}", more: str = "") -> str:
    """Return a job `a` with one step `s`."""
    return f"jobs:\n  - id: a\n    steps:\n      - {{id: s, type: {step_type}, inputs: {inputs}{more}}}\n"


def outputs(cli: CommandLine, step: str = "s") -> Any:
    """Return the outputs of a step."""
    import json  # noqa: PLC0415 - only here

    return json.loads(cli.query(f"select outputs from step_state where step_id = '{step}'")[0][0])


FETCH = """
jobs:
  - id: probe
    steps:
      - id: list
        type: dropbox_list
        inputs: {resource: box, remote_dir: in, pattern: "*.csv"}
        on_no_data: skip_job
        outputs: {files: "{{result.files}}", has_data: "{{result.has_data}}"}
  - id: fetch
    depends_on: [probe]
    when: jobs.probe.outputs.has_data == true
    steps:
      - id: get
        type: dropbox_fetch
        inputs: {resource: box, files: "{{jobs.probe.outputs.files}}"}
      - id: publish
        type: publish_report
        inputs: {report: "{{steps.get.dest_dir}}/a.csv", target: report.csv}
"""


def test_a_flow_lists_fetches_and_publishes(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + resource(old.folder) + FETCH)

    result = old.run("run", "flow.yaml", "--run-id", "r")

    assert result.code == 0, result
    artifacts = old.folder / "work/old/fetch/r/artifacts"
    assert outputs(old, "list")["files"] == ["in/a.csv", "in/b.csv"]
    assert outputs(old, "get")["local_files"] == [str(artifacts / "in/a.csv"), str(artifacts / "in/b.csv")]
    assert len(outputs(old, "get")["checksums"][0]["sha256"]) == 64
    published = outputs(old, "publish")
    assert (published["published"], published["again"]) == (True, False)
    assert Path(published["manifest"]).read_text() == '{"run": "r", "step": "publish"}'
    assert (old.folder / "public/report.csv").read_text() == "1,2\n"
    assert "2 files match *.csv" in result.err
    assert old.run("locks", "list", "--json").json()["locks"] == []


def test_a_connector_is_made_once_per_run_and_closed_at_its_end(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + resource(old.folder) + FETCH)

    assert old.run("run", "flow.yaml").code == 0

    assert (old.folder / "box/connector.log").read_text() == "opened for old\nclosed\n"


def test_a_resumed_run_does_not_run_its_steps_again(old: CommandLine) -> None:
    old.write(
        "flow.yaml", head(old.folder) + resource(old.folder) + FETCH.replace("report.csv", "no/folder.csv")
    )
    first = old.run("run", "flow.yaml", "--run-id", "r")
    assert first.code == 1
    assert no_trace(first)
    (old.folder / "public/no").mkdir()

    second = old.run("run", "flow.yaml", "--run-id", "r")

    assert second.code == 0
    assert "kept: probe.list (SUCCESS), fetch.get (SUCCESS)" in second.err
    assert (old.folder / "box/connector.log").read_text() == "opened for old\nclosed\n"
    assert old.run("locks", "list", "--json").json()["locks"] == []


def test_a_step_without_data_is_skipped_with_its_outputs(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + resource(old.folder) + FETCH.replace("*.csv", "*.pdf"))

    assert old.run("run", "flow.yaml").code == 0

    assert old.query("select step_id, status, reason from step_state") == [("list", "SKIPPED", "no files")]
    assert outputs(old, "list") == {"has_data": False, "count": 0, "files": [], "reason": "no files"}
    assert ("probe", "SKIPPED") in old.query("select job_id, status from job_state")


def test_what_the_secrets_provider_decoded_is_used_and_never_shown(old: CommandLine) -> None:
    flow = head(old.folder) + resource(old.folder) + one("dropbox_list", "{resource: box, remote_dir: in}")
    old.write("flow.yaml", flow)
    old.write("secrets.py", SECRETS.replace("open sesame", "open barley"))

    result = old.run("run", "flow.yaml")

    assert result.code == 1
    assert "drop box box: wrong token '***'" in result.err
    assert "open barley" not in result.err + str(old.query("select event from events"))


def test_a_connector_error_is_one_of_the_connection_and_retried_as_such(old: CommandLine) -> None:
    more = ", retry: {max_attempts: 2, backoff_seconds: 0, retry_on: [connection]}"
    step = one("dropbox_fetch", "{resource: box, files: [in/none.csv]}", more)
    old.write("flow.yaml", head(old.folder) + resource(old.folder) + step)

    result = old.run("run", "flow.yaml")

    assert result.code == 1
    assert "not in the drop box: in/none.csv" in result.err
    assert old.query("select attempt from step_state") == [(2,)]
    assert no_trace(result)


def test_a_missing_input_is_named(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + one("publish_report"))

    result = old.run("run", "flow.yaml")

    assert result.code == 1
    assert "step s needs the inputs report, target" in result.err


def test_a_lock_that_another_step_holds_is_not_taken(old: CommandLine) -> None:
    report = old.write("report.txt", "x")
    step = f"{{type: publish_report, inputs: {{report: {report}, target: r.txt}}}}"
    old.write(
        "flow.yaml", head(old.folder) + one("with_lock", f'{{lock_key: "publish:r.txt", step: {step}}}')
    )

    assert old.run("run", "flow.yaml").code == 0

    assert old.query("select status, reason from step_state") == [("SKIPPED", "somebody else publishes")]


def test_a_lock_that_a_step_forgets_ends_with_it(old: CommandLine) -> None:
    steps = "".join(f"      - {{id: {name}, type: forgets_its_lock, inputs: {{key: k}}}}\n" for name in "st")
    old.write("flow.yaml", head(old.folder) + "jobs:\n  - id: a\n    steps:\n" + steps)

    assert old.run("run", "flow.yaml").code == 0

    assert [outputs(old, "s"), outputs(old, "t")] == [{"taken": True}, {"taken": True}]
    assert old.run("locks", "list", "--json").json()["locks"] == []


def test_a_lock_key_with_a_secret_is_refused(old: CommandLine) -> None:
    step = one("forgets_its_lock", '{key: "{{env.MY_PASSWORD}}"}')
    old.write("flow.yaml", head(old.folder) + step)

    result = old.run("run", "flow.yaml", env={"MY_PASSWORD": "hunter2hunter2"})

    assert result.code == 1
    assert "AF622" in result.err


def test_log_calls_are_shown_as_notices(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + one("says", "{what: dogs}"))

    result = old.run("run", "flow.yaml")

    assert result.code == 0
    assert "WARN" in next(line for line in result.err.splitlines() if "beware of dogs" in line)
    assert "went on: ValueError: bad value" in result.err
    assert "small_steps.py:24: wrong call of the log: TypeError: not enough arguments" in result.err
    assert "details" not in result.err
    assert "details" in old.run("run", "flow.yaml", "--debug").err


def test_connectors_are_made_in_whichever_way_they_know(old: CommandLine) -> None:
    resources = (
        "resources:\n  one: {kind: kv, driver: legacy, config: {key: 1}}\n"
        "  two: {kind: kv, driver: keyword, config: {key: v}, options: {prefix: p-}}\n"
    )
    old.write("flow.yaml", head(old.folder) + resources + one("reads_key_values", "{resources: [one, two]}"))

    assert old.run("run", "flow.yaml").code == 0

    assert outputs(old) == {"one": 1, "two": "p-v"}


def test_a_connector_of_the_new_kind_waits_for_an_old_step(old: CommandLine) -> None:
    old.write("new/made.py", NEW_CONNECTOR)
    resources = "resources:\n  new: {kind: new, driver: made}\n"
    old.write("flow.yaml", head(old.folder) + resources + one("asks_a_new_connector"))

    result = old.run("run", "flow.yaml", env={"AETHERFLOW_PLUGIN_PATHS": f"{PLUGINS},new"})

    assert result.code == 0, result
    assert outputs(old) == {"waited": "xx", "plain": "plain"}


def test_a_new_step_uses_a_connector_of_the_old_kind(old: CommandLine) -> None:
    source = (
        "from aetherflow import step\n\n@step('new_step')\nasync def new_step(context, inputs):\n"
        "    kv = await context.connector('one')\n    return {'key': kv.get('key')}\n"
    )
    old.write("new/made.py", source)
    resources = "resources:\n  one: {kind: kv, driver: legacy, config: {key: 7}}\n"
    old.write("flow.yaml", head(old.folder) + resources + one("new_step"))

    result = old.run("run", "flow.yaml", env={"AETHERFLOW_PLUGIN_PATHS": f"{PLUGINS},new"})

    assert result.code == 0, result
    assert outputs(old) == {"key": 7}


@pytest.mark.parametrize(
    ("step_type", "inputs", "expected"),
    [
        ("takes_context_and_inputs", "{value: 5}", {"echo": 5, "flow": "old"}),
        ("gives_its_id_by_keyword", "{x: 1}", {"id": "s", "job": "a", "inputs": {"x": 1}, "flow": "old"}),
        (
            "gives_its_step_id_by_keyword",
            "{x: 1}",
            {"id": "s", "job": "a", "inputs": {"x": 1}, "flow": "old"},
        ),
        ("without_a_base", "{x: 1}", {"id": "s", "job": "a", "dumps": '{"x": 1}'}),
        (
            "knows_the_types",
            "{}",
            {
                "steps": ["check_items", "says"],
                "connectors": ["db:sqlite3", "kv:legacy"],
                "layout": {"artifacts": "artifacts", "scratch": "scratch", "manifests": "manifests"},
                "under_root": "old/a/r/artifacts",
            },
        ),
    ],
)
def test_other_ways_to_write_a_step_work(
    old: CommandLine, step_type: str, inputs: str, expected: Any
) -> None:
    old.write("flow.yaml", head(old.folder) + one(step_type, inputs))

    result = old.run("run", "flow.yaml", "--run-id", "r")

    assert result.code == 0, result
    assert outputs(old) == expected


def test_a_status_that_is_none_is_refused(old: CommandLine) -> None:
    old.write("flow.yaml", head(old.folder) + one("bad_status"))

    result = old.run("run", "flow.yaml")

    assert result.code == 1
    assert "AF705" in result.err
    assert "'DONE'" in result.err


def test_types_of_old_plugins_are_listed_with_file_and_line(old: CommandLine) -> None:
    rows = {row["name"]: row for row in old.run("steps", "list", "--json").json()["steps"]}

    assert rows["dropbox_list"]["summary"] == "List the files of a drop box."
    assert rows["dropbox_list"]["source"].startswith(f"{PLUGINS}/steps/dropbox_steps.py:")
    shown = old.run("connectors", "show", "dropbox:folder")
    assert shown.out.startswith("dropbox:folder: A folder that plays a remote drop box.\n")


def test_a_name_that_ships_is_not_taken_over(old: CommandLine) -> None:
    source = "from aetherflow.core.api import Step, register_step\n\n@register_step('check_items')\n"
    source += "class C(Step):\n    def run(self): ...\n"
    old.write("over/c.py", source)
    old.write("flow.yaml", head(old.folder) + one("says", "{what: x}"))

    result = old.run("validate", "flow.yaml", env={"AETHERFLOW_PLUGIN_PATHS": f"{PLUGINS},over"})

    assert result.code == 2
    assert (
        f"{old.folder}/over/c.py:3:1: error[AF546]: the step type 'check_items' is registered" in result.err
    )


def test_a_step_of_0_0_uses_a_share_as_it_did(old: CommandLine) -> None:
    old.env["AETHERFLOW_PLUGIN_PATHS"] = str(old.write("tidy_share.py", SHARE_STEP))
    (old.folder / "shares/data").mkdir(parents=True)
    config = "{path: shares, share: data, server: nas01}"
    nas = f"resources:\n  nas: {{kind: smb, driver: folder, config: {config}}}\n"
    local = old.folder / "local.txt"
    old.write("flow.yaml", head(old.folder) + nas + one("tidy_share", f"{{local: {local}}}"))

    result = old.run("run", "flow.yaml", "--run-id", "r")

    assert result.code == 0, result
    assert outputs(old) == {
        "listed": [["DATA:/new/b.txt", "b.txt", False, 3], ["DATA:/new/deep", "deep", True, 0]],
        "read": "abc",
        "left": 0,
    }
