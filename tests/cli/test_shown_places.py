"""`run --dry-run` and `graph` show where steps run, without a connection; local flows are shown as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.command_line import CommandLine, Result
from tests.servers.free_port import silent_port

ITEMS = "type: check_items, inputs: {items: [x]}"
LOCK = f"type: with_lock, inputs: {{lock_key: k, step: {{{ITEMS}}}}}"
PLACED = f"""\
version: 1
flow: {{id: f, executor: {{dask: {{address: "tcp://127.0.0.1:PORT"}}}}}}
jobs:
  - id: load
    runs_on: big
    resources: {{SFTP: 1}}
    steps:
      - {{id: copy, {ITEMS}}}
      - {{id: more, resources: {{SFTP: 2.5}}, {ITEMS}}}
      - {{id: check, executor: local, {ITEMS}}}
      - {{id: guarded, {LOCK}}}
  - id: report
    depends_on: [load]
    steps: [{{id: s, executor: local, {ITEMS}}}]
"""
PLAIN = f"version: 1\nflow: {{id: f}}\njobs: [{{id: a, steps: [{{id: s, {ITEMS}}}]}}]\n"
NEEDS = {"runs_on": "big"}


@pytest.fixture
def placed(cli: CommandLine) -> Iterator[CommandLine]:
    """A flow on a cluster that is not there."""
    with silent_port() as port:
        cli.write("flow.yaml", PLACED.replace("PORT", str(port)))
        yield cli


def plan(cli: CommandLine, *options: str) -> Result:
    result = cli.run("run", "flow.yaml", "--dry-run", *options)
    assert result.code == 0, result
    return result


def test_the_plan_says_of_each_step_where_it_runs(placed: CommandLine) -> None:
    assert plan(placed).out.splitlines() == [
        "load",
        "    copy: check_items  [on dask; runs_on big; resources SFTP=1]",
        "    more: check_items  [on dask; runs_on big; resources SFTP=2.5]",
        "    check: check_items  [on local]",
        "    guarded: with_lock  [on local]",
        "report  [needs load]",
        "    s: check_items  [on local]",
    ]
    load, report = plan(placed, "--json").json()["jobs"]
    assert load["places"] == {
        "copy": {"executor": "dask", "resources": {"SFTP": 1.0}, **NEEDS},
        "more": {"executor": "dask", "resources": {"SFTP": 2.5}, **NEEDS},
        "check": {"executor": "local"},
        "guarded": {"executor": "local"},
    }
    assert report["places"] == {"s": {"executor": "local"}}


def test_the_plan_follows_the_option_and_the_setting(cli: CommandLine) -> None:
    cli.write("flow.yaml", PLAIN)
    everywhere = ["a", "    s: check_items  [on dask]"]
    assert plan(cli, "--executor", "dask").out.splitlines() == everywhere
    by_setting = cli.run("run", "flow.yaml", "--dry-run", env={"AETHERFLOW_EXECUTOR": "dask"})
    assert by_setting.out.splitlines() == everywhere


def test_a_warning_about_the_option_names_it_without_a_line(cli: CommandLine) -> None:
    cli.write("flow.yaml", PLAIN)
    by_variable = {"AETHERFLOW_EXECUTORS_JSON": '{"dask": {"address": "tcp://10.0.0.7:8786"}}'}
    result = cli.run("run", "flow.yaml", "--dry-run", "--executor", "dask", env=by_variable)
    assert result.err.startswith(
        "--executor: warning[AF825]: executor dask: tcp://10.0.0.7:8786 has no security"
    )


def test_the_plan_of_a_flow_that_stays_here_says_nothing_of_places(placed: CommandLine) -> None:
    result = plan(placed, "--executor", "local", "--json").json()
    assert all("places" not in job for job in result["jobs"])
    needs = [one for one in result["diagnostics"] if one["code"] == "AF822"]
    assert {one["line"] for one in needs} == {5, 6, 9}, "nobody looks at what its steps need"


def test_the_graph_says_what_the_file_says(placed: CommandLine) -> None:
    drawn = placed.run("graph", "flow.yaml")
    assert (drawn.code, drawn.err) == (0, "")
    assert "load  (4 steps, on dask and local, runs_on big, resources SFTP=2.5)\n" in drawn.out
    assert "report  (1 step, on local)\n" in drawn.out
    load, report = placed.run("graph", "flow.yaml", "--json").json()["jobs"]
    placed_so = {"executors": ["dask", "local"], "runs_on": ["big"], "resources": {"SFTP": 2.5}}
    assert load == {"id": "load", "steps": 4, **placed_so}
    assert report == {"id": "report", "steps": 1, "executors": ["local"]}
    node = "load<br/>on dask and local<br/>runs_on big<br/>resources SFTP=2.5"
    assert f'["{node}"]' in placed.run("graph", "flow.yaml", "--format", "mermaid").out


def test_the_graph_of_a_flow_that_stays_here_says_nothing_of_places(cli: CommandLine) -> None:
    cli.write("flow.yaml", PLAIN.replace("id: s, ", "id: s, executor: local, "))
    assert "(1 step)" in cli.run("graph", "flow.yaml").out
    assert cli.run("graph", "flow.yaml", "--json").json()["jobs"] == [{"id": "a", "steps": 1}]
