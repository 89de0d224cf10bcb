"""`explain` of runs that a real server started: what fired them, and why they began late."""

from __future__ import annotations

import re
import signal

from tests.cli.command_line import OK, WAITS, CommandLine
from tests.polling import wait_until

ONE_AT_A_TIME = """
version: 1
id: night
max_parallel_runs: 1
items:
- {id: first, interval_seconds: 1, flow_yaml: waits.yaml, deadline: {longer_than: 500ms}}
- {id: second, interval_seconds: 1, flow_yaml: ok.yaml}
"""
FIRINGS = "FROM firings WHERE run_id IS NOT NULL AND item_id ="
DECIDED = f"SELECT strftime('%s', 'now') - strftime('%s', min(decided_at)) {FIRINGS} 'second'"
RUN_OF = f"SELECT run_id, scheduled_at {FIRINGS} '{{}}' ORDER BY scheduled_at"


def test_an_explanation_names_the_tick_and_what_the_run_waited_for(cli: CommandLine) -> None:
    cli.write("waits.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    cli.write("ok.yaml", OK)
    cli.write("night.yaml", ONE_AT_A_TIME)
    with cli.start("serve", "night.yaml", "--log-format", "json") as server:
        server.event("firing_late", item_id="first")  # its run has the only place
        wait_until(lambda: (cli.query(DECIDED)[0][0] or 0) >= 2, "the other item is not queued")
        (cli.folder / "go").touch()
        server.event("firing_finished", item_id="second", outcome="SUCCESS")
        server.send(signal.SIGTERM)
        server.end()
    run_id, tick = cli.query(RUN_OF.format("second"))[0]
    long_id, _ = cli.query(RUN_OF.format("first"))[0]

    second, first = cli.run("explain", run_id, "--json").json(), cli.run("explain", long_id).out
    listed = {run["run_id"]: run["fired_by"] for run in cli.run("runs", "list", "--json").json()["runs"]}

    reasons = [one["sentence"] for one in second["explained"][0]["reasons"]]
    assert reasons[0] == f"The item second started it for its tick {tick}."
    late = r"It began [\d.]+ s after its time: it waited [\d.]+ s after a server had decided that it runs\."
    assert re.fullmatch(late, reasons[1])
    assert "It was reported as long: its run has been executed for" in " ".join(first.split())
    assert (listed[run_id]["item"], listed[run_id]["scheduled_at"]) == ("second", tick)
