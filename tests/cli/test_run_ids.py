"""Ids as other schedulers make them: runs named by their time; flows, jobs, steps with a digit first."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.cli_hints import cancel_command, retry_command, show_command
from aetherflow.errors import UsageError
from aetherflow.run_ids import folder_name
from aetherflow.runs.run_request import check_run_id
from tests.cli.command_line import CommandLine, no_trace

RUN = "scheduled__2026-01-01T00:00:00+00:00"
FOLDER = "scheduled__2026-01-01T00=00=00+00=00"
FLOW = """\
version: 1
flow: {id: 2nd-flow, workspace: {cleanup_policy: never}}
jobs:
  - id: 1st
    steps:
      - id: 01_pull
        type: external.process
        inputs:
          command: [sh, -c, 'echo "$AETHERFLOW_RUN_ID"; pwd; echo 3 > rows']
          cwd: "."
      - id: 2
        type: check_items
        inputs: {items: ["{{steps.01_pull.exit_code}}", "{{run_id}}"]}
        outputs: {rows: "{{result.count}}", times: "{{steps.01_pull.attempts}}"}
  - id: 2nd
    depends_on: [1st]
    when: jobs.1st.outputs.rows == 2
    for_each: [a]
    steps:
      - id: s
        type: external.process
        inputs: {command: [sh, -c, 'test -f go'], cwd: "{{env.HOME}}"}
"""


@pytest.mark.parametrize(
    "run_id", [RUN, "a", "manual__2026-01-01T00:00:00.123456+00:00", "x" * 128, "a:b", "+1", "...a"]
)
def test_ids_of_other_schedulers_are_run_ids(run_id: str) -> None:
    check_run_id(run_id)
    assert Path(folder_name(run_id)).parts == (folder_name(run_id),)
    assert ":" not in folder_name(run_id)


@pytest.mark.parametrize(
    "run_id", ["", ".", "..", "...", "a/b", "a\\b", "a=b", "a b", "a\n", "x" * 129, "ä", "%2e"]
)
def test_what_could_name_another_folder_is_no_run_id(run_id: str) -> None:
    with pytest.raises(UsageError, match="is not a run id"):
        check_run_id(run_id)


def test_two_ids_never_share_a_folder() -> None:
    assert folder_name("a:b") != folder_name("a.b") != folder_name("a_b")


@pytest.mark.parametrize("run_id", [RUN, "-x", "a"])
@pytest.mark.parametrize("command", [show_command, cancel_command, retry_command])
def test_a_hint_names_the_run_also_if_it_looks_like_an_option(
    run_id: str, command: Callable[[str, str], str]
) -> None:
    text = command(run_id, "/my states/s.sqlite")

    words = shlex.split(text)
    assert run_id in words
    assert words[words.index("--state") + 1] == "/my states/s.sqlite"
    assert run_id[:1] != "-" or words[-2:] == ["--", run_id]


def test_a_run_named_by_its_time_works_with_every_command(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW)

    failed = cli.run("run", "flow.yaml", "--run-id", RUN)
    assert failed.code == 1
    (resume,) = re.findall(r" resume: (.*)", failed.err)
    assert resume == f"aetherflow runs retry {RUN} --state {cli.state}"

    job = cli.state.parent / "work" / "2nd-flow" / "1st" / FOLDER
    assert (job / "artifacts" / "rows").read_text() == "3\n"
    logs = cli.state.parent / "aetherflow.logs" / FOLDER
    assert (logs / "1st" / "01_pull.1.log").read_text() == f"{RUN}\n{job}/artifacts\n"
    assert f"{RUN}\n" in cli.run("logs", RUN).out
    shown = cli.run("runs", "show", RUN, "--json").json()
    assert shown["run"]["run_id"] == RUN
    assert {one["job_id"] for one in shown["steps"]} == {"1st", "2nd[0]"}

    cli.write("go", "")
    resumed = cli.bash(resume)
    assert resumed.code == 0, resumed
    again = cli.run("run", "flow.yaml", "--run-id", RUN, "--rerun", "1st.01_pull", "--flow-job", "1st")
    assert again.code == 0, again
    pruned = cli.run("runs", "prune", "--keep-days", "0", "--json")
    assert [one["run_id"] for one in pruned.json()["runs"]] == [RUN]
    assert not logs.exists()
    assert all(no_trace(one) for one in (failed, resumed, again, pruned))
