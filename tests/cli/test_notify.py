"""`notify` of flows and scheduler files from the command line: a server, a kill, a test of the messages."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from aetherflow.server.item_flows import check_item_flows
from aetherflow.server.schedule_files import check_schedule_file
from tests.cli.command_line import OK, CommandLine
from tests.polling import wait_until
from tests.servers.http_server import Answer, HttpServer

FLOW = """\
version: 1
flow:
  id: nightly
  notify:
    - {to: command, command: [sh, -c, "SCRIPT"], retry: {max_attempts: 1}}
jobs: [{id: a, steps: [{id: s, type: external.process, inputs: {command: [test, -e, ok], cwd: flow}}]}]
"""
SCHEDULER = """\
version: 1
id: night
notify:
  - to: command
    command: [sh, -c, 'printf "%s\\n" "$AETHERFLOW_NOTIFY_SUBJECT" "$AETHERFLOW_NOTIFY_RESUME" >> inbox']
items:
  - {id: load, interval_seconds: 1, flow_yaml: flow.yaml}
  - {id: gone, interval_seconds: 1, flow_yaml: broken.yaml}
  - {id: quiet, interval_seconds: 1, flow_yaml: flow.yaml, notify: []}
"""


def inbox(cli: CommandLine, item: str) -> list[str]:
    """Return the lines that messages about an item have written."""
    file = cli.folder / "inbox"
    return [line for line in file.read_text().splitlines() if f" {item}" in line] if file.exists() else []


def failed(cli: CommandLine, item: str) -> int:
    """Return how many firings of an item have failed."""
    return int(
        cli.query(f"SELECT count(*) FROM firings WHERE item_id = '{item}' AND outcome = 'FAILED'")[0][0]
    )


def test_a_server_reports_a_broken_night_once_and_once_that_it_is_over(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW.partition("  notify:")[0] + "jobs:" + FLOW.partition("jobs:")[2])
    cli.write("broken.yaml", "version: 1\nflow: {id: broken}\njobs: [{id: a}]\n")
    cli.write("scheduler.yaml", SCHEDULER)
    with cli.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        wait_until(lambda: len(inbox(cli, "load")) == 1 and failed(cli, "load") >= 3, seconds=40)
        (cli.folder / "ok").touch()
        wait_until(lambda: len(inbox(cli, "load")) == 2, seconds=40)
        (cli.folder / "ok").unlink()
        wait_until(lambda: len(inbox(cli, "load")) == 3, seconds=40)
        server.send(signal.SIGTERM)
        done = server.end()
    first, second, third = inbox(cli, "load")
    assert first.startswith("[FAILED] load (nightly): a.s: AF732 "), first
    assert second.startswith("[RECOVERED] load (nightly): its run succeeded, after a failure "), second
    assert third == first
    commands = (cli.folder / "inbox").read_text().splitlines()
    resumes = commands[commands.index(first) + 1]
    broken = cli.query("SELECT run_id FROM firings WHERE item_id = 'load' AND outcome = 'FAILED'")
    assert resumes in [f"aetherflow runs retry {run_id} --state {cli.state}" for (run_id,) in broken]
    (gone,) = inbox(cli, "gone")
    assert gone.startswith("[FAILED] gone: its run could not start: AF"), gone
    assert failed(cli, "gone") >= 3
    assert inbox(cli, "quiet") == []
    assert done.code == 143, done
    history = cli.run("scheduler", "history", "load").out
    assert "failure: its run failed" in history
    assert "recovery: its run succeeded" in history
    sent = "item_id = 'load' AND kind = 'failure' AND run_id IS NOT NULL"  # others belong to the same night
    tick, run_id = cli.query(f"SELECT scheduled_at, run_id FROM schedule_alerts WHERE {sent}")[0]
    explained = cli.run("scheduler", "explain", "load", tick, "--file", "scheduler.yaml").out
    assert re.search(rf"failure, reported \S+ by run {run_id}: its run failed", explained), explained


def test_a_message_that_a_kill_has_cut_off_is_sent_by_the_resume(cli: CommandLine) -> None:
    script = "echo sending >> inbox; test -e sent || sleep 60"
    cli.write("flow.yaml", FLOW.replace("SCRIPT", script))
    with cli.start("run", "flow.yaml", "--run-id", "r") as run:
        inbox = cli.folder / "inbox"  # the shell makes the file before it writes
        wait_until(lambda: inbox.exists() and inbox.read_text() == "sending\n", seconds=40)
        run.send(signal.SIGKILL)
        run.end()
    (cli.folder / "sent").touch()
    resumed = cli.run("runs", "retry", "r")
    assert resumed.code == 1, resumed
    assert (cli.folder / "inbox").read_text() == "sending\nsending\n"
    messages = cli.query("SELECT job_id, status FROM step_state WHERE job_id LIKE '@notify%'")
    assert messages[-1] == ("@notify-1.2", "SUCCESS"), "the job failed once more, and the run ended once more"
    again = cli.run("run", "flow.yaml")
    assert again.code == 1
    assert (cli.folder / "inbox").read_text() == "sending\nsending\n", "it is reported"


def test_a_run_that_a_person_cancels_sends_nothing_and_one_signal_lets_a_message_be_sent(
    cli: CommandLine,
) -> None:
    script = "touch began; while ! test -e go; do sleep 0.05; done; echo sent >> inbox"
    waits = FLOW.replace("SCRIPT", script).replace("[test, -e, ok]", "[sh, -c, 'touch works; sleep 60']")
    cli.write("flow.yaml", waits)
    with cli.start("run", "flow.yaml") as run:
        wait_until((cli.folder / "works").exists, seconds=40)
        run.send(signal.SIGINT)
        assert run.end().code == 130
    assert not (cli.folder / "began").exists()
    cli.write("flow.yaml", FLOW.replace("SCRIPT", script))
    with cli.start("run", "flow.yaml") as run:
        wait_until((cli.folder / "began").exists, seconds=40)
        run.send(signal.SIGINT)
        (cli.folder / "go").touch()
        assert run.end().code == 1
    assert (cli.folder / "inbox").read_text() == "sent\n"


def test_a_second_signal_cuts_a_message_off_and_the_run_says_so(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW.replace("SCRIPT", "touch began; sleep 60"))
    with cli.start("run", "flow.yaml", "--log-format", "json") as run:
        wait_until((cli.folder / "began").exists, seconds=40)
        run.send(signal.SIGINT)
        run.event("notice")
        run.send(signal.SIGINT)
        ended = run.event("job_finished", job_id="@notify-1")
        _, cut_off = run.event("run_summary")["failures"]
        assert run.end().code == 1
    assert (ended["level"], ended["status"]) == ("warning", "CANCELLED")
    assert (cut_off["job_id"], cut_off["place"]) == ("@notify-1", "flow.yaml:5")
    assert cut_off["reason"] == "the message was cut off, it may not have been sent: SIGINT"


def test_messages_can_be_tried_and_say_that_it_is_a_test(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW.replace("SCRIPT", "cat >> inbox; echo why; test -e ok"))
    cli.write("scheduler.yaml", SCHEDULER)
    tried = cli.run("notify", "test", "flow.yaml")
    assert (tried.code, tried.out[:61]) == (
        1,
        "flow.yaml:5: command: not sent: AF732: exit code 1: sh -c 'ca",
    ), tried
    end = "\nlast lines of stdout:\n  why\n    hint: the reason is in the program's own output\n"
    assert tried.out.endswith(end), "it names no file: those of the test are removed"
    (cli.folder / "ok").touch()
    tried = cli.run("notify", "test", "flow.yaml", "--event", "recovery")
    assert (tried.code, tried.out, tried.err) == (0, "flow.yaml:5: command: sent\n", "")
    subjects = [line for line in (cli.folder / "inbox").read_text().splitlines() if line.startswith("TEST")]
    assert [line.partition("]")[0] for line in subjects] == ["TEST [FAILED", "TEST [RECOVERED"]
    tried = cli.run("notify", "test", "scheduler.yaml")
    assert (tried.code, tried.out) == (0, "scheduler.yaml:4: command: sent\n"), tried
    assert not cli.state.exists(), "a test leaves nothing"
    tried = cli.run("notify", "test", "flow.yaml", "--event", "success")
    assert (tried.code, "no entry of notify has success in its `on`" in tried.err) == (2, True), tried


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("to: command", "to: mail", "AF880 4:5 a mail needs the resource that sends it"),
        ("notify: []", "notify: [{to: webhook}]", "AF880 9:69 a webhook needs either url or resource"),
        ("notify: []", "notify: [{to: mail, resource: x, recipients: a@b.c}]", "AF550 9:80 the flow has no"),
        ('_SUBJECT"', '{{notify.subjct}}"', "AF403 5:59 'notify.subjct' is not known"),
        ("id: night", "id: night\nresources: {r: {kind: rest, driver: httpx}}", "AF552 3:13 no step"),
    ],
)
def test_what_is_wrong_with_an_entry_of_a_scheduler_file_is_found_at_its_place(
    tmp_path: Path, old: str, new: str, found: str
) -> None:
    for name in ("flow.yaml", "broken.yaml"):
        (tmp_path / name).write_text(OK)
    file = tmp_path / "scheduler.yaml"
    file.write_text(SCHEDULER.replace(old, new))
    checked = check_schedule_file(file)
    check_item_flows(checked, {})
    texts = [f"{one.code} {one.line}:{one.column} {one.message}" for one in checked.diagnostics]
    assert [text for text in texts if text.startswith(found)], texts


def test_a_dry_run_names_the_messages(cli: CommandLine) -> None:
    cli.write("flow.yaml", FLOW.replace("SCRIPT", "cat"))
    assert "notify: command, on failure, recovery\n" in cli.run("run", "flow.yaml", "--dry-run").out
    report = cli.run("run", "flow.yaml", "--dry-run", "--json").json()
    assert report["messages"] == [{"on": ["failure", "recovery"], "to": "command"}]


def test_messages_of_a_scheduler_file_go_to_addresses_and_resources(cli: CommandLine) -> None:
    cli.write(
        "scheduler.yaml",
        "version: 1\n"
        "resources: {chat: {kind: rest, driver: httpx, config: {base_url: '{{env.CHAT_URL}}'}}}\n"
        "notify: [{to: webhook, resource: chat, retry: &once {max_attempts: 1}}]\n"
        "items:\n"
        "  - {id: a, cron: '@daily', flow_yaml: f.yaml,\n"
        "     notify: [{to: webhook, url: '{{env.CHAT_URL}}', retry: *once}]}\n",
    )
    with HttpServer() as server:
        server.on("/hooks/canary-of-the-chat", Answer(200), Answer(403))
        address = server.url + "/hooks/canary-of-the-chat"
        tried = cli.run("notify", "test", "scheduler.yaml", "--json", env={"CHAT_URL": address})
        texts = [request.json["text"] for request in server.requests]
    ends = tried.json()["messages"]
    assert sorted(one["place"] for one in ends) == ["scheduler.yaml:3", "scheduler.yaml:6"], tried
    assert sorted(one["status"] for one in ends) == ["FAILED", "SUCCESS"]
    assert tried.code == 1
    assert all(text.startswith("TEST [FAILED] scheduler: this is a test") for text in texts)
    assert "canary-of-the-chat" not in tried.out + tried.err
