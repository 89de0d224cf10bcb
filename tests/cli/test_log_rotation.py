"""SIGHUP makes a server write its events to a new file, as logrotate needs it: no line lost or cut."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.cli.command_line import CommandLine, Running, flow, no_trace
from tests.polling import wait_until

SCHEDULE = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"
TALKS = flow("- {id: s, type: external.process, inputs: {command: [sh, -c, 'seq 300; sleep 0.2; seq 300']}}")
ROTATIONS = 4


def serve(cli: CommandLine) -> Running:
    """Start a server that writes its events to `logs/events.jsonl`."""
    cli.write("flow.yaml", TALKS)
    cli.write("scheduler.yaml", SCHEDULE)
    (cli.folder / "logs").mkdir()
    return cli.start("serve", "scheduler.yaml", "--events", "logs/events.jsonl", "--log-format", "json")


def test_a_renamed_events_file_gets_no_more_lines_and_the_new_one_all_that_follow(cli: CommandLine) -> None:
    file = cli.folder / "logs" / "events.jsonl"
    sizes: dict[Path, int] = {}
    with serve(cli) as server:
        for number in range(ROTATIONS):
            server.event("step_started")
            old = file.rename(file.with_suffix(f".{number}"))
            server.send(signal.SIGHUP)
            wait_until(file.exists)
            sizes[old] = old.stat().st_size
        server.event("firing_finished", outcome="SUCCESS")
        server.send(signal.SIGTERM)
        done = server.end()

    assert done.code == 143, done
    assert no_trace(done)
    assert {old: old.stat().st_size for old in sizes} == sizes
    events = [
        json.loads(line) for part in [*sizes, file] for line in part.read_bytes().splitlines(keepends=True)
    ]
    stored = Counter(cli.query("SELECT run_id, replace(event, 'run_finished', 'run_summary') FROM events"))
    written = Counter((event["run_id"], event["event"]) for event in events if "run_id" in event)
    assert {key: written[key] for key in stored} == stored
    lines = Counter((event["run_id"], event["text"]) for event in events if event["event"] == "step_output")
    ended = [run for (run,) in cli.query("SELECT run_id FROM runs WHERE status = 'SUCCESS'")]
    assert ended
    assert {lines[run, str(number)] for run in ended for number in range(1, 301)} == {2}


def test_a_file_that_cannot_be_reopened_is_reported_and_the_old_one_is_still_used(cli: CommandLine) -> None:
    with serve(cli) as server:
        server.event("step_started")
        old = (cli.folder / "logs").rename(cli.folder / "old") / "events.jsonl"
        server.send(signal.SIGHUP)
        notice = server.event("schedule_notice", level="warning")
        size = old.stat().st_size
        server.event("firing_finished", outcome="SUCCESS")
        server.event("step_started")
        wait_until(lambda: old.stat().st_size > size)  # the file may be written after standard output
        server.send(signal.SIGTERM)
        done = server.end()

    assert notice["code"] == "AF762"
    assert notice["message"] == (
        f"cannot write events to {cli.folder}/logs/events.jsonl: No such file or directory; "
        "the file that is open is still used"
    )
    assert done.code == 143, done


SLOW = """
import pathlib, time
from aetherflow.server import server

def load(files, load=server.load_schedules):
    pathlib.Path("loading").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    return load(files)

server.load_schedules = load
from aetherflow.__main__ import main
main()
"""


def test_sighup_while_a_server_starts_does_not_end_it(cli: CommandLine) -> None:
    cli.write("flow.yaml", TALKS)
    cli.write("scheduler.yaml", SCHEDULE)
    starting = subprocess.Popen(
        [sys.executable, "-c", SLOW, "serve", "scheduler.yaml", "--log-format", "json"],
        cwd=cli.folder,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Running(starting) as server:
        wait_until((cli.folder / "loading").exists)
        server.send(signal.SIGHUP)
        (cli.folder / "go").touch()
        server.event("schedule_loaded", is_first=True)
        server.event("schedule_loaded", is_first=False)
        server.send(signal.SIGTERM)
        done = server.end()

    assert done.code == 143, done
    assert no_trace(done)
