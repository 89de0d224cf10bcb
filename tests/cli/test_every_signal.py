"""Every signal that asks to stop, where a process easily dies of it; and those that must not stop it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from aetherflow.stop_signals import STOP_SIGNALS, name_of
from tests.cli.command_line import AETHERFLOW, OK, SECONDS, CommandLine, flow, no_trace
from tests.polling import wait_until

FLOW = """version: 1
flow:
  id: f
  on_exit:
  - {{id: bye, type: external.process, inputs: {{command: [sh, -c, {bye}]}}}}
  - {{id: last, type: external.process, inputs: {{command: [sh, -c, "echo last >> $OUT"]}}}}
jobs:
- id: a
  steps:
  - {{id: s, type: external.process, inputs: {{command: [sh, -c, {step}]}}}}
"""
WAITS = "touch $UP; while [ ! -e $GO ]; do sleep 0.05; done"


def place(cli: CommandLine, *, step: str = WAITS, bye: str = "echo bye >> $OUT") -> tuple[Path, Path, Path]:
    """Write a flow; return the file that says it waits, the one that lets it go, and what its hooks wrote."""
    up, go, out = (cli.folder / name for name in ("up", "go", "out"))
    cli.env |= {"UP": str(up), "GO": str(go), "OUT": str(out)}
    cli.write("flow.yaml", FLOW.format(step=repr(step), bye=repr(bye)))
    return up, go, out


DIES = """
import os, signal, sys
number = int(sys.argv[1])
signal.signal(number, signal.SIG_DFL)
os.kill(os.getpid(), number)
"""


def test_all_signals_are_known_whose_default_ends_a_process() -> None:
    ending = set()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        child = subprocess.Popen([sys.executable, "-S", "-c", DIES, str(int(number))])
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        child.returncode = 0
        if os.WIFSTOPPED(status):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        elif os.WIFSIGNALED(status):
            ending.add(int(number))

    left_out = {"ABRT", "BUS", "FPE", "ILL", "SEGV", "SYS", "TRAP", "PIPE", "XFSZ"}
    assert {name_of(number) for number in ending - STOP_SIGNALS} == {f"SIG{name}" for name in left_out}
    assert ending >= STOP_SIGNALS
    assert len({name_of(number) for number in STOP_SIGNALS}) == len(STOP_SIGNALS)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGRTMIN + 2])
def test_a_signal_cancels_the_run_its_hooks_run_and_the_exit_code_says_which(
    cli: CommandLine, number: int
) -> None:
    up, _, out = place(cli)
    with cli.start("run", "flow.yaml", "--run-id", "r") as run:
        wait_until(up.exists)
        run.send(number)
        done = run.end()

    assert done.code == 128 + number, done
    assert no_trace(done)
    assert out.read_text() == "bye\nlast\n"
    assert cli.query("SELECT status, reason FROM runs") == [("CANCELLED", name_of(number))]


def test_a_signal_while_the_hooks_run_lets_them_end_and_a_second_one_ends_them(cli: CommandLine) -> None:
    up, go, out = place(cli, step="true", bye=WAITS)
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        wait_until(up.exists)
        run.send(signal.SIGTERM)
        said = run.event("notice")["message"]
        go.touch()
        done = run.end()
    assert said == "SIGTERM: the jobs have ended; the hooks run to their end; a second signal cuts them off"
    assert (done.code, out.read_text()) == (0, "last\n"), done

    up.unlink()
    go.unlink()
    with cli.start("run", "flow.yaml", "--run-id", "s", "--log-format", "json") as run:
        wait_until(up.exists)
        run.send(signal.SIGTERM)
        run.event("notice")
        run.send(signal.SIGTERM)
        assert run.event("notice")["message"].startswith("the hooks are cut off, their programs are killed; ")
        done = run.end()
    assert (done.code, out.read_text()) == (0, "last\n"), done
    hooks = cli.query("SELECT status FROM job_state WHERE run_id = 's' AND job_id = '@on_exit'")
    assert hooks == [("CANCELLED",)]


def test_a_cancelled_run_has_all_its_hooks_also_slow_ones(cli: CommandLine) -> None:
    up, _, out = place(cli, bye="sleep 2.5; echo bye >> $OUT")
    with cli.start("run", "flow.yaml", "--run-id", "r") as run:
        wait_until(up.exists)
        assert cli.run("runs", "cancel", "r").code == 0
        done = run.end()

    assert (done.code, out.read_text()) == (130, "bye\nlast\n"), done


def test_under_nohup_a_run_survives_sighup_and_not_sigterm(cli: CommandLine) -> None:
    up, go, out = place(cli)
    script = f"exec nohup {AETHERFLOW} run flow.yaml --run-id $0 </dev/null >/dev/null 2>log"
    for run_id, number, code in (("r", signal.SIGHUP, 0), ("s", signal.SIGTERM, 143)):
        run = subprocess.Popen(["bash", "-c", script, run_id], cwd=cli.folder, env=cli.env)
        wait_until(up.exists)
        run.send_signal(number)
        if code == 0:
            go.touch()
        assert run.wait(SECONDS) == code, cli.folder.joinpath("log").read_text()
        up.unlink()
        go.unlink(missing_ok=True)
    assert out.read_text() == "bye\nlast\n" * 2


@pytest.mark.parametrize("ignores", [False, True])
def test_a_run_whose_terminal_is_closed_ends_in_order(cli: CommandLine, ignores: bool) -> None:  # noqa: FBT001
    up, go, out = place(cli)
    arguments = [AETHERFLOW, "run", "flow.yaml", "--run-id", "r"]
    if ignores:
        arguments = ["bash", "-c", f"trap '' HUP; exec {' '.join(arguments)}"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        os.execvpe(arguments[0], arguments, {**cli.env, "TERM": "xterm"})  # noqa: S606 - no shell wanted
    wait_until(up.exists)
    os.close(terminal)
    if ignores:
        go.touch()
    wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == (0 if ignores else 129)
    assert out.read_text() == "bye\nlast\n"
    wanted = ("SUCCESS", "") if ignores else ("CANCELLED", "SIGHUP")
    assert cli.query("SELECT status, coalesce(reason, '') FROM runs") == [wanted]


def test_two_sighups_of_one_closed_terminal_are_one_request(cli: CommandLine) -> None:
    graceful = "trap 'sleep 1; echo child >> $OUT; exit 1' TERM; touch $UP; while :; do sleep 0.05; done"
    up, _, out = place(cli, step=graceful)
    with cli.start("run", "flow.yaml", "--run-id", "r", "--log-format", "json") as run:
        wait_until(up.exists)
        run.send(signal.SIGHUP)
        run.event("cancel_requested")
        run.send(signal.SIGHUP)
        done = run.end()

    assert done.code == 129, done
    assert out.read_text() == "child\nbye\nlast\n"


def test_a_server_whose_terminal_is_closed_serves_on(cli: CommandLine) -> None:
    _, go, out = place(cli)
    go.touch()
    cli.write(
        "scheduler.yaml",
        "version: 1\nid: night\nitems:\n- {id: a, interval_seconds: 1, flow_yaml: flow.yaml}\n",
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        arguments = [AETHERFLOW, "serve", "scheduler.yaml"]
        os.execvpe(AETHERFLOW, arguments, {**cli.env, "TERM": "xterm"})  # noqa: S606 - no shell wanted
    wait_until(out.exists)
    os.close(terminal)
    before = out.read_text().count("last")
    wait_until(lambda: out.read_text().count("last") > before + 1)
    os.kill(pid, signal.SIGTERM)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 143


def test_ctrl_c_in_a_terminal_stops_the_run_and_its_children_in_order(cli: CommandLine) -> None:
    up, _, out = place(cli, step=f"trap 'echo child >> $OUT' INT; {WAITS}")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        arguments = [AETHERFLOW, "run", "flow.yaml", "--run-id", "r"]
        os.execvpe(AETHERFLOW, arguments, {**cli.env, "TERM": "xterm"})  # noqa: S606 - no shell wanted
    wait_until(up.exists)
    os.write(terminal, b"\x03")
    wait_until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(status) == 130
    assert out.read_text() == "bye\nlast\n"


def _until(terminal: int, shown: bytearray, text: str) -> None:
    """Read what a terminal shows until it has a text, in one line or in two."""
    while text.encode() not in bytes(shown).replace(b"\r\n", b" "):
        shown += os.read(terminal, 65536)


def test_the_first_ctrl_c_says_what_a_second_one_does_and_the_second_does_it(cli: CommandLine) -> None:
    up, _, out = place(cli, step=f"trap '' INT TERM; {WAITS}")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.folder)
        arguments = [AETHERFLOW, "run", "flow.yaml", "--run-id", "r"]
        os.execvpe(AETHERFLOW, arguments, {**cli.env, "TERM": "xterm"})  # noqa: S606 - no shell wanted
    shown = bytearray()
    wait_until(up.exists)
    os.write(terminal, b"\x03")
    _until(terminal, shown, "then on_exit runs; Ctrl-C again kills the programs at once")
    assert not out.exists()
    os.write(terminal, b"\x03")
    _until(
        terminal,
        shown,
        "the programs are killed, then on_exit runs for at most 30 s; a third Ctrl-C ends this process",
    )
    with suppress(OSError):  # Linux says EIO when the last one has closed the terminal
        while chunk := os.read(terminal, 65536):
            shown += chunk
    os.close(terminal)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert out.read_text() == "bye\nlast\n"
    assert shown.count(b"resume: aetherflow runs retry r --state ") == 1


def test_a_run_that_is_stopped_and_continued_runs_on(cli: CommandLine) -> None:
    """In a group with a parent in its session: to another one, as under nohup, SIGTSTP does nothing."""
    up, go, out = place(cli)
    with cli.start("run", "flow.yaml", "--run-id", "r", process_group=0) as run:
        wait_until(up.exists)
        run.send(signal.SIGTSTP)
        state = Path(f"/proc/{run.pid}/stat")
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
        run.send(signal.SIGCONT)
        go.touch()
        done = run.end()

    assert (done.code, out.read_text()) == (0, "bye\nlast\n"), done


def test_runs_cancel_ends_hooks_that_run(cli: CommandLine) -> None:
    up, _, out = place(cli, step="true", bye=WAITS)
    with cli.start("run", "flow.yaml", "--run-id", "r") as run:
        wait_until(up.exists)
        assert cli.run("runs", "cancel", "r").code == 0
        done = run.end()

    assert done.code == 0, done
    assert not out.exists()
    assert cli.query("SELECT status FROM job_state WHERE job_id = '@on_exit'") == [("CANCELLED",)]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_an_item_that_is_fired_here_ends_in_order(cli: CommandLine, number: signal.Signals) -> None:
    up, _, out = place(cli)
    cli.write(
        "scheduler.yaml",
        "version: 1\nid: night\nitems:\n- {id: a, at: '2099-01-01T00:00', flow_yaml: flow.yaml}\n",
    )
    with cli.start("scheduler", "fire", "a", "--file", "scheduler.yaml", "--here") as fired:
        wait_until(up.exists)
        fired.send(number)
        done = fired.end()

    assert done.code == 128 + number, done
    assert out.read_text() == "bye\nlast\n"


LOADING = (
    "import pathlib, time\npathlib.Path('loading').touch()\nwhile True: time.sleep(0.02)\nSETTINGS = {}\n"
)


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_command_that_has_begun_nothing_ends_at_once(
    cli: CommandLine, command: str, number: signal.Signals
) -> None:
    cli.write("slow.py", LOADING)
    cli.write("flow.yaml", OK)
    cli.env |= {"AETHERFLOW_SETTINGS_MODULE": "slow", "PYTHONPATH": str(cli.folder)}
    with cli.start(command, "flow.yaml") as started:
        wait_until((cli.folder / "loading").exists)
        started.send(number)
        done = started.end()

    assert (done.code, done.out, done.err) == (128 + number, "", "")
    assert not cli.state.exists()


HANDLES = """
import pathlib, signal
signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path("handled").touch())
SETTINGS = {}
"""


def test_a_signal_that_a_module_of_the_user_handles_stays_its_own(cli: CommandLine) -> None:
    up, go, out = place(cli)
    cli.write("handles.py", HANDLES)
    cli.env |= {"AETHERFLOW_SETTINGS_MODULE": "handles", "PYTHONPATH": str(cli.folder)}
    with cli.start("run", "flow.yaml", "--run-id", "r") as run:
        wait_until(up.exists)
        run.send(signal.SIGUSR1)
        wait_until((cli.folder / "handled").exists)
        go.touch()
        done = run.end()

    assert (done.code, out.read_text()) == (0, "bye\nlast\n"), done


FORKS = """
import os, signal, sys, time
from aetherflow import step

@step("forks")
async def forks(context, inputs):
    '''Fork workers on the loop and in a thread, and end them with SIGTERM.'''
    fork()
    await context.run_sync(fork)
    return {}

def fork():
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begun, b".")
        time.sleep(60)
        os._exit(7)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -signal.SIGTERM:
        raise RuntimeError(f"it ended with {code}")
"""


def test_a_worker_that_a_step_forks_dies_of_a_signal_and_the_run_does_not_notice(cli: CommandLine) -> None:
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = "plugins"
    cli.write("plugins/forks.py", FORKS)
    cli.write("flow.yaml", flow("- {id: s, type: forks}"))
    done = cli.run("run", "flow.yaml", "--run-id", "r")

    assert done.code == 0, done
