"""Windows and pauses as commands show them, with a real server."""

from __future__ import annotations

from tests.cli.command_line import CommandLine
from tests.cli.test_serve import EVERY_SECOND, serve

ITEMS = EVERY_SECOND.replace("id: a,", "id: a, not_between: ['00:00-24:00'],")


def test_a_server_starts_nothing_in_a_window_and_commands_say_so(cli: CommandLine) -> None:
    with serve(cli, ITEMS) as server:
        server.event("firing_missed", item_id="a", outcome="SKIPPED", is_planned=True, level="info")
        (item,) = cli.run("scheduler", "status", "--json").json()["schedulers"][0]["items"]
        assert (item["next"], item["due_since"]) == (None, None)
        assert item["window"]["window"] == "the window 00:00-24:00 (not_between)"
        history = cli.run("scheduler", "history", "a").out
        assert "SKIPPED  in the window 00:00-24:00 (not_between)" in history
        shown = cli.run("scheduler", "next", "scheduler.yaml", "--count", "1").out
        assert "not run: a" in shown
        assert "(skipped: in the window 00:00-24:00 (not_between))" in shown
        done = cli.run("scheduler", "pause", "a", "--reason", "migration", "--file", "scheduler.yaml")
        assert done.code == 0, done
        (one,) = cli.run("scheduler", "next", "scheduler.yaml", "--count", "1", "--json").json()["firings"]
        assert one["runs"] is False
    assert cli.query("SELECT count(*) FROM firings WHERE outcome <> 'SKIPPED'") == [(0,)]


def test_a_pause_is_shown_by_next_and_simulate(cli: CommandLine) -> None:
    cli.write("flow.yaml", "version: 1\nflow: {id: f}\njobs: []\n")
    cli.write(
        "scheduler.yaml",
        "version: 1\nid: night\nstate: {path: state.sqlite}\n"
        "items: [{id: a, cron: '0 3 * * *', flow_yaml: flow.yaml}]\n",
    )
    assert "skipped" not in cli.run("scheduler", "next", "scheduler.yaml").out
    pause = ("scheduler", "pause", "a", "--reason", "migration", "--file", "scheduler.yaml")
    assert cli.run(*pause).code == 0
    period = ("--from", "2999-01-01", "--to", "2999-01-02")
    for command in (("next", "scheduler.yaml"), ("simulate", "scheduler.yaml", *period)):
        shown = cli.run("scheduler", *command).out
        assert "not run: a" in shown, shown
        assert ": migration)" in shown
    assert cli.run("scheduler", "resume", "a", "--file", "scheduler.yaml").code == 0
    assert "not run" not in cli.run("scheduler", "next", "scheduler.yaml").out
