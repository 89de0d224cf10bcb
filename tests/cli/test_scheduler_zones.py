"""What people read of an item has the times of its own zone, first and with the offset."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.cli.command_line import CommandLine, flow

SCHEDULE = """\
version: 1
id: night
timezone: Europe/Berlin
items:
- {id: load, cron: '0 4 * * *', flow_yaml: flow.yaml, timezone: Asia/Tokyo}
- {id: send, cron: '0 5 * * *', flow_yaml: flow.yaml}
"""


def written(cli: CommandLine) -> CommandLine:
    """Return the command line in a folder with the schedule."""
    cli.write("flow.yaml", flow("- {id: s, type: check_items, inputs: {items: [x]}}"))
    cli.write("scheduler.yaml", SCHEDULE)
    return cli


def scheduler(cli: CommandLine, *words: str) -> list[str]:
    """Return the lines that a command prints."""
    done = cli.run("scheduler", *words, "--file", "scheduler.yaml")
    assert done.code == 0, done
    return (done.out + done.err).splitlines()


def test_pause_and_resume_have_the_times_of_the_item(cli: CommandLine) -> None:
    written(cli)
    until = "--until", "2099-01-01T04:00+09:00", "--reason", "moved"
    paused = scheduler(cli, "pause", "load", "send", *until)
    assert paused[0].startswith("load: paused until 2099-01-01T04:00:00+09:00 (in ")
    assert paused[1].startswith("send: paused until 2098-12-31T20:00:00+01:00 (in ")
    assert paused[0].endswith(" d): moved")

    at_hand = scheduler(cli, "fire", "load", "--here")
    assert any(" until 2099-01-01T04:00:00+09:00: moved; a firing by hand" in line for line in at_hand)

    resumed = scheduler(cli, "resume", "load")[0]
    assert resumed.startswith("load: resumed; it was paused since ")
    assert "+09:00 (" in resumed
    assert resumed.endswith("): moved")

    everything = scheduler(cli, "pause", "--all", *until)[0]
    assert everything.startswith("all items of night: paused until 2098-12-31T20:00:00+01:00 (in ")


def test_reasons_of_the_past_have_the_times_of_the_item(cli: CommandLine) -> None:
    written(cli)
    scheduler(cli, "fire", "send", "--here")
    reason = "paused by ann@host until 2026-12-01T06:00:00Z: until 2026-02-30T06:00:00Z"
    with closing(sqlite3.connect(cli.state, isolation_level=None)) as raw:
        raw.execute(
            "UPDATE firings SET scheduled_at = '2026-11-30T04:00:00Z', outcome = 'SKIPPED', reason = ?",
            (reason,),
        )
    shown = "paused by ann@host until 2026-12-01T07:00:00+01:00: until 2026-02-30T06:00:00Z"
    for command in (("history",), ("explain", "send", "2026-11-30")):
        assert any(shown in line for line in scheduler(cli, *command)), command
    done = cli.run("scheduler", "status", "scheduler.yaml")
    assert shown in done.out
    (entry,) = cli.run("scheduler", "history", "--file", "scheduler.yaml", "--json").json()["firings"]
    assert (entry["reason"], entry["zone"]) == (reason, "Europe/Berlin")


def test_a_history_without_ticks_names_the_item_the_period_and_the_outcome(cli: CommandLine) -> None:
    written(cli)
    cli.run("scheduler", "pause", "send", "--reason", "r", "--file", "scheduler.yaml")
    assert scheduler(cli, "history") == ["no tick of any item is known"]
    assert scheduler(cli, "history", "load", "--since", "2026-01-02", "--until", "2026-01-03T00:00Z") == [
        "no tick of load is known since 2026-01-02T00:00:00+09:00 until 2026-01-03T09:00:00+09:00"
    ]
    failed = scheduler(cli, "history", "send", "--since", "2026-01-02", "--outcome", "failed")
    assert failed == ["no tick of send is known since 2026-01-02T00:00:00+01:00 with the outcome FAILED"]


def test_the_end_of_a_pause_is_on_the_clocks_of_the_item(cli: CommandLine) -> None:
    written(cli)
    paused = scheduler(cli, "pause", "load", "send", "--until", "2099-01-01T04:00", "--reason", "moved")
    assert paused[0].startswith("load: paused until 2099-01-01T04:00:00+09:00 (in ")
    assert paused[1].startswith("send: paused until 2099-01-01T04:00:00+01:00 (in ")
    everything = scheduler(cli, "pause", "--all", "--until", "2099-01-01T04:00", "--reason", "moved")[0]
    assert everything.startswith("all items of night: paused until 2099-01-01T04:00:00+01:00 (in ")

    wrong = cli.run(
        "scheduler", "pause", "load", "--until", "noon", "--reason", "r", "--file", "scheduler.yaml"
    )
    assert "no end that can be read: 'noon' is no date and no time of day" in wrong.err


def test_a_history_whose_period_ends_before_it_begins_is_refused(cli: CommandLine) -> None:
    written(cli)
    cli.run("scheduler", "pause", "send", "--reason", "r", "--file", "scheduler.yaml")
    done = cli.run(
        "scheduler", "history", "load", "--since", "2h", "--until", "3h", "--file", "scheduler.yaml"
    )
    assert (done.code, "--until is not later than --since" in done.err) == (2, True), done


def test_what_other_people_wrote_does_not_control_the_terminal(cli: CommandLine) -> None:
    written(cli)
    reason = "--reason", "moved\x1b[31m\x07 now"
    shown = scheduler(cli, "pause", "load", "--for", "2h", *reason)
    for command in (("status", "scheduler.yaml"), ("next", "scheduler.yaml")):
        done = cli.run("scheduler", *command)
        assert done.code == 0, done
        shown += done.out.splitlines()
    shown += scheduler(cli, "fire", "load", "--here") + scheduler(cli, "resume", "load")
    assert sum("moved\\x07 now" in line for line in shown) >= 4, shown
    assert not [line for line in shown if "\x1b" in line or "\x07" in line]
