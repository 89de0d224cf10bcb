"""A command that the starter forks is as one with its own interpreter: the same output, code and process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import warm_start
from tests.cli.command_line import FAILS, OK, SECONDS, WAITS, CommandLine, Result, lives
from tests.polling import wait_until
from tests.warm_start import COMMAND, Popen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all starts are cold")

COMMANDS = (
    "--version",
    "--help",
    "run --help",
    "nothing",
    "run --no-such-option",
    "validate ok.yaml",
    "validate bad.yaml",
    "explain ok.yaml --json",
    "run ok.yaml --run-id r",
    "run ok.yaml --run-id r --log-format json",
    "run fails.yaml --run-id r",
    "run missing.yaml",
    "runs list",
    "steps list",
    "doctor ok.yaml",
    "scheduler next scheduler.yaml --json",
)
FACTS = """
import importlib.util, json, locale, os, resource, signal, sys, tempfile, threading, time, warnings
from aetherflow import step

def status(*fields):
    lines = (line.split(":") for line in open("/proc/self/status"))
    return {name: value.strip() for name, value in lines if name in fields}

def stream(one):
    return [one.name, one.mode, one.encoding, one.errors, one.newlines, one.line_buffering, one.write_through,
            one.isatty(), one.closed, type(one).__name__, type(one.buffer).__name__, one.buffer.raw.name]

def handler(number):
    found = signal.getsignal(number)
    return getattr(found, "__qualname__", found)

main = sys.modules["__main__"]
facts = {
    "environment": dict(os.environ),
    "arguments": [sys.argv, sys.orig_argv, sys.executable, sys.prefix],
    "main": [main.__file__, main.__name__, sorted(vars(main).keys() - {"__annotations__"})],
    "path": sys.path,
    "flags": repr(sys.flags),
    "options": [sys._xoptions, sys.warnoptions, len(warnings.filters)],
    "encodings": [sys.getfilesystemencoding(), locale.getpreferredencoding()],
    "locale": locale.setlocale(locale.LC_ALL),
    "streams": [stream(one) for one in (sys.__stdin__, sys.__stdout__, sys.__stderr__)],
    "same": sys.stdin is sys.__stdin__,
    "time": [time.tzname, time.timezone],
    "folder": os.getcwd(),
    "parent": os.getppid(),
    "group": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid()],
    "status": status("Name", "Umask", "SigBlk", "SigCgt", "Threads", "NoNewPrivs", "Seccomp"),
    "ignored": int(status("SigIgn")["SigIgn"], 16) & ~(3 << 31),  # two are of glibc alone
    "handlers": [handler(number) for number in sorted(signal.valid_signals())],
    "limits": [resource.getrlimit(number) for number in range(16)],
    "descriptors": {name: os.path.exists(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")},
    "threads": [thread.name for thread in threading.enumerate()],
    "main_thread": threading.main_thread().native_id == os.getpid(),
    "temporary": tempfile.gettempdir(),
    "tests": sorted(name for name in sys.modules if "test" in name.split(".")[0] or "hypothesis" in name),
    "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
}
modules = sorted(name for name in sys.modules if name.partition(".")[0] != "aetherflow")
with open(os.environ["FACTS"], "w") as file:
    json.dump({"facts": facts, "modules": modules}, file)

@step("facts")
async def report(context, inputs: dict):
    return {}
"""


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let starts be warm in the large run, too."""
    monkeypatch.setattr(warm_start, "_all_cold", False)


@pytest.fixture
def started() -> Iterator[list[Popen[bytes]]]:
    """The commands of a test; what still runs at its end is killed."""
    processes: list[Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(
    cli: CommandLine, *words: str, program: Sequence[str | Path] = (COMMAND,), **options: Any
) -> Popen[bytes]:
    """Start a command, or a program that is made of it, with options of Popen."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": cli.folder, "env": cli.env}
    return Popen([*program, *words], **{"stdin": subprocess.DEVNULL, **pipes, **options})


def ended(cli: CommandLine, *words: str, is_warm: bool, **options: Any) -> Result:
    """Run a command to its end, and check which kind its start was."""
    process = start(cli, *words, **options)
    out, err = process.communicate(timeout=SECONDS)
    assert process.is_warm is is_warm, (words, options)
    return Result(process.returncode, out.decode(), err.decode())


def masked(result: Result) -> Result:
    """Return a result without the times in it."""

    def mask(text: str) -> str:
        text = re.sub(r"\bprocess \d+", "PROCESS", text)
        text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:]+(\.\d+)?|\b\d\d:\d\d:\d\d\b", "TIME", text)
        return re.sub(r"\b\d+\.\d+\b", "AMOUNT", text)

    return Result(result.code, mask(result.out), mask(result.err))


@pytest.mark.parametrize("command", COMMANDS)
def test_both_kinds_print_the_same_and_end_with_the_same_code(cli: CommandLine, command: str) -> None:
    cli.write("ok.yaml", OK)
    cli.write("fails.yaml", FAILS)
    cli.write("bad.yaml", OK.replace("check_items", "chek_items"))
    cli.write("scheduler.yaml", "version: 1\nitems:\n- {id: a, cron: '0 3 * * *', flow_yaml: ok.yaml}\n")

    warm, again = (ended(cli, *command.split(), is_warm=True, env=fresh(cli, f"warm{n}")) for n in (1, 2))
    with warm_start.cold():
        cold = ended(cli, *command.split(), is_warm=False, env=fresh(cli, "cold1"))

    assert masked(warm) == masked(again) == masked(cold)
    assert warm.out + warm.err


def fresh(cli: CommandLine, name: str) -> dict[str, str]:
    """Return an environment with a state of its own, whose name has the same length: it prints the same."""
    root = cli.folder / "state"
    root.unlink(missing_ok=True)
    (cli.folder / name).mkdir()
    root.symlink_to(name)
    return cli.env


SHORT_LEASE = warm_start.TESTS / "torture" / "short_lease.py"
FROM_ROOT = {"PYTHONPATH": str(warm_start.TESTS.parent)}


@pytest.mark.parametrize(
    ("program", "changed", "options"),
    [
        ([COMMAND], {}, {}),
        ([COMMAND], {"LANG": None}, {}),
        ([COMMAND], {"LANG": "C"}, {}),
        ([COMMAND], {"LC_ALL": "C", "LC_CTYPE": "C.UTF-8"}, {}),
        ([COMMAND], {"TZ": "Asia/Tokyo", "TMPDIR": "/var/tmp"}, {}),  # noqa: S108 - only its name
        ([COMMAND], {"TEXT": "fünf\udcff\n= 5"}, {"umask": 0o027}),
        ([COMMAND], {}, {"start_new_session": True}),
        ([COMMAND], {}, {"process_group": 0}),
        ([COMMAND], {}, {"stdin": None, "cwd": None}),
        ([COMMAND], {}, {"stderr": subprocess.STDOUT, "stdin": subprocess.PIPE}),
        (
            [COMMAND],
            {"PYTHONPATH": f"{Path(__file__).parents[1]}{os.pathsep}{Path(__file__).parent}/cli"},
            {},
        ),
        ([sys.executable, SHORT_LEASE, "30"], {}, {}),
        ([sys.executable, SHORT_LEASE, "30"], FROM_ROOT, {"start_new_session": True}),
        ([sys.executable, "-m", "tests.torture.short_lease", "30"], FROM_ROOT, {}),
    ],
)
def test_both_kinds_are_the_same_process(
    cli: CommandLine, program: list[Any], changed: dict[str, str | None], options: dict[str, Any]
) -> None:
    cli.write("plugins/facts.py", FACTS)
    cli.write("flow.yaml", OK.replace("check_items", "facts"))
    environment: dict[str, str | None] = {
        **cli.env,
        "AETHERFLOW_PLUGIN_PATHS": str(cli.folder / "plugins"),
        **changed,
    }
    env = {name: value for name, value in environment.items() if value is not None}

    def facts(*, is_warm: bool) -> tuple[dict[str, Any], set[str]]:
        file = cli.folder / "facts.json"
        process = start(
            cli,
            "validate",
            str(cli.folder / "flow.yaml"),
            program=program,
            **{**options, "env": {**env, "FACTS": str(file)}},
        )
        out, err = process.communicate(timeout=SECONDS)
        assert process.is_warm is is_warm
        assert process.returncode == 0, (out, err)
        found = json.loads(file.read_text())
        return found["facts"], set(found["modules"])

    warm, warm_modules = facts(is_warm=True)
    with warm_start.cold():
        cold, cold_modules = facts(is_warm=False)

    assert warm == cold
    assert warm["parent"] == os.getpid()
    assert warm["tests"] == (["tests", "tests.torture"] if "-m" in program else [])
    assert cold_modules - warm_modules == set()


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({"PYTHONPATH": "."}, {}),
        ({"PYTHONPATH": "/no/such/folder"}, {}),
        ({"PYTHONPATH": str(Path(json.__file__).parents[1])}, {}),  # its modules are imported already
        ({"PYTHONWARNINGS": "error"}, {}),
        ({"LD_PRELOAD": ""}, {}),
        ({"TYPER_USE_RICH": "0"}, {}),
        ({}, {"preexec_fn": lambda: None}),
        ({}, {"close_fds": False}),
        ({}, {"executable": str(COMMAND)}),
        ({}, {"restore_signals": False}),
    ],
)
def test_what_only_a_new_interpreter_takes_over_makes_a_start_cold(
    cli: CommandLine, changed: dict[str, str], options: dict[str, Any]
) -> None:
    assert ended(cli, "--version", is_warm=False, env={**cli.env, **changed}, **options).code == 0
    assert ended(cli, "--version", is_warm=True).code == 0


def test_with_other_signals_ignored_or_blocked_a_start_is_cold(cli: CommandLine) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended(cli, "--version", is_warm=False)
    finally:
        signal.signal(signal.SIGINT, before)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        ended(cli, "--version", is_warm=False)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    ended(cli, "--version", is_warm=True)


@pytest.mark.usefixtures("cold_start")
def test_a_test_of_the_start_is_cold(cli: CommandLine) -> None:
    ended(cli, "--version", is_warm=False)


def test_other_programs_and_missing_folders_are_left_to_subprocess(cli: CommandLine) -> None:
    with Popen(["true"]) as process:
        assert process.wait(SECONDS) == 0
    assert not process.is_warm
    with Popen([sys.executable, "-c", "pass"]) as process:
        assert process.wait(SECONDS) == 0
    assert not process.is_warm
    assert warm_start.run([COMMAND, "--version"], capture_output=True, text=True, check=True).stderr == ""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        start(cli, "--version", cwd=cli.folder / "nowhere")
    with pytest.raises(subprocess.CalledProcessError):
        warm_start.run([COMMAND, "nothing"], capture_output=True, check=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_a_child_of_the_test(
    cli: CommandLine, started: list[Popen[bytes]], number: signal.Signals
) -> None:
    cli.write("flow.yaml", WAITS)
    codes = []
    for kind in (warm_start.cold, None):
        process = waiting(cli, started) if kind is None else cold_waiting(cli, started)
        assert process.poll() is None
        process.send_signal(number)
        codes.append(process.wait(SECONDS))
    assert codes[0] == codes[1]
    assert not lives(process.pid)
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)


def cold_waiting(cli: CommandLine, started: list[Popen[bytes]]) -> Popen[bytes]:
    """Start a command that waits, cold."""
    with warm_start.cold():
        return waiting(cli, started)


def waiting(cli: CommandLine, started: list[Popen[bytes]]) -> Popen[bytes]:
    """Start a command whose step waits."""
    up = cli.folder / f"up{len(started)}"
    script = f"echo $$ > {up}; sleep 100"
    cli.write("flow.yaml", WAITS.replace("echo up; until", f"{script}; until"))
    process = start(cli, "run", "flow.yaml", env={**cli.env, "GO": "never"})
    started.append(process)
    wait_until(lambda: up.exists() or process.poll() is not None)
    return process


def test_one_command_has_no_descriptor_of_another(cli: CommandLine, started: list[Popen[bytes]]) -> None:
    cli.write("flow.yaml", WAITS)
    first, second = waiting(cli, started), waiting(cli, started)
    first.kill()
    first.communicate(timeout=SECONDS)  # its pipes end, though the other one lives
    assert second.poll() is None


def test_the_starter_ends_with_the_process_that_it_starts_for() -> None:
    script = (
        "import os, sys\n"
        "from tests import warm_start\n"
        "warm_start.run([warm_start.COMMAND, '--version'], check=True, env={'LANG': 'C.UTF-8'})\n"
        "locale = frozenset({('LANG', 'C.UTF-8')})\n"
        "print(warm_start._starter_of(os.getpid(), locale).process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: not lives(int(done.stdout.splitlines()[-1])))
