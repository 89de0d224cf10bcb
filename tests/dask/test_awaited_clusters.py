"""A cluster that does not answer yet is waited for; the person sees once for what; Ctrl-C ends the wait."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from tests.cli.command_line import CommandLine, no_trace
from tests.dask.cluster import Cluster
from tests.servers.free_port import silent_port

FLOW = """\
version: 1
flow: {{id: f, executor: {{dask: {{address: "{address}", connect_within: {within}}}}}}}
jobs: [{{id: a, steps: [{{id: s, type: check_items, inputs: {{items: [x]}}}}]}}]
"""


@pytest.fixture
def address() -> Iterator[str]:
    """Where nobody answers."""
    with silent_port() as port:
        yield f"tcp://127.0.0.1:{port}"


def flow(cli: CommandLine, address: str, within: str) -> None:
    cli.write("flow.yaml", FLOW.format(address=address, within=within))


def test_ctrl_c_ends_the_wait_for_a_scheduler(cli: CommandLine, address: str) -> None:
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


def test_the_log_says_what_was_awaited_in_vain(cli: CommandLine, address: str) -> None:
    flow(cli, address, "5s")

    result = cli.run("run", "flow.yaml")

    assert (result.code, result.out) == (75, ""), result
    first, error, hint = result.err.splitlines()
    assert first.endswith(f"INFO  waiting for the Dask scheduler at {address} (up to 5 s)")
    assert error.startswith(f"error[AF883]: the Dask cluster at {address} cannot be used: ")
    assert error.endswith("; it was tried for 5 s")
    assert hint.strip() == "hint: start it: dask scheduler; or correct address and security"


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


def test_a_worker_that_cannot_have_its_port_does_not_try_for_ever(cli: CommandLine, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = cli.run("worker", address, "--listen", f"tcp://127.0.0.1:{port}")

    assert (result.code, no_trace(result)) == (2, True), result
    assert "Address already in use" in result.err
    assert "error[AF814]: the worker does not start; why is above" in result.err


def test_a_worker_says_that_it_waits_for_its_scheduler(cli: CommandLine, address: str) -> None:
    with cli.start("worker", address, "--log-format", "json") as running:
        running.event("worker", message=f"waiting for the scheduler at {address} (up to 60 s)")
        running.send(signal.SIGTERM)
        result = running.end()

    assert (result.code, no_trace(result)) == (0, True), result


def test_a_name_that_is_taken_is_said_and_tried_again(cli: CommandLine, cluster: Cluster) -> None:
    cluster.start_worker("one")
    with cli.start("worker", cluster.address, "--name", "one", "--log-format", "json") as running:
        running.event("worker", message="the worker has ended (exit code 1); it is started again")
        running.send(signal.SIGTERM)
        result = running.end()

    assert (result.code, no_trace(result)) == (0, True), result
    assert "error: the cluster has a worker called 'one': end that one, or give another --name" in result.err
