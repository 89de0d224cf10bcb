"""A cluster that does not answer yet is waited for; the person sees once for what; Ctrl-C ends the wait."""

from __future__ import annotations

import signal

from tests.cli.command_line import CommandLine, no_trace
from tests.dask.cluster import Cluster
from tests.servers.free_port import free_port

FLOW = """\
version: 1
flow: {{id: f, executor: {{dask: {{address: "{address}", connect_within: {within}}}}}}}
jobs: [{{id: a, steps: [{{id: s, type: check_items, inputs: {{items: [x]}}}}]}}]
"""


def flow(cli: CommandLine, address: str, within: str) -> None:
    cli.write("flow.yaml", FLOW.format(address=address, within=within))


def test_ctrl_c_ends_the_wait_for_a_scheduler(cli: CommandLine) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    flow(cli, address, "10h")
    waiting = f"waiting for the Dask scheduler at {address} (up to 36000 s)"

    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as running:
        notice = running.event("notice", message=waiting)
        running.send(signal.SIGINT)
        result = running.end()

    assert (result.code, no_trace(result)) == (130, True), result
    assert (notice["level"], notice["run_id"]) == ("info", "r")
    assert "waiting for" not in result.out
    assert cli.query("select status from runs") == [("CANCELLED",)]


def test_the_log_says_what_was_awaited_in_vain(cli: CommandLine) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    flow(cli, address, "5s")

    result = cli.run("run", "flow.yaml")

    assert (result.code, result.out) == (75, ""), result
    first, error, hint = result.err.splitlines()
    assert first.endswith(f"INFO  waiting for the Dask scheduler at {address} (up to 5 s)")
    assert error.startswith(f"error[AF883]: the Dask cluster at {address} cannot be used: ")
    assert error.endswith("; it was tried for 5 s")
    assert "hint: start its scheduler (dask scheduler) and workers" in hint


def test_a_first_worker_is_awaited_and_the_run_begins_with_it(cli: CommandLine, cluster: Cluster) -> None:
    flow(cli, cluster.address, "10h")

    with cli.start("run", "flow.yaml", "--log-format", "json") as running:
        for event in running.events():
            assert event["event"] == "notice", "the run began without a worker"
            if event["message"].startswith("waiting for a first worker"):
                break
        assert f"aetherflow worker {cluster.address} (up to " in event["message"]
        cluster.start_worker("late")
        result = running.end()

    assert (result.code, no_trace(result)) == (0, True), result
    assert "waiting for" not in result.out
