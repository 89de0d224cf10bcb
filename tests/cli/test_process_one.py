"""AetherFlow as process 1 of a container: orphans are reaped, exit codes and signals pass through."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_line import AETHERFLOW, FAILS, CommandLine, Running, flow, no_trace
from tests.polling import wait_until

CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child")


def _is_possible() -> bool:
    try:
        return (
            subprocess.run([*CONTAINER, "true"], capture_output=True, timeout=20, check=False).returncode == 0
        )
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _is_possible(), reason="this machine allows no process namespaces")

WAIT = "touch $UP; while [ ! -e $GO ]; do sleep 0.05; done"
BYE = "[{id: bye, type: external.process, inputs: {command: [sh, -c, 'echo bye >> $OUT']}}]"
ORPHANS = "for i in 1 2 3; do (setsid sh -c 'sleep 0.1; exit 3' &); done; "
LEAVES = flow(
    f"""
- {{id: s, type: external.process, inputs: {{command: [sh, -c, "{ORPHANS} exit 0"]}}}}
- {{id: own, type: keeps_status}}
- {{id: wait, type: external.process, inputs: {{command: [sh, -c, "{WAIT}"]}}}}
""",
    f"flow: {{id: f, on_exit: {BYE}}}",
)
PLUGIN = """
import subprocess, time
from aetherflow import step

@step("keeps_status")
def keeps_status(context, inputs):
    '''Wait for a child only some time after it has ended.'''
    child = subprocess.Popen(["sh", "-c", "exit 5"], start_new_session=True)
    time.sleep(0.5)
    if child.wait() != 5:
        raise RuntimeError(f"the status is {child.returncode}")
    return {}
"""


def start(cli: CommandLine, *arguments: str) -> tuple[Running, int]:
    """Start a command as process 1 of a namespace; return it and its id outside, 0 if it has ended."""
    cli.env |= {name: str(cli.folder / name) for name in ("UP", "GO", "OUT")}
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = "plugins"
    cli.write("plugins/keeps_status.py", PLUGIN)
    outside = subprocess.Popen(
        [*CONTAINER, AETHERFLOW, *arguments],
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    first: list[int] = []

    def is_found() -> bool:
        first.extend(children(outside.pid))
        return bool(first) or outside.poll() is not None

    wait_until(is_found)
    return Running(outside), next(iter(first), 0)


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies too."""
    processes = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted(child for child in processes if _parent(child)[0] == pid)


def zombies(pid: int) -> list[int]:
    """Return the zombies whose parent is this process."""
    return [child for child in children(pid) if _parent(child)[1] in "ZX"]


def _parent(pid: int) -> tuple[int, str]:
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return 0, ""
    return int(fields[1]), fields[0]


def test_orphans_of_a_run_are_reaped_and_the_status_of_its_own_children_is_not_stolen(
    cli: CommandLine,
) -> None:
    cli.write("flow.yaml", LEAVES)
    run, first = start(cli, "run", "flow.yaml", "--run-id", "r")
    with run:
        wait_until((cli.folder / "UP").exists)
        wait_until(lambda: zombies(first) == [])
        (engine,) = children(first)
        assert zombies(engine) == []
        (cli.folder / "GO").touch()
        done = run.end()

    assert done.code == 0, done
    assert cli.query("SELECT status FROM runs") == [("SUCCESS",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_process_1_ends_the_run_in_order(cli: CommandLine, number: signal.Signals) -> None:
    cli.write("flow.yaml", LEAVES)
    run, first = start(cli, "run", "flow.yaml", "--run-id", "r")
    with run:
        wait_until((cli.folder / "UP").exists)
        os.kill(first, number)
        done = run.end()

    assert done.code == 128 + number, done
    assert (cli.folder / "OUT").read_text() == "bye\n"
    assert cli.query("SELECT status, reason FROM runs") == [("CANCELLED", number.name)]


def test_the_exit_code_is_that_of_the_command_also_if_it_was_killed(cli: CommandLine) -> None:
    cli.write("flow.yaml", FAILS)
    with start(cli, "run", "flow.yaml")[0] as run:
        assert run.end().code == 1
    with start(cli, "--version")[0] as run:
        assert run.end().code == 0
    cli.write("flow.yaml", LEAVES)
    run, first = start(cli, "run", "flow.yaml")
    with run:
        wait_until((cli.folder / "UP").exists)
        os.kill(children(first)[0], signal.SIGKILL)
        assert run.end().code == 137


def test_a_command_that_loads_a_module_is_ended_by_sigterm(cli: CommandLine) -> None:
    cli.write(
        "slow.py", "import pathlib, time\npathlib.Path('loading').touch()\nwhile True: time.sleep(0.02)\n"
    )
    cli.env |= {"AETHERFLOW_SETTINGS_MODULE": "slow", "PYTHONPATH": str(cli.folder)}
    cli.write("flow.yaml", FAILS)
    run, first = start(cli, "validate", "flow.yaml")
    with run:
        wait_until((cli.folder / "loading").exists)
        os.kill(first, signal.SIGTERM)
        done = run.end()
    assert (done.code, done.out, done.err) == (143, "", "")


def test_orphans_of_the_runs_of_a_server_are_reaped(cli: CommandLine) -> None:
    cli.write(
        "flow.yaml",
        flow(f"""- {{id: s, type: external.process, inputs: {{command: [sh, -c, "{ORPHANS}"]}}}}"""),
    )
    cli.write(
        "scheduler.yaml",
        "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n",
    )
    server, first = start(cli, "serve", "scheduler.yaml", "--log-format", "json")
    with server:
        for _ in range(3):
            server.event("firing_finished", outcome="SUCCESS")
        wait_until(lambda: zombies(first) == [])
        os.kill(first, signal.SIGHUP)
        server.event("schedule_loaded", is_first=False)
        os.kill(first, signal.SIGTERM)
        done = server.end()

    assert done.code == 143, done
    assert no_trace(done)
