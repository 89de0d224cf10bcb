"""`scheduler backfill|backfills|cancel` with a real server."""

from __future__ import annotations

import signal

from aetherflow.cli.scheduler_backfill import described
from aetherflow.server.backfill_status import BackfillStatus
from tests.cli.command_line import OK, WAITS, CommandLine, flow
from tests.polling import wait_until

ITEMS = """
version: 1
id: night
timezone: Europe/Berlin
calendars: {work: {weekdays: [mon-fri]}}
items:
- {id: a, cron: '30 2 * * *', calendar: work, flow_yaml: flow.yaml}
"""
DAYS = ("scheduler", "backfill", "a", "--from", "2026-03-02", "--to", "2026-03-09")


def test_a_dry_run_needs_no_server_and_a_backfill_does(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", ITEMS)
    shown = cli.run(*DAYS, "--file", "scheduler.yaml", "--dry-run")
    assert shown.code == 0, shown
    assert shown.out.splitlines()[0] == "2026-03-02T02:30:00+01:00"
    assert shown.out.splitlines()[-1] == "a: 5 ticks to run, 2 left out by its calendar"
    refused = cli.run(*DAYS, "--file", "scheduler.yaml")
    assert (refused.code, "error[AF209]: no server serves" in refused.err) == (2, True)
    assert "--here" not in refused.err
    assert cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here").code == 0
    unknown = cli.run(*DAYS)
    assert (unknown.code, "--dry-run shows the ticks" in unknown.err) == (2, True)
    assert "--here" not in unknown.err
    wrong = cli.run(
        *DAYS[:3], "--from", "2026-03-07", "--to", "2026-03-08", "--file", "scheduler.yaml", "--dry-run"
    )
    assert "error[AF445]: a has no tick in that time" in wrong.err


def test_a_backfill_is_shown_and_cancelled_as_one(cli: CommandLine) -> None:
    cli.write("flow.yaml", WAITS.replace("{{env.GO}}", str(cli.folder / "go")))
    cli.write("scheduler.yaml", ITEMS)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        wait_until(lambda: "server " in cli.run("scheduler", "status").out)
        asked = cli.run(*DAYS, "--json").json()
        assert (len(asked["ticks"]), asked["closed"]) == (5, 2)
        server.event("step_output")
        line = f"  backfill {asked['backfill']}: a  2026-03-02T00:00:00+01:00 to "
        line += "2026-03-09T00:00:00+01:00  active: "
        assert line + "0 succeeded, 0 failed, 1 running, 4 left of 5" in cli.run("scheduler", "status").out
        assert cli.run("scheduler", "cancel", asked["backfill"]).code == 0
        wait_until(
            lambda: cli.run("scheduler", "backfills", "--json").json()["backfills"][0]["cancelled"] == 5
        )
        again = cli.run("scheduler", "cancel", asked["backfill"])
        assert (again.code, "error[AF446]" in again.err) == (2, True)
        (cli.folder / "go").touch()
        failed = cli.run(*DAYS, "--only", "failed", "--parallel", "2", "--json").json()
        assert len(failed["ticks"]) == 5
        wait_until(
            lambda: cli.run("scheduler", "backfills", "--json").json()["backfills"][1]["state"] == "finished"
        )
        assert cli.run(*DAYS, "--only", "all", "--json").json()["succeeded"] == 5
        server.send(signal.SIGTERM)
        server.end()


def test_why_a_backfill_waits_is_on_the_clocks_of_its_item() -> None:
    begin, end = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"
    reason = "paused by anna until 2026-01-01T06:00:00Z: moved"
    one = BackfillStatus(
        *("b1", "night", "a", begin, end, "all", None, "active", 2, 0, 0, 0, 0, 2, reason, begin, "anna"),
        zone="Asia/Tokyo",
        counts="2 left",
    )
    assert described(one) == (
        "a  2026-01-01T09:00:00+09:00 to 2026-01-03T09:00:00+09:00  active: 2 left (by anna); "
        "paused by anna until 2026-01-01T15:00:00+09:00: moved"
    )


def test_an_item_without_times_has_nothing_to_backfill(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow("- {id: s, type: check_items, inputs: {items: [x]}}"))
    cli.write("scheduler.yaml", "version: 1\nitems:\n- {id: a, cron: '@reboot', flow_yaml: flow.yaml}\n")
    period = "--from", "2026-01-01", "--to", "2026-01-02", "--dry-run", "--file", "scheduler.yaml"
    done = cli.run("scheduler", "backfill", "a", *period)
    assert done.code == 2, done
    assert "a has no times to backfill: it fires when the machine has booted" in done.err
    assert "aetherflow scheduler fire a" in done.err
