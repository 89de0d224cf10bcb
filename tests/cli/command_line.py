"""The installed command as a person starts it: in a folder, with an environment that holds nothing else."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from tests import warm_start
from tests.polling import wait_until

BIN = Path(sys.executable).parent
AETHERFLOW = str(warm_start.COMMAND)
SECONDS = 60
"""How long a command may take before the test gives up; far more than any needs."""


class Result(msgspec.Struct, frozen=True):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output as JSON."""
        return json.loads(self.out)

    def lines(self) -> list[dict[str, Any]]:
        """Return standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """`aetherflow` in a folder, with a state root below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state" / "aetherflow.sqlite"
        self.env = {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "AETHERFLOW_STATE_ROOT": str(self.state.parent),
        }

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(
        self, *arguments: str, env: dict[str, str] | None = None, stdout: int | IO[Any] = subprocess.PIPE
    ) -> Result:
        """Run a command to its end."""
        done = warm_start.run(
            [AETHERFLOW, *arguments],
            cwd=self.folder,
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
        return Result(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    def bash(self, script: str, env: dict[str, str] | None = None) -> Result:
        """Run a script with bash, in the folder."""
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, process_group: int | None = None) -> Running:
        """Start a command and do not wait for its end; in process group 0 it has one of its own."""
        return Running(
            warm_start.Popen(
                [AETHERFLOW, *arguments],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                process_group=process_group,
            )
        )

    def query(self, sql: str, path: Path | None = None) -> list[tuple[Any, ...]]:
        """Ask the state database."""
        connection = sqlite3.connect(path or self.state)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


class Running:
    """A command that runs; use it with `with`, so that it never outlives its test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON lines of standard output; kill a command that the reader waits for too long."""
        assert self.process.stdout is not None
        patience = threading.Timer(2 * SECONDS, self.process.kill)
        patience.start()
        try:
            for line in self.process.stdout:
                yield json.loads(line)
        finally:
            patience.cancel()
            patience.join()

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Read JSON lines from standard output up to this one."""
        for event in self.events():
            if event["event"] == name and fields.items() <= event.items():
                return event
        raise AssertionError(f"no {name} {fields}: {self.end()}")

    def send(self, number: int) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)

    def send_alone(self, number: int) -> None:
        """Send a signal and wait until it is handled: two of one number that wait are one."""
        self.send(number)
        wait_until(lambda: self.process.poll() is not None or not _waits(self.pid, number), "it waits")
        time.sleep(0.1)  # Python calls its handler some time after the system has delivered the signal

    def end(self) -> Result:
        """Wait for the end; return what was printed and not yet read."""
        out, err = self.process.communicate(timeout=SECONDS)
        return Result(self.process.returncode, out, err)


def _waits(pid: int, number: int) -> bool:
    """Whether a signal is pending for a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    return any(int(fields[name], 16) >> (number - 1) & 1 for name in ("SigPnd", "ShdPnd"))


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def has_place(text: str, file: str, place: str, code: str) -> bool:
    """Whether a line of the text is `FILE:PLACE: error[CODE]: ...`."""
    return bool(re.search(rf"^{re.escape(file)}:{place}: error\[{code}\]: \S", text, re.MULTILINE))


def no_trace(result: Result) -> bool:
    """Whether nothing looks like a program that broke."""
    return not any(word in result.out + result.err for word in ("Traceback", "AF000", "Exception ignored"))


LIST_MODULES = """
import os, pathlib, sys

def leave(code, end=os._exit):
    pathlib.Path("modules.txt").write_text(" ".join(sys.modules))
    end(code)

os._exit = leave
from aetherflow.__main__ import main
main()
"""


def imported_modules(cli: CommandLine, *arguments: str) -> set[str]:
    """Return the names of the modules that a command has imported when it ends."""
    subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *arguments],
        cwd=cli.folder,
        env=cli.env,
        capture_output=True,
        check=True,
    )
    return set((cli.folder / "modules.txt").read_text(encoding="utf-8").split())


def flow(steps: str, head: str = "flow: {id: f}") -> str:
    """Return a flow with one job `a` of these steps (YAML, one per line)."""
    indented = "\n".join(f"      {line}" for line in steps.strip().splitlines())
    return f"version: 1\n{head}\njobs:\n  - id: a\n    steps:\n{indented}\n"


OK = flow("- {id: s, type: check_items, inputs: {items: [x]}}")
SKIPS = flow("- {id: s, type: check_items, inputs: {items: []}}")
FAILS = flow("- {id: s, type: external.process, inputs: {command: [sh, -c, 'echo oh no >&2; exit 3']}}")
PARAMS = flow(
    "- {id: s, type: external.process, inputs: {command: [echo, 'day {{params.day}}']}}",
    "flow: {id: f, params: {day: {type: date, required: true}, n: {type: int, default: 1}}}",
)
WAITS = flow(
    """
- id: s
  type: external.process
  inputs: {command: [sh, -c, 'echo up; until test -e "$0"; do sleep 0.02; done', "{{env.GO}}"]}
"""
)
"""A flow whose step says `up` and ends when the file $GO is there."""
