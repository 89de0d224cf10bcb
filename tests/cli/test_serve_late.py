"""`aetherflow serve` and late items: `on_late` steps run beside the run that is late, and are not lost."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

from tests.cli.command_line import OK, WAITS, CommandLine, Running
from tests.polling import wait_until

SCHEDULER = """\
version: 1
id: night
max_parallel_runs: 1
items:
  - id: a
    TRIGGER
    flow_yaml: flow.yaml
    deadline: {longer_than: 500ms}
    on_late:
      - id: page
        type: external.process
        inputs: {command: [touch, "FOLDER/{{params.alert}}-{{params.item}}-{{params.late_run}}"]}
"""
NEVER = "at: '2099-01-01T00:00'"


def serve(cli: CommandLine, trigger: str, flow: str = OK) -> Running:
    cli.write("flow.yaml", flow)
    cli.write("scheduler.yaml", SCHEDULER.replace("TRIGGER", trigger).replace("FOLDER", str(cli.folder)))
    return cli.start("serve", "scheduler.yaml", "--log-format", "json")


def pages(cli: CommandLine) -> list[str]:
    return sorted(path.name for path in cli.folder.glob("*-a-*"))


def alert(state: Path, run_id: str, minutes: int) -> None:
    """Store an alert as a server does that dies before its run starts."""
    at = f"strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', '-{minutes} minutes')"
    raw = sqlite3.connect(state)
    columns = "scheduler, item_id, scheduled_at, kind, alerted_at, message, run_id"
    values = f"'night', 'a', {at}, 'missed', {at}, 'its tick is MISSED', ?"
    with raw:
        raw.execute(f"INSERT INTO schedule_alerts ({columns}) VALUES ({values})", (run_id,))
    raw.close()


def test_the_steps_run_while_the_late_run_has_the_only_slot(cli: CommandLine) -> None:
    with serve(cli, "interval_seconds: 1", WAITS.replace("{{env.GO}}", str(cli.folder / "go"))) as server:
        late = server.event("firing_late")
        assert (late["alert"], late["item_id"], late["level"]) == ("long", "a", "warning")
        server.event("run_summary", run_id=late["on_late_run"], status="SUCCESS")
        assert pages(cli) == [f"long-a-{late['run_id']}"]
        why = cli.run("explain", late["on_late_run"])
        assert "A server started it: on_late or notify of its scheduler file." in " ".join(why.out.split())
        status = cli.run("scheduler", "status")
        assert "long: its run has been executed for" in status.out, status
        as_json = json.loads(cli.run("scheduler", "status", "--json").out)
        (shown,) = as_json["schedulers"][0]["items"][0]["alerts"]
        assert (shown["kind"], shown["run_id"]) == ("long", late["on_late_run"])
        history = cli.run("scheduler", "history", "a", "--outcome", "running")
        assert "long: its run has been executed for" in history.out, history
        server.send(signal.SIGTERM)
        (cli.folder / "go").touch()
        done = server.end()
    assert done.code == 143, done
    assert len(pages(cli)) == 1, "one run is late once"


def test_two_servers_report_a_late_run_once_also_when_its_server_is_killed(cli: CommandLine) -> None:
    flow = WAITS.replace("{{env.GO}}", str(cli.folder / "go"))
    with (
        serve(cli, "interval_seconds: 1", flow) as one,
        cli.start("serve", "scheduler.yaml", "--log-format", "json") as other,
    ):
        wait_until(lambda: bool(pages(cli)), seconds=40)
        ((holder, run_id),) = cli.query("SELECT server, run_id FROM firings WHERE outcome = 'RUNNING'")
        (pid,) = cli.query(f"SELECT json_extract(owner, '$.pid') FROM leases WHERE name = '{holder}'")[0]
        killed, left = (one, other) if one.process.pid == pid else (other, one)
        killed.send(signal.SIGKILL)
        taken = f"SELECT 1 FROM firings WHERE outcome = 'RUNNING' AND server <> '{holder}'"
        wait_until(lambda: bool(cli.query(taken)))
        (cli.folder / "go").touch()
        wait_until(lambda: bool(cli.query("SELECT 1 FROM firings WHERE outcome = 'SUCCESS'")), seconds=40)
        left.send(signal.SIGTERM)
        lines = [line for done in (killed.end(), left.end()) for line in done.out.splitlines()]
    first = cli.query("SELECT min(scheduled_at) FROM firings WHERE outcome = 'SUCCESS'")[0][0]
    told = [event for event in map(json.loads, lines) if event["event"] == "firing_late"]
    assert len([event for event in told if event["scheduled_at"][:19] == first[:19]]) <= 1, told
    # Of this run alone: one that followed it may have been slow, before the server was stopped.
    assert [page for page in pages(cli) if page.endswith(run_id)] == [f"long-a-{run_id}"]


def test_an_alert_whose_server_died_has_its_run_later_and_once(cli: CommandLine) -> None:
    with serve(cli, NEVER) as server:
        server.event("schedule_loaded")
        server.send(signal.SIGKILL)
        server.end()
    alert(cli.state, "lost", 5)
    alert(cli.state, "old", 3 * 24 * 60)
    with serve(cli, NEVER) as server:
        server.event("run_summary", run_id="lost", status="SUCCESS")
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert pages(cli) == ["missed-a-none"]
    (cli.folder / "missed-a-none").unlink()
    with serve(cli, NEVER) as server:
        server.event("schedule_loaded")
        wait_until(lambda: bool(cli.query("SELECT 1 FROM leases WHERE name LIKE 'server:%'")))
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert pages(cli) == []


def test_steps_that_cannot_run_are_reported_and_not_tried_again(cli: CommandLine) -> None:
    with serve(cli, NEVER) as server:
        server.event("schedule_loaded")
        server.send(signal.SIGTERM)
        server.end()
    alert(cli.state, "lost", 5)
    file = cli.folder / "scheduler.yaml"
    file.write_text(file.read_text().replace("type: external.process", "type: gone"))
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        assert "'gone'" in server.event("schedule_notice", code="AF567", item_id="a")["message"]
        server.send(signal.SIGTERM)
        server.end()
    assert cli.query("SELECT run_id FROM schedule_alerts") == [(None,)]


def test_steps_that_a_dead_server_left_and_that_are_gone_from_the_file_are_reported(cli: CommandLine) -> None:
    with serve(cli, NEVER) as server:
        server.event("schedule_loaded")
        server.send(signal.SIGTERM)
        server.end()
    alert(cli.state, "lost", 5)
    file = cli.folder / "scheduler.yaml"
    before, touch, _ = file.read_text().partition("[touch")
    assert touch
    file.write_text(f'{before}[sh, -c, "touch {cli.folder}/began; sleep 100"]}}\n')
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        wait_until((cli.folder / "began").exists, seconds=40)
        server.send(signal.SIGKILL)
        server.end()
    file.write_text(file.read_text().partition("    on_late:")[0])
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        notice = server.event("schedule_notice", level="warning")
        assert notice["message"].startswith("run lost, which a dead server left, is not resumed: ")
        server.send(signal.SIGTERM)
        server.end()
