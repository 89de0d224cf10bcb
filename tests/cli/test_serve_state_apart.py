"""`serve --state`: the schedule is in that database, and every message says where the runs are."""

from __future__ import annotations

import signal

from tests.cli.command_line import OK, CommandLine

SCHEDULE = "version: 1\nitems: [{id: a, interval_seconds: 1, flow_yaml: flow.yaml}]\n"


def test_runs_of_flows_without_a_state_are_in_the_usual_database_and_it_is_said(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("s.yaml", SCHEDULE)
    with cli.start("serve", "s.yaml", "--state", "apart.sqlite", "--log-format", "json") as server:
        run_id = server.event("run_summary", status="SUCCESS")["run_id"]
        server.send(signal.SIGTERM)
        said = server.end().err

    apart, usual = (
        cli.run("runs", "list", "--state", "apart.sqlite"),
        cli.run("runs", "list", "--json").json(),
    )

    assert f"--state is for the schedule: a flow without a state.path has its runs in {cli.state}" in said
    assert apart.out == "there are no runs yet\n"
    assert "items have started runs that are not in this database" in apart.err
    assert run_id in {run["run_id"] for run in usual["runs"]}
    assert "not in this database" not in cli.run("runs", "list", "--flow", "nix").err
