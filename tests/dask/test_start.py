"""Which steps go to workers, and what is refused before a run begins: then nothing is stored of it."""

from __future__ import annotations

from typing import Any

from tests.cli.command_line import CommandLine, Result
from tests.servers.free_port import silent_port

ITEMS = "type: check_items, inputs: {items: [x]}"
LOCK = "type: with_lock, inputs: {lock_key: k, step: {type: check_items, inputs: {items: [x]}}}"
FLOW = """\
version: 1
flow: {{id: f, executor: {{dask: {{{options}}}}}}}
jobs:
  - id: a
    {needs}
    steps:
      - {{id: there, {items}}}
      - {{id: here, executor: local, {items}}}
      - {{id: locked, {lock}}}
"""


def flow(cli: CommandLine, options: str, needs: str = "description: x") -> None:
    cli.write("flow.yaml", FLOW.format(options=options, needs=needs, items=ITEMS, lock=LOCK))


def run(cli: CommandLine, *options: str) -> Result:
    return cli.run("run", "flow.yaml", "--log-format", "json", *options)


def placed(result: Result) -> list[Any]:
    return [event["step_id"] for event in result.lines() if event.get("event") == "step_placed"]


def has_runs(cli: CommandLine) -> bool:
    listed = cli.run("runs", "list", "--json")
    assert listed.code == 0, listed
    return bool(listed.json()["runs"])


def test_steps_go_where_they_say_and_needs_are_met(cli: CommandLine) -> None:
    flow(cli, "labels: [gpu], resources: {SFTP: 1}", "runs_on: gpu\n    resources: {SFTP: 1}")

    result = run(cli)

    assert result.code == 0, result
    assert placed(result) == ["there"]


def test_the_option_wins_over_the_flow_but_not_over_a_step(cli: CommandLine) -> None:
    with silent_port() as port:
        flow(cli, f'address: "tcp://127.0.0.1:{port}"')

        result = run(cli, "--executor", "local")

    assert result.code == 0, result
    assert placed(result) == []


def test_a_label_that_no_worker_has_is_refused_and_nothing_is_stored(cli: CommandLine) -> None:
    flow(cli, "labels: [gpu]", "runs_on: fast")

    result = run(cli)

    assert result.code == 2, result
    assert "AF827" in result.err
    assert "offers what step a.there needs: runs_on: fast" in result.err
    assert not has_runs(cli)


def test_a_cluster_that_does_not_answer_is_a_matter_of_time_and_nothing_is_stored(cli: CommandLine) -> None:
    with silent_port() as port:
        flow(cli, f'address: "tcp://127.0.0.1:{port}", connect_within: 1s')

        result = run(cli)

    assert result.code == 75, result
    assert "AF883" in result.err
    assert not has_runs(cli)


def test_a_misspelt_executor_in_the_variable_is_named(cli: CommandLine) -> None:
    env = {"AETHERFLOW_EXECUTOR": "dask", "AETHERFLOW_EXECUTORS_JSON": '{"dsak": {"workers": 1}}'}
    cli.write("plain.yaml", f"version: 1\nflow: {{id: g}}\njobs: [{{id: a, steps: [{{id: s, {ITEMS}}}]}}]\n")

    result = cli.bash("aetherflow validate plain.yaml", env=env)

    assert result.code == 2, result
    assert "there is no executor 'dsak'" in result.err
    assert "did you mean 'dask'?" in result.err
