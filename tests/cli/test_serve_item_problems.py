"""`aetherflow serve` with items whose flow is missing or wrong: the others are served, each is reported."""

from __future__ import annotations

import signal

from tests.cli.command_line import CommandLine, Running
from tests.polling import wait_until

OK = (
    "version: 1\nflow: {id: f}\njobs:\n- {id: a, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}\n"
)
ITEMS = """version: 1
id: night
items:
- {id: good, interval_seconds: 1, flow_yaml: ok.yaml}
- {id: gone, interval_seconds: 1, flow_yaml: gone.yaml}
- {id: broken, interval_seconds: 1, flow_yaml: broken.yaml}
- {id: unfit, interval_seconds: 1, flow_yaml: ok.yaml, params: {nope: 1}}
"""


def problems(cli: CommandLine) -> dict[str, str]:
    """Return what `scheduler status` says is wrong with the items."""
    (file,) = cli.run("scheduler", "status", "--json").json()["schedulers"]
    return {one["item"]: one["problem"] for one in file["items"] if one["problem"]}


def notice(server: Running, item: str) -> str:
    return str(server.event("schedule_notice", item_id=item)["message"])


def test_items_that_cannot_run_are_reported_and_picked_up_when_they_are_right(cli: CommandLine) -> None:
    cli.write("ok.yaml", OK)
    cli.write("broken.yaml", "jobs: [")
    cli.write("scheduler.yaml", ITEMS)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        assert server.event("schedule_loaded")["item_count"] == 4
        assert notice(server, "gone").startswith(
            "scheduler.yaml:5:35: item 'gone': there is no file 'gone.yaml'"
        )
        assert "the flow of item 'broken' is not valid" in notice(server, "broken")
        assert "nope" in notice(server, "unfit")
        server.event("firing_finished", item_id="good", outcome="SUCCESS")
        wait_until(lambda: list(problems(cli)) == ["gone", "broken", "unfit"])
        assert "cannot run: item 'gone': there is no file" in cli.run("scheduler", "status").out
        cli.write("gone.yaml", OK)
        assert "it can run now" in notice(server, "gone")
        server.event("schedule_loaded", changed=["gone"])
        server.event("firing_finished", item_id="gone", outcome="SUCCESS")
        cli.write("broken.yaml", OK)
        assert "it can run now" in notice(server, "broken")
        server.event("firing_finished", item_id="broken", outcome="SUCCESS")
        wait_until(lambda: list(problems(cli)) == ["unfit"])
        cli.write("gone.yaml", "jobs: [")
        assert "the flow of item 'gone' is not valid" in notice(server, "gone")
        cli.write("gone.yaml", OK)
        assert "it can run now" in notice(server, "gone")
        cli.write("scheduler.yaml", ITEMS.replace("good", "gut").replace(", params: {nope: 1}", ""))
        assert "it can run now" in notice(server, "unfit")
        server.send(signal.SIGTERM)
        assert server.end().code == 143


def test_a_flow_that_appears_in_the_second_place_is_found(cli: CommandLine) -> None:
    (cli.folder / "ops").mkdir()
    cli.write("ops/scheduler.yaml", "version: 1\nitems: [{id: a, interval_seconds: 1, flow_yaml: f.yaml}]\n")
    with cli.start("serve", "ops/scheduler.yaml", "--log-format", "json") as server:
        assert "there is no such file" in server.event("firing_finished", outcome="FAILED")["reason"]
        cli.write("f.yaml", OK)
        server.event("firing_finished", outcome="SUCCESS")


def test_strict_refuses_items_that_cannot_run_at_the_start_and_later(cli: CommandLine) -> None:
    cli.write("ok.yaml", OK)
    cli.write("broken.yaml", "jobs: [")
    cli.write("scheduler.yaml", ITEMS)
    done = cli.run("serve", "scheduler.yaml", "--strict")
    assert done.code == 2
    assert ["AF203" in done.err, "AF207" in done.err, "AF208" in done.err] == [True] * 3
    assert not cli.state.exists()
    right = "".join(ITEMS.splitlines(keepends=True)[:4])
    cli.write("scheduler.yaml", right)
    with cli.start("serve", "scheduler.yaml", "--strict", "--log-format", "json") as server:
        server.event("firing_finished", item_id="good", outcome="SUCCESS")
        cli.write("scheduler.yaml", ITEMS)
        assert "there is no file 'gone.yaml'" in server.event("schedule_invalid")["problem"]
        assert cli.query("SELECT DISTINCT item_id FROM firings") == [("good",)]


def test_a_file_that_no_server_serves_shows_what_it_lacks(cli: CommandLine) -> None:
    cli.write("ok.yaml", OK)
    cli.write("broken.yaml", OK)
    cli.write("scheduler.yaml", ITEMS)
    assert cli.run("scheduler", "fire", "good", "--file", "scheduler.yaml", "--here").code == 0
    out = cli.run("scheduler", "status", "scheduler.yaml").out
    assert out.count("cannot run: there is no file") == 1
    done = cli.run("scheduler", "next", "scheduler.yaml")
    assert (done.code, "their flow or manifest does not exist: gone\n" in done.err) == (0, True), done
    done = cli.run("scheduler", "fire", "gone", "--file", "scheduler.yaml", "--here")
    assert (done.code, "gone.yaml" in done.err) == (1, True), done


def test_wrong_steps_of_on_late_are_reported_while_their_item_runs(cli: CommandLine) -> None:
    cli.write("ok.yaml", OK)
    late = "  on_late: [{id: page, type: nosuch}]\n"
    one = "version: 1\nid: night\nitems:\n- id: a\n  interval_seconds: 1\n  flow_yaml: ok.yaml\n"
    cli.write("scheduler.yaml", one + late)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        found = server.event("schedule_notice", level="warning")
        assert str(found["message"]).startswith("scheduler.yaml:7:24: unknown step type 'nosuch'")
        assert str(found["message"]).endswith("; the steps of on_late and notify cannot run")
        server.event("firing_finished", item_id="a", outcome="SUCCESS")
        assert problems(cli) == {}
        cli.write("scheduler.yaml", one)
        server.event("schedule_notice", message="the steps of on_late and notify can run now")
