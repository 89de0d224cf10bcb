"""The list of items with which `aetherflow serve` starts: next times, and what an earlier server has left."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

from tests.cli.command_line import WAITS, CommandLine, Running, flow

ITEMS = """version: 1
id: night
timezone: Europe/Berlin
items:
- {id: often, interval_seconds: 1, flow_yaml: flow.yaml, overlap: skip}
- {id: daily, cron: '0 2 * * *', flow_yaml: flow.yaml}
- {id: off, cron: '0 2 * * *', flow_yaml: flow.yaml, enabled: false}
- {id: boot, cron: '@reboot', flow_yaml: flow.yaml, enabled: false}
- {id: gone, cron: '0 2 * * *', flow_yaml: gone.yaml}
"""


def test_the_list_names_what_is_overdue_and_what_is_taken_over(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    cli.write("scheduler.yaml", ITEMS)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        first = {one["item_id"]: one for one in server.event("schedule_loaded")["upcoming"]}
        run_id = server.event("step_output")["run_id"]
        server.send(signal.SIGKILL)
        server.process.wait()
    assert [one["overdue_since"] or one["left"] for one in first.values()] == [[]] * 5
    assert first["gone"]["missing"].endswith("/gone.yaml")
    with closing(sqlite3.connect(cli.state)) as raw, raw:
        raw.execute(
            "UPDATE schedule_items SET decided_to = '2026-01-01T12:00:00.000000Z' WHERE item_id = 'daily'"
        )
    (cli.folder / "go").touch()
    cli.write(
        "scheduler.yaml",
        ITEMS.replace("@reboot', flow_yaml: flow.yaml, enabled: false", "@reboot', flow_yaml: flow.yaml"),
    )
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        second = {one["item_id"]: one for one in server.event("schedule_loaded")["upcoming"]}
        server.event("firing_taken_over", run_id=run_id)
        cli.write(
            "scheduler.yaml", ITEMS.replace("0 2 * * *', flow_yaml: gone", "0 3 * * *', flow_yaml: gone")
        )
        reloaded = server.event("schedule_loaded")["upcoming"]
    assert second["daily"]["overdue_since"] == "2026-01-02T02:00:00+01:00"
    (left,) = second["often"]["left"]
    assert (left["run_id"], left["outcome"], left["scheduled_at"][-6:]) == (
        run_id,
        "RUNNING",
        second["daily"]["next_at"][-6:],
    )
    assert (second["boot"]["at_boot"], second["boot"]["fires_now"]) == (True, True)
    assert [(one["item_id"], one["left"]) for one in reloaded] == [("boot", []), ("gone", [])]


def test_an_item_that_fired_since_the_boot_waits_for_the_next_one(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    (cli.folder / "go").touch()
    cli.write("scheduler.yaml", "version: 1\nitems: [{id: a, cron: '@reboot', flow_yaml: flow.yaml}]\n")
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        server.event("firing_finished", outcome="SUCCESS")
        status = cli.run("scheduler", "status").out
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert "at the next boot" in status
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        (item,) = server.event("schedule_loaded")["upcoming"]
        assert (item["at_boot"], item["fires_now"]) == (True, False)
        server.send(signal.SIGTERM)
        assert server.end().code == 143


def test_every_item_is_listed_also_of_a_long_file(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow("- {id: s, type: check_items, inputs: {items: [x]}}"))
    ids = [f"item{number}" for number in range(650)]

    def write(hour: int) -> None:
        items = "".join(f"- {{id: {one}, cron: '0 {hour} * * *', flow_yaml: flow.yaml}}\n" for one in ids)
        cli.write("scheduler.yaml", f"version: 1\nid: night\nitems:\n{items}")

    def listed(server: Running) -> list[str]:
        events = [server.event("schedule_loaded"), *(server.event("schedule_upcoming") for _ in range(2))]
        assert [len(one["upcoming"]) for one in events] == [300, 300, 50]
        assert [(one["first"], one["listed"]) for one in events[1:]] == [(301, 650), (601, 650)]
        return [item["item_id"] for one in events for item in one["upcoming"]]

    write(2)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        assert listed(server) == ids
        write(3)
        assert listed(server) == ids
