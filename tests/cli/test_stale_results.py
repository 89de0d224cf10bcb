"""Stale results by commands: said at the start, at the end and by `runs show`, also after a kill -9."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.cli.command_line import CommandLine

FLOW = """
version: 1
flow: {id: sales}
jobs:
  - id: load
    steps:
      - id: copy
        type: external.process
        inputs:
          command: [sh, -c, 'until test -e "$0/go"; do test -e "$0/wait" || exit 3; sleep 0.02; done', DIR]
  - id: collect
    when: jobs.load.status != 'RUNNING'
    steps:
      - {id: count, type: check_items, inputs: {items: ["{{jobs.load.status}}"]}}
"""


def test_a_stale_result_is_said_until_its_reader_runs_again(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    cli.write("flow.yaml", FLOW.replace("DIR", str(tmp_path)))
    failed = cli.run("run", "flow.yaml", "--run-id", "r")
    assert (failed.code, "stale: " in failed.err) == (1, False)
    (tmp_path / "wait").touch()
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as running:
        running.event("step_started", step_id="copy")
        running.process.kill()
        running.end()
    (tmp_path / "go").touch()
    killed = cli.run("runs", "show", "r")
    assert "INTERRUPTED" in killed.out
    assert "  stale: collect read load\n" in killed.out
    planned = cli.run("run", "flow.yaml", "--run-id", "r", "--dry-run")
    assert "stale: collect (read load)\n" in planned.out
    assert "runs again: load.copy (INTERRUPTED)\n" in planned.out
    done = cli.run("run", "flow.yaml", "--run-id", "r")
    assert done.code == 0
    assert "WARN  AF868: stale: collect read load; " in done.err
    repeat = f"repeat: aetherflow runs retry r --state {cli.state} --from collect\n"
    assert "  stale:  collect read load\n" in done.err
    assert f"  {repeat}" in done.err
    shown = cli.run("runs", "show", "r")
    assert f"  stale: collect read load\n  {repeat}" in shown.out
    assert cli.run("runs", "show", "r", "--json").json()["stale"] == {"collect": ["load"]}
    explained = cli.run("explain", "r", "collect", "--json").json()["explained"][0]
    assert "Its result is stale: it had read load, which ran again after it." in [
        reason["sentence"] for reason in explained["reasons"] if reason["kind"] == "stale"
    ]
    mended = cli.run(*shlex.split(repeat)[2:])
    assert (mended.code, "AF868" in mended.err) == (0, False)
    assert "  stale:" not in cli.run("runs", "show", "r").out.partition("resumed")[0]


def test_a_flow_that_refuses_stale_results_is_not_resumed_without_the_readers(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path)
    cli.write("flow.yaml", FLOW.replace("DIR", str(tmp_path)).replace("sales", "sales, on_stale: fail"))
    assert cli.run("run", "flow.yaml", "--run-id", "r").code == 1
    (tmp_path / "go").touch()
    refused = cli.run("run", "flow.yaml", "--run-id", "r")
    assert refused.code == 2
    assert "AF869" in refused.err
    assert "--rerun collect" in refused.err
    assert cli.query("select count(*) from events where event = 'run_resumed'") == [(0,)]
    done = cli.run("run", "flow.yaml", "--run-id", "r", "--rerun", "collect")
    assert (done.code, "stale: " in done.err) == (0, False)


def test_the_command_that_resumes_a_run_names_the_readers_where_stale_results_are_refused(
    tmp_path: Path,
) -> None:
    cli = CommandLine(tmp_path)
    cli.write("flow.yaml", FLOW.replace("DIR", str(tmp_path)).replace("sales", "sales, on_stale: fail"))
    failed = cli.run("run", "flow.yaml", "--run-id", "r", "--json")
    command = f"aetherflow runs retry r --state {cli.state} --from collect"
    assert failed.json()["resume"] == command
    assert f"  resume: {command}\n" in failed.err
    assert f"  resume: {command}\n" in cli.run("runs", "show", "r").out
    (tmp_path / "go").touch()
    assert cli.run(*shlex.split(command)[1:]).code == 0
