"""Background processes that a step leaves: ended with the run, read until then, or left running."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, lives, no_trace
from tests.polling import wait_until

CANARY = "hunter2-of-the-canary"
TICKS = "echo $BASHPID >>PIDS; while sleep 0.05; do echo tick $DB_PASSWORD || exit 9; done"
"""Writes a line that holds a secret again and again; without a reader it would end by SIGPIPE."""


class Places(CommandLine):
    """A folder for flows whose steps leave processes; what they leave is ended after the test."""

    @property
    def pids(self) -> list[int]:
        """The processes that have written their id."""
        with suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / "pids").read_text().split()]
        return []

    def log(self, step: str) -> str:
        """Return what is in the log of a step of run `r`."""
        with suppress(FileNotFoundError):
            return (self.state.parent / "aetherflow.logs" / "r" / "a" / f"{step}.1.log").read_text()
        return ""

    def flow(self, *steps: str) -> None:
        """Write a flow of these steps."""
        head = "version: 1\nflow: {id: f}\njobs:\n  - id: a\n    steps:\n"
        text = head + "".join(f"      - {step}\n" for step in steps)
        self.write(
            "flow.yaml", text.replace("PIDS", str(self.folder / "pids")).replace("DIR", str(self.folder))
        )

    def recorders(self) -> list[int]:
        """Return the processes that record the output of what was left running."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    if str(self.state.parent).encode() in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def go(self) -> None:
        """Let a step that waits for it end."""
        (self.folder / "go").touch()


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    place = Places(tmp_path)
    place.env["DB_PASSWORD"] = CANARY
    yield place
    for pid in place.pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def step(name: str, script: str, more: str = "") -> str:
    """Return a step that runs a script with bash."""
    quoted = script.replace("'", "''")
    return f"{{id: {name}, type: external.process, inputs: {{command: [bash, -c, '{quoted}']{more}}}}}"


WAITS = step("waits", "until test -e DIR/go; do sleep 0.02; done")


def test_what_a_step_leaves_is_reported_read_while_the_run_lasts_and_ended_with_it(places: Places) -> None:
    places.flow(step("leaves", f"({TICKS}) & echo started"), WAITS)
    with places.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        left = run.event("notice", step_id="leaves", level="warning")["message"]
        run.event("step_finished", step_id="leaves", status="SUCCESS")
        run.event("step_output", step_id="leaves", text="tick ***")
        (pid,) = places.pids
        assert f"left in the background: {pid} (bash)" in left
        assert "ended when the run ends; its output is recorded until then" in left
        length = len(places.log("leaves"))
        wait_until(lambda: len(places.log("leaves")) > length + 100)
        places.go()
        run.event("run_summary", status="SUCCESS")
        ended = run.event(
            "notice",
            message=f"the background process {pid} (bash) of a.leaves was ended with the run (SIGTERM)",
        )
        assert ended["level"] == "info"
        assert run.end().code == 0
    assert not lives(pid)
    assert places.log("leaves").startswith("started\ntick ***\n")
    assert CANARY not in places.log("leaves")


@pytest.mark.parametrize(
    ("script", "name", "how"),
    [
        (
            "(trap '' TERM; echo $BASHPID >>PIDS; exec sleep 1000 >/dev/null 2>&1) &",
            "sleep",
            "was killed with the run (SIGKILL)",
        ),
        ("(echo $BASHPID >>PIDS; exec sleep 0.5 >/dev/null 2>&1) &", "sleep", "has ended by itself"),
        (
            "(echo $BASHPID >>PIDS; exec env -i sleep 1000 >/dev/null 2>&1) &",
            "sleep",
            "was ended with the run (SIGTERM)",
        ),
        (
            "(echo $BASHPID >>PIDS; exec env -i setsid -f sleep 1000) &",
            "sleep",
            "was ended with the run (SIGTERM)",
        ),
    ],
    ids=["ignores SIGTERM", "ends by itself", "without a mark", "only holds the output"],
)
def test_each_kind_of_leftover_is_found_and_its_end_is_reported(
    places: Places, script: str, name: str, how: str
) -> None:
    """By the mark in its environment, by its process group, by the pipe that it holds."""
    places.flow(
        step("leaves", f"{script} until test -s PIDS; do sleep 0.02; done"), step("later", "sleep 0.7")
    )

    done = places.run("run", "flow.yaml")

    assert (done.code, no_trace(done)) == (0, True), done
    assert re.search(rf"\(({name}|bash)\) of a\.leaves {re.escape(how)}", done.err)  # bash, if it was quick
    assert not any(map(lives, places.pids))


def test_a_step_that_leaves_nothing_says_nothing(places: Places) -> None:
    places.flow(step("one", "sleep 0.01 & wait; (sleep 0.01); true | true"), step("two", "exec true"))

    done = places.run("run", "flow.yaml")

    assert done.code == 0
    assert "background" not in done.err


def test_what_is_left_running_outlives_the_run_and_its_output_goes_to_the_log(places: Places) -> None:
    places.flow(step("leaves", f"({TICKS}) & echo started", ", leave_running: true"), WAITS)
    with places.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        message = run.event("notice", step_id="leaves")["message"]
        (pid,) = places.pids
        assert f"left running: {pid} (bash)" in message
        assert str(places.state.parent / "aetherflow.logs" / "r" / "a" / "leaves.1.log") in message
        places.go()
        run.event("notice", message=f"the process {pid} (bash) of a.leaves is left running")
        assert run.end().code == 0

    assert lives(pid)
    length = len(places.log("leaves"))
    wait_until(lambda: len(places.log("leaves")) > length + 100)
    assert CANARY not in places.log("leaves")
    ((outputs,),) = places.query("select outputs from step_state where step_id = 'leaves'")
    assert str(pid) in outputs

    again = places.run("run", "flow.yaml", "--run-id", "r")
    assert again.code == 0
    assert places.pids == [pid]  # a step that has ended is not run again, so there is no second one
    assert len(places.recorders()) == 1
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not places.recorders())


def test_what_is_left_running_outlives_an_engine_that_is_killed(places: Places) -> None:
    """Its step has ended, so a resume starts no second one; a step that had not ended loses its processes."""
    places.flow(
        step("leaves", f"({TICKS}) & echo started", ", leave_running: true"),
        step(
            "ends",
            "(echo $BASHPID >>PIDS; exec sleep 1000) & until test -e DIR/go; do sleep 0.02; done",
            ", leave_running: true",
        ),
    )
    with places.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        run.event("step_started", step_id="ends")
        wait_until(lambda: len(places.pids) == 2)
        first, second = places.pids
        run.send(signal.SIGKILL)
        run.end()
    wait_until(lambda: not lives(second))
    assert lives(first)
    length = len(places.log("leaves"))
    wait_until(lambda: len(places.log("leaves")) > length + 100)

    places.go()
    done = places.run("runs", "retry", "r")
    assert (done.code, no_trace(done)) == (0, True), done
    assert lives(first)
    assert len(places.pids) == 3  # one of `leaves`, two of `ends`, which ran again


@pytest.mark.parametrize(
    "more",
    [
        ", success: {require_files: [missing]}",
        "}, outputs: {x: '{{result.missing}}'",
    ],
    ids=["a check fails", "an output fails"],
)
def test_a_step_that_fails_leaves_nothing_running(places: Places, more: str) -> None:
    places.flow(
        step(
            "leaves",
            f"({TICKS}) & until test -s PIDS; do sleep 0.02; done",
            f", leave_running: true, kill_grace_seconds: 1{more}",
        ).replace("}}}}}", "}}}}")
    )

    done = places.run("run", "flow.yaml")

    assert (done.code, no_trace(done)) == (1, True), done
    assert not any(map(lives, places.pids))
    assert len(places.pids) == 1


def test_a_step_that_is_cancelled_leaves_nothing_running(places: Places) -> None:
    places.flow(
        step(
            "leaves",
            f"({TICKS}) & until test -e DIR/go; do sleep 0.02; done",
            ", leave_running: true, kill_grace_seconds: 1",
        )
    )
    with places.start("run", "flow.yaml") as run:
        wait_until(lambda: len(places.pids) == 1)
        run.send(signal.SIGTERM)
        assert run.end().code == 143
    assert not any(map(lives, places.pids))


def test_a_cancelled_run_still_leaves_what_an_ended_step_left_running(places: Places) -> None:
    places.flow(step("leaves", f"({TICKS}) & echo started", ", leave_running: true"), WAITS)
    with places.start("run", "flow.yaml", "--log-format", "json") as run:
        run.event("step_finished", step_id="leaves")
        run.send(signal.SIGTERM)
        run.event("cancel_requested")
        run.send(signal.SIGTERM)
        (pid,) = places.pids
        run.event("notice", message=f"the process {pid} (bash) of a.leaves is left running")
        done = run.end()
    assert done.code == 143
    assert lives(pid)


def test_what_a_server_has_left_running_outlives_it(places: Places) -> None:
    places.flow(step("leaves", f"({TICKS}) & echo started", ", leave_running: true"))
    places.write(
        "scheduler.yaml", "version: 1\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n"
    )
    with places.start("serve", "scheduler.yaml", "--log-format", "json") as server:
        server.event("firing_finished", outcome="SUCCESS")
        server.send(signal.SIGTERM)
        done = server.end()
    assert (done.code, no_trace(done)) == (143, True), done
    assert places.pids
    assert all(map(lives, places.pids))
    assert len(places.recorders()) == len(places.pids)


def test_a_program_with_its_own_output_needs_no_recorder_and_one_without_any_is_named(
    places: Places,
) -> None:
    places.flow(
        step(
            "daemon",
            "setsid sleep 1000 &>/dev/null & echo $! >>PIDS",
            ", leave_running: true",
        ),
        step("nothing", "true", ", leave_running: true"),
    )

    done = places.run("run", "flow.yaml")

    assert done.code == 0
    assert all(map(lives, places.pids))
    assert places.recorders() == []
    assert "leave_running is true, but the program has left no process" in done.err
