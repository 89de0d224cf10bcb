"""`aetherflow serve --metrics` as a process, scraped over HTTP; also when it was killed and started again."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request

import pytest

from tests.admin.test_init_monitoring import expressions, metrics_in
from tests.cli.command_line import FAILS, OK, CommandLine, Running, imported_modules, no_trace
from tests.server.test_metrics_service import Samples, samples

SCHEDULE = (
    "version: 1\nid: night\npools: {db: 2}\nitems:\n"
    "- {id: good, interval_seconds: 1, flow_yaml: good.yaml}\n"
    "- {id: bad, interval_seconds: 1, flow_yaml: bad.yaml}\n"
)
NEVER = SCHEDULE.replace("interval_seconds: 1", "at: '2099-01-01T00:00'")


@pytest.fixture
def server_folder(cli: CommandLine) -> CommandLine:
    """A folder with a scheduler file and its flows."""
    cli.write("good.yaml", OK.replace("id: f", "id: good"))
    cli.write("bad.yaml", FAILS.replace("id: f", "id: bad"))
    cli.write("scheduler.yaml", SCHEDULE)
    return cli


def url_of(server: Running) -> str:
    """Return where a server says that it serves metrics."""
    for event in server.events():
        if "metrics are served at" in event.get("message", ""):
            return str(event["message"].rpartition(" ")[2])
    raise AssertionError(server.end())


def scraped(url: str) -> Samples:
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - of this machine
        return samples(answer.read().decode())


def exposed_names(url: str) -> set[str]:
    """Return the names of the metrics that a server has, also of those without a value yet."""
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - of this machine
        return set(re.findall(r"^# TYPE (\S+)", answer.read().decode(), re.MULTILINE))


def until(url: str, *wanted: tuple[str, ...]) -> Samples:
    """Scrape until all these samples are above 0; the server ends its test if that never happens."""
    found = scraped(url)
    while not all(found.get(key) for key in wanted):
        found = scraped(url)
    return found


def test_a_server_serves_what_it_fires_and_knows_it_again_after_it_was_killed(
    server_folder: CommandLine,
) -> None:
    cli = server_folder
    last_success = ("aetherflow_flow_last_success_timestamp_seconds", "good")
    cli.env["AETHERFLOW_METRICS_ADDRESS"] = "0"
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        url = url_of(server)
        found = until(
            url,
            ("aetherflow_firings_total", "good", "SUCCESS", "night"),
            ("aetherflow_firings_total", "bad", "FAILED", "night"),
            ("aetherflow_schedule_delay_seconds_count", "night"),
            ("aetherflow_event_loop_lag_seconds_count",),
            last_success,
        )
        assert found["aetherflow_flow_last_run_successful", "good"] == 1
        assert found["aetherflow_flow_last_run_successful", "bad"] == 0
        assert found["aetherflow_pool_slots", "db"] == 2
        named = {name for one in expressions() for name, _ in metrics_in(one)}
        assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} - exposed_names(url) == set()
        server.send(signal.SIGKILL)
        server.end()
    cli.write("scheduler.yaml", NEVER)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        again = scraped(url_of(server))
        assert again[last_success] >= found[last_success]
        assert again["aetherflow_flow_last_run_successful", "bad"] == 0
        assert ("aetherflow_flow_last_success_timestamp_seconds", "bad") not in again
        item = ("aetherflow_item_last_success_timestamp_seconds", "good", "night")
        assert again[item] >= found[item] - 1, "the end that the database has"
        server.send(signal.SIGTERM)
        done = server.end()
    assert done.code == 143
    assert no_trace(done)


def test_an_address_that_is_wrong_or_in_use_is_an_error_before_anything_begins(
    server_folder: CommandLine,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = server_folder.run("serve", "scheduler.yaml", "--metrics", str(port))
    assert done.code == 2
    assert f"error[AF890]: metrics cannot be served at 127.0.0.1:{port}: Address already in use" in done.err
    assert not server_folder.state.exists()


def test_a_command_without_metrics_imports_nothing_of_them(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    modules = imported_modules(cli, "run", "flow.yaml")
    assert "aetherflow.runs.execute_run" in modules
    assert not {name for name in modules if "prometheus" in name or ".metric_" in name}
    assert "prometheus_client" in imported_modules(cli, "run", "flow.yaml", "--metrics-file", "m.prom")
