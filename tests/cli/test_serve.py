"""`aetherflow serve` as a process: fires, ends in order, survives kill -9, follows changes, with systemd."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import FAILS, OK, WAITS, CommandLine, Running, no_trace
from tests.polling import wait_until

EVERY_SECOND = "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"
NEVER = "version: 1\nid: night\nitems:\n- {id: a, at: '2099-01-01T00:00', flow_yaml: flow.yaml}\n"


def serve(cli: CommandLine, text: str, flow: str = OK, *more: str) -> Running:
    """Start a server of one file in `scheduler.yaml`, with its events as JSON lines."""
    cli.write("flow.yaml", flow)
    cli.write("scheduler.yaml", text)
    return cli.start("serve", "scheduler.yaml", "--log-format", "json", *more)


def hear(server: Running, *wanted: tuple[str, dict[str, Any]]) -> None:
    """Read events until all that are wanted were there, in any order: runs and scheduler report apart."""
    missing = list(wanted)
    for event in server.events():
        missing = [(n, f) for n, f in missing if event["event"] != n or not f.items() <= event.items()]
        if not missing:
            return
    raise AssertionError(f"not reported: {missing}: {server.end()}")


def begun(server: Running) -> str:
    """Wait until the first run runs, whether the run or the scheduler reports it first; return its id."""
    ids: dict[str, str] = {}
    for event in server.events():
        if event["event"] in ("firing_scheduled", "step_output"):
            ids.setdefault(event["event"], event["run_id"])
        if len(ids) == 2:
            assert len(set(ids.values())) == 1, ids
            return ids["firing_scheduled"]
    raise AssertionError(f"no run has begun: {ids}: {server.end()}")


@pytest.fixture(autouse=True)
def no_server_is_waited_for_in_vain() -> Iterator[None]:
    """End every server of a test that hangs: what reads its events then sees their end."""
    pids = f"{os.getpid()}"
    timer = threading.Timer(60, lambda: subprocess.run(["pkill", "-KILL", "-P", pids], check=False))
    timer.start()
    yield
    timer.cancel()


def firings(cli: CommandLine, columns: str) -> list[tuple[Any, ...]]:
    return cli.query(f"SELECT {columns} FROM firings ORDER BY scheduled_at")


def test_a_server_needs_something_to_serve(cli: CommandLine) -> None:
    done = cli.run("serve")
    assert (done.code, done.out) == (2, "")
    assert "aetherflow serve SCHEDULER.yaml" in done.err


def test_a_wrong_file_is_reported_and_nothing_begins(cli: CommandLine) -> None:
    cli.write("scheduler.yaml", "version: 1\nitems:\n- {id: a, cron: '* * *', flow_yaml: no.yaml}\n")
    done = cli.run("serve", "scheduler.yaml")
    assert done.code == 2
    assert "scheduler.yaml:3:" in done.err
    assert "error[AF203]" in done.err
    assert not cli.state.exists()


def test_a_server_fires_and_ends_in_order(cli: CommandLine) -> None:
    with serve(cli, EVERY_SECOND, WAITS.replace("{{env.GO}}", str(cli.folder / "go"))) as server:
        run_id = begun(server)
        server.send(signal.SIGTERM)
        server.event("schedule_notice")
        (cli.folder / "go").touch()
        server.event("firing_finished", run_id=run_id, outcome="SUCCESS")
        done = server.end()
    assert done.code == 143, done
    assert no_trace(done)
    rows = firings(cli, "run_id, outcome, server")
    assert rows[0][:2] == (run_id, "SUCCESS")
    assert {row[1] for row in rows} <= {"SUCCESS", "SKIPPED"}
    assert cli.query("SELECT status FROM runs") == [("SUCCESS",)]
    assert cli.query("SELECT count(*) FROM leases WHERE name LIKE 'server:%'") == [(0,)]


def test_what_waits_is_free_as_soon_as_a_server_is_requested_to_stop(cli: CommandLine) -> None:
    """The last runs may take an hour to end; another server need not wait for its turn so long."""
    text = EVERY_SECOND.replace("flow_yaml", "overlap: queue, flow_yaml")
    with serve(cli, text, WAITS.replace("{{env.GO}}", str(cli.folder / "go"))) as server:
        run_id = begun(server)
        wait_until(lambda: bool(cli.query("SELECT 1 FROM firings WHERE outcome = 'WAITING'")))
        server.send(signal.SIGTERM)
        assert server.event("schedule_notice")["message"].startswith("the server stops: 1 run")
        assert cli.query("SELECT DISTINCT server FROM firings WHERE outcome = 'WAITING'") == [("",)]
        assert (run_id, "RUNNING") in cli.query("SELECT run_id, outcome FROM firings")
        (cli.folder / "go").touch()
        assert server.end().code == 143


def test_a_second_signal_ends_what_runs(cli: CommandLine) -> None:
    with serve(cli, EVERY_SECOND, WAITS.replace("{{env.GO}}", str(cli.folder / "never"))) as server:
        run_id = begun(server)
        server.send(signal.SIGINT)
        stopping = server.event("schedule_notice")["message"]
        assert re.fullmatch(
            r"the server stops: 1 run may take 60 s to end, until \S+, then 1 run is cancelled; "
            "Ctrl-C again does it at once and kills the programs",
            stopping,
        )
        server.send(signal.SIGINT)
        assert server.event("schedule_notice")["message"] == (
            "1 run is cancelled; its programs are killed; the server ends within 60 s"
        )
        server.event("firing_finished", run_id=run_id, outcome="CANCELLED")
        assert server.end().code == 130
    assert firings(cli, "outcome")[0] == ("CANCELLED",)


def test_after_kill_9_the_run_of_a_firing_is_resumed_under_its_id(cli: CommandLine) -> None:
    flow = WAITS.replace("{{env.GO}}", str(cli.folder / "go"))
    once = EVERY_SECOND.replace("interval_seconds: 1", "interval_seconds: 1, overlap: skip")
    with serve(cli, once, flow) as server:
        run_id = begun(server)
        server.process.kill()
        server.end()
    assert (run_id, "RUNNING") in firings(cli, "run_id, outcome")
    with serve(cli, once, flow) as server:
        hear(server, ("firing_taken_over", {"run_id": run_id}), ("run_resumed", {"run_id": run_id}))
        (cli.folder / "go").touch()
        server.event("firing_finished", run_id=run_id, outcome="SUCCESS")
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert cli.query(f"SELECT status, attempt FROM runs WHERE run_id = '{run_id}'") == [("SUCCESS", 2)]
    assert len(set(firings(cli, "scheduled_at"))) == len(firings(cli, "scheduled_at"))


def test_a_flow_that_cannot_run_fails_its_firing_and_the_server_continues(cli: CommandLine) -> None:
    with serve(cli, EVERY_SECOND, FAILS) as server:
        server.event("firing_finished", outcome="FAILED")
        cli.write("flow.yaml", "version: 1\nflow: {id: f}\n")
        while "AF112" not in server.event("firing_finished", outcome="FAILED").get("reason", ""):
            pass
        cli.write("flow.yaml", OK)
        server.event("firing_finished", outcome="SUCCESS")


def test_changes_of_the_file_are_reported_and_a_wrong_file_changes_nothing(cli: CommandLine) -> None:
    with serve(cli, NEVER) as server:
        assert server.event("schedule_loaded")["item_count"] == 1
        cli.write("scheduler.yaml", NEVER + "- {id: b, interval_seconds: 1, flow_yaml: flow.yaml}\n")
        assert server.event("schedule_loaded")["added"] == ["b"]
        server.event("firing_finished", item_id="b")
        cli.write("scheduler.yaml", "version: 1\nid: night\nitms: []\n")
        assert "unknown key 'itms'" in server.event("schedule_invalid")["problem"]
        server.event("firing_finished", item_id="b")
        assert "unknown key" in cli.run("scheduler", "status", "--json").json()["schedulers"][0]["problem"]
        cli.write("scheduler.yaml", NEVER.replace("2099", "2098"))
        server.send(signal.SIGHUP)
        loaded = server.event("schedule_loaded")
        assert (loaded["removed"], loaded["changed"]) == (["b"], ["a"])


def test_by_hand_an_item_is_run_by_the_server_or_here(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    path = cli.write("scheduler.yaml", NEVER)
    nobody = cli.run("scheduler", "fire", "a", "--file", str(path))
    assert nobody.code == 2
    assert "error[AF209]: no server serves" in nobody.err
    assert "--here" in nobody.err
    here = cli.run("scheduler", "fire", "a", "--file", str(path), "--here", "--json")
    assert (here.code, here.json()["outcome"]) == (0, "SUCCESS"), here.err
    with serve(cli, NEVER) as server:
        server.event("schedule_loaded")
        wait_until(lambda: bool(cli.query("SELECT 1 FROM schedulers")))
        fired = cli.run("scheduler", "fire", "a", "--json")
        assert fired.code == 0, fired.err
        server.event("firing_scheduled", run_id=fired.json()["run_id"], cause="manual")
        server.event("firing_finished", run_id=fired.json()["run_id"], outcome="SUCCESS")
        wrong = cli.run("scheduler", "fire", "b")
        assert (wrong.code, "there is no item 'b'" in wrong.err) == (2, True)
    assert firings(cli, "cause, outcome") == [("manual", "SUCCESS"), ("manual", "SUCCESS")]


def test_the_exit_code_of_fire_here_is_that_of_the_run(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)
    cli.write("scheduler.yaml", NEVER)
    done = cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")
    assert done.code == 1
    assert done.out.startswith("a: FAILED (run ")


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_reported(cli: CommandLine, kind: str, tmp_path: Path) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"\0aetherflow-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.settimeout(30)
        cli.env |= {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "400000"}

        def hear(wanted: str) -> str:
            while wanted not in (told := systemd.recv(4096).decode()):
                pass
            return told

        with serve(cli, NEVER) as server:
            assert "READY=1" in hear("READY=1")
            hear("WATCHDOG=1")
            hear("WATCHDOG=1")
            server.send(signal.SIGHUP)
            assert "MONOTONIC_USEC=" in hear("RELOADING=1")
            hear("READY=1")
            server.send(signal.SIGTERM)
            hear("STOPPING=1")
            assert server.end().code == 143


def test_two_files_with_one_id_or_two_opinions_are_refused(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("a.yaml", NEVER)
    cli.write("b.yaml", NEVER)
    done = cli.run("serve", "a.yaml", "b.yaml")
    assert (done.code, "the same id 'night'" in done.err) == (2, True)
    cli.write("a.yaml", NEVER.replace("id: night", "id: day\nmax_parallel_runs: 2"))
    cli.write("b.yaml", NEVER.replace("id: night", "id: night\nmax_parallel_runs: 3"))
    done = cli.run("serve", "a.yaml", "b.yaml")
    assert (done.code, "max_parallel_runs is 2 and 3" in done.err) == (2, True)


def test_a_file_that_became_a_pipe_keeps_neither_the_server_nor_its_end(cli: CommandLine) -> None:
    with serve(cli, NEVER) as server:
        assert server.event("schedule_loaded")["item_count"] == 1
        (cli.folder / "scheduler.yaml").unlink()
        os.mkfifo(cli.folder / "scheduler.yaml")
        assert "no longer an ordinary file" in server.event("schedule_invalid")["problem"]
        (cli.folder / "scheduler.yaml").unlink()
        cli.write("scheduler.yaml", NEVER.replace("night", "day"))
        assert "its id became 'day'" in server.event("schedule_invalid")["problem"]
        wait_until(lambda: "became 'day'" in cli.query("SELECT problem FROM schedulers")[0][0])
        server.send(signal.SIGTERM)
        assert server.end().code == 143


def test_status_of_a_file_that_is_wrong_now_is_that_of_the_version_in_force(cli: CommandLine) -> None:
    with serve(cli, EVERY_SECOND.replace("id: a,", "id: a, overlap: queue,")) as server:
        server.event("firing_finished", item_id="a")
        cli.write("scheduler.yaml", "version: 1\nitms: []\n")
        server.event("schedule_invalid")
        server.event("firing_finished", item_id="a")
        status = cli.run("scheduler", "status", "--json").json()["schedulers"][0]
        assert [(one["item"], one["enabled"]) for one in status["items"]] == [("a", True)]
        assert status["items"][0]["next"]
        assert "unknown key" in status["problem"]
        by_name = cli.run("scheduler", "status", "scheduler.yaml").out
        assert ("disabled" in by_name, ", next 20" in by_name) == (False, True), by_name
        assert "its last valid version is in force: AF111: " in by_name
        assert "scheduler.yaml:2:1: unknown key 'itms' in " in by_name
        assert "(did you mean 'items'?)" in by_name
        fired = cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--json")
        assert (fired.code, "unknown key" in fired.json()["problem"]) == (0, True), fired
        assert "the file is invalid now" in cli.run("scheduler", "fire", "a").err
        here = cli.run("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here")
        assert (here.code, "unknown key" in here.err) == (2, True), here
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    gone = cli.run("scheduler", "status", "scheduler.yaml")
    assert (gone.code, "unknown key" in gone.err) == (2, True), gone


def test_commands_that_name_a_file_that_is_wrong_now_use_the_version_in_force(cli: CommandLine) -> None:
    with serve(cli, EVERY_SECOND) as server:
        run_id = server.event("firing_finished", item_id="a")["run_id"]
        cli.write("scheduler.yaml", "items: [")
        server.event("schedule_invalid")
        for command in (
            ("next", "scheduler.yaml", "--count", "1"),
            ("simulate", "scheduler.yaml", "--from", "2026-01-01T00:00", "--to", "2026-01-01T00:01"),
            ("history", "a", "--file", "scheduler.yaml"),
            ("explain", "a", "2026-01-01T00:00:30", "--file", "scheduler.yaml"),
        ):
            done = cli.run("scheduler", *command)
            assert (done.code, "the file is invalid now" in done.err) == (0, True), done
            assert "AF103: " in done.err, "what is wrong"
            assert "scheduler.yaml:2:1: " in done.err, "and where"
            assert command[0] != "history" or run_id in done.out
        paused = cli.run("scheduler", "pause", "a", "--file", "scheduler.yaml", "--reason", "moved")
        assert (paused.code, cli.query("SELECT item_id FROM pauses")) == (0, [("a",)]), paused
        assert cli.run("scheduler", "resume", "--all", "--file", "scheduler.yaml").code == 0
        server.send(signal.SIGKILL)
        server.process.wait()
    status = cli.run("scheduler", "status")
    assert ("the file is invalid now: " in status.out, "in force" in status.out) == (True, False), status
    done = cli.run("scheduler", "next", "scheduler.yaml")
    assert (done.code, "in force" in done.err, "AF103" in done.err) == (2, False, True), done


def test_a_calendar_file_that_changes_is_read_again(cli: CommandLine) -> None:
    pytest.importorskip("icalendar")

    def free(day: str) -> None:
        event = f"BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:{day}\r\nDURATION:P3650D\r\nEND:VEVENT\r\n"
        head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n"
        cli.write("free.ics", f"{head}{event}END:VCALENDAR\r\n")

    free("20150101")  # until 2024
    items = EVERY_SECOND.replace("version: 1\n", "version: 1\ncalendars: {c: {holidays: free.ics}}\n")
    with serve(cli, items.replace("id: a,", "id: a, calendar: c,")) as server:
        server.event("firing_finished", item_id="a")
        free("20250101")  # until 2034: it fires no more
        loaded = server.event("schedule_loaded")["timestamp"]
        time.sleep(1.5)  # a firing of an earlier tick may still be on its way to the database
        assert [at for (at,) in firings(cli, "scheduled_at") if at[:19] > loaded[:19]] == []
        free("20150101")
        server.event("firing_finished", item_id="a")


def test_a_calendar_file_that_is_wrong_now_leaves_the_items_that_use_it(cli: CommandLine) -> None:
    pytest.importorskip("icalendar")
    event = "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20251225\r\nEND:VEVENT\r\n"
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n"
    cli.write("free.ics", f"{head}{event}END:VCALENDAR\r\n")
    items = EVERY_SECOND.replace("version: 1\n", "version: 1\ncalendars: {c: {holidays: free.ics}}\n")
    with serve(cli, items.replace("id: a,", "id: a, calendar: c, overlap: queue,")) as server:
        server.event("firing_finished", item_id="a")
        (cli.folder / "free.ics").unlink()
        server.event("schedule_invalid")
        wait_until(lambda: cli.query("SELECT problem FROM schedulers")[0][0])
        status = cli.run("scheduler", "status").out
        assert ("free.ics" in status, ", next 20" in status) == (True, True), status
        fired = cli.run("scheduler", "fire", "a", "--json")
        assert (fired.code, "free.ics" in fired.json()["problem"]) == (0, True), fired


@pytest.mark.parametrize("how", ["wrong", "gone", "renamed"])
def test_a_file_that_is_wrong_now_hides_neither_itself_nor_the_others(cli: CommandLine, how: str) -> None:
    cli.write("flow.yaml", OK)
    cli.write("m1.yaml", NEVER.replace("night", "m1"))
    cli.write("m2.yaml", NEVER.replace("night", "m2").replace("id: a", "id: b"))
    with cli.start("serve", "m1.yaml", "m2.yaml", "--log-format", "json") as server:
        hear(server, ("schedule_loaded", {"scheduler": "m1"}), ("schedule_loaded", {"scheduler": "m2"}))
        wait_until(lambda: len(cli.query("SELECT 1 FROM schedulers")) == 2)
        match how:
            case "wrong":
                cli.write("m2.yaml", "version: 1\nitms: []\n")
            case "gone":
                (cli.folder / "m2.yaml").unlink()
            case _:
                cli.write("m2.yaml", NEVER.replace("night", "m3"))
        server.event("schedule_invalid")
        first, second = cli.run("scheduler", "status", "--json").json()["schedulers"]
        assert (first["scheduler"], first["problem"], second["scheduler"]) == ("m1", "", "m2")
        assert second["problem"]
        assert [(one["item"], (one["next"] or "")[:4]) for one in second["items"]] == [("b", "2099")]
        assert "its last valid version is in force" in cli.run("scheduler", "status").out
        for name in ("a", "m1/a", "b"):
            fired = cli.run("scheduler", "fire", name, "--json")
            assert (fired.code, fired.json()["scheduler"]) == (0, "m2" if name == "b" else "m1"), fired
            assert bool(fired.json()["problem"]) == (name == "b")
            server.event("firing_finished", run_id=fired.json()["run_id"], outcome="SUCCESS")


def test_a_run_that_could_not_begin_is_shown_as_what_its_firing_became(cli: CommandLine) -> None:
    wrong = "version: 1\nflow: {id: f}\njobs:\n- {id: a, step: 1}\n- {id: a, step: 2}\n"
    with serve(cli, EVERY_SECOND, wrong) as server:
        run_id = server.event("firing_finished", outcome="FAILED")["run_id"]
    for command in ("show", "cancel"):
        done = cli.run("runs", command, run_id)
        assert done.code == 2
        assert "the firing of item 'a'" in done.err
        assert "flow.yaml:4:" in done.err
        assert "more: aetherflow validate flow.yaml" in done.err


def test_asking_where_no_server_ever_was_makes_no_database(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("scheduler.yaml", NEVER)
    for more, problem in (([], "uses the state database"), (["--file", "scheduler.yaml"], "serves")):
        done = cli.run("scheduler", "fire", "a", *more)
        assert (done.code, f"error[AF209]: no server {problem}" in done.err) == (2, True)
    nothing = f"no item has run yet: there is no state database {cli.state}\n"
    status, history = cli.run("scheduler", "status"), cli.run("scheduler", "history", "a")
    assert (status.code, status.out, status.err) == (0, nothing, "")
    assert (history.code, history.out, history.err) == (0, "", nothing)
    assert cli.run("scheduler", "history", "--json").json()["firings"] == []
    assert cli.run("scheduler", "status", "--state", "named.sqlite").code == 2
    assert not cli.state.exists()
