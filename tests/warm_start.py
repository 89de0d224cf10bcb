"""Start the installed command from a process that has imported its modules already: five times cheaper.

The tests start the command thousands of times, and nearly all that a start costs is importing. `Popen` and
`run` are those of `subprocess`. If they start the installed command, a *starter* (a process of the test
worker, see `warm_starter.py`) forks a process that becomes what was wanted: its arguments, environment,
folder, streams, session and process group; a child of the test as any other. The installed script then runs
in it. Two things differ from a new interpreter: more modules are imported, and the commands of one starter
share the seed of their hashes. Programs of the tests that are the command, but with a part of it changed
(`python tests/.../dying_command.py`, or `-m tests...`), start in the same way.

A start is cold (an interpreter of its own) where this could make a difference: if the environment says
something to the interpreter or to a module while it is imported (a PYTHONPATH may name folders none of
whose modules the starter has imported), if other signals are ignored or blocked than usual, if a
descriptor, a limit or another user is handed on; with the fixture `cold_start`; and in `just torture`. What
a shell starts is cold as well: the demos, and commands of the manual that need a shell.
`tests/test_warm_start.py` compares the two kinds.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, AnyStr

from tests.sizes import LARGE

COMMAND = Path(sys.executable).with_name("aetherflow")
TESTS = Path(__file__).parent
STARTER = TESTS / "warm_starter.py"
SECONDS = 60
"""How long a starter may take; far more than it needs."""

OF_THE_LOCALE = ("LANG", "LC_")
"""How the names of the variables begin for which there is a starter each: few tests vary them."""
OF_THE_INTERPRETER = ("PYTHON", "LD_", "MALLOC_", "GLIBC_")
"""How those begin that a process reads when it starts, and never again: with one of them, a start is cold."""
NOT_DECISIVE = {"HOME"}
"""Read by an import, without an effect: `sysconfig` makes a path of it that only installers use."""

LARGEST_REQUEST = 100_000
"""In characters; what is larger may be more than the system lets a process have as its arguments."""
_PR_SET_CHILD_SUBREAPER = 36
_EXPECTED: dict[str, Any] = {
    "executable": None,
    "preexec_fn": None,
    "close_fds": True,
    "pass_fds": (),
    "shell": False,
    "restore_signals": True,
    "gid": None,
    "gids": None,
    "uid": None,
}
"""The options of Popen that a warm start has no other values for."""


class Popen(subprocess.Popen[AnyStr]):
    """A process as `subprocess.Popen` starts it; the installed command starts warm where that is the same.

    Attributes:
        is_warm: whether the starter forked it.
    """

    is_warm = False

    def _execute_child(self, *given: Any) -> None:
        """Start the process; this is the only part of `subprocess.Popen` that differs."""
        wanted = _PARAMETERS.bind(self, *given).arguments
        pid = _start_warm(wanted)
        if pid is None:
            super()._execute_child(*given)  # type: ignore[misc]  # typeshed does not know it
            return
        self.is_warm = True
        self.pid = pid
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(wanted[end] for end in ends))  # type: ignore[attr-defined]  # as above


_PARAMETERS = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]  # as above
_run = types.FunctionType(subprocess.run.__code__, vars(subprocess) | {"Popen": Popen})
_run.__kwdefaults__ = subprocess.run.__kwdefaults__
run: Callable[..., subprocess.CompletedProcess[Any]] = _run
"""`subprocess.run`, with this module's `Popen`."""


class _Starter:
    """A process that forks commands; it ends with this process."""

    def __init__(self, locale: Mapping[str, str]) -> None:
        own, other = socket.socketpair()
        own.settimeout(SECONDS)
        self.channel = own
        self.signals = _signals()
        with other:
            self.process = subprocess.Popen(
                [_interpreter(), STARTER, str(other.fileno())],
                env=locale,
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )
        imported = json.loads(self._line())
        self.read_names = set(imported["names"]) - NOT_DECISIVE
        self.modules = set(imported["modules"])

    def serves(self, environment: Mapping[str, str], path: list[str]) -> bool:
        """Whether a new interpreter with this environment would be as the starter is, but for the locale."""
        decisive = self.read_names & environment.keys()
        return (
            self.signals == _signals()
            and all(map(_is_of_the_locale, decisive))
            and all(folder == str(TESTS.parent) or self._adds_modules(Path(folder)) for folder in path)
        )

    def _adds_modules(self, folder: Path) -> bool:
        """Whether no import of the starter would have found something else with this folder in its path."""
        if not folder.is_absolute() or not folder.is_dir():
            return False
        names = {entry.name.partition(".")[0] for entry in folder.iterdir()}
        return names.isdisjoint(self.modules | {"sitecustomize", "usercustomize"})

    def start(self, request: bytes, descriptors: list[int]) -> int:
        """Fork a command; return its process id."""
        with _adopting():
            sent = socket.send_fds(self.channel, [request], descriptors)
            self.channel.sendall(request[sent:])
            return int(self._line())

    def end(self, process_id: int) -> None:
        """Let the starter end with the process that it starts for; a fork of that leaves it alone."""
        if os.getpid() == process_id:
            self.channel.close()
            self.process.wait(SECONDS)

    def _line(self) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            part = self.channel.recv(65536)
            assert part, "the starter ended"
            data += part
        return data


_lock = threading.Lock()
_all_cold = LARGE or sys.platform != "linux"


@contextmanager
def cold() -> Iterator[None]:
    """Let all starts in the block be cold."""
    global _all_cold  # noqa: PLW0603 - it belongs to the process, as the starter does
    before, _all_cold = _all_cold, True
    try:
        yield
    finally:
        _all_cold = before


@functools.cache
def _starter_of(process_id: int, locale: frozenset[tuple[str, str]]) -> _Starter:
    """Return the starter of this process for a locale; the fork of a test worker must not use its starter."""
    starter = _Starter(dict(locale))
    atexit.register(starter.end, process_id)
    return starter


def _is_of_the_locale(name: str) -> bool:
    return name.startswith(OF_THE_LOCALE)


def _start_warm(wanted: Mapping[str, Any]) -> int | None:
    """Start a command if it may be warm; return its process id."""
    if isinstance(wanted["args"], str | bytes | os.PathLike):
        return None
    words = [os.fsdecode(word) for word in wanted["args"]]
    program = _program(words)
    if program is None or _all_cold or any(wanted[name] != value for name, value in _EXPECTED.items()):
        return None
    environment = {
        os.fsdecode(name): os.fsdecode(value)
        for name, value in (os.environ if wanted["env"] is None else wanted["env"]).items()
    }
    if any(name.startswith(OF_THE_INTERPRETER) for name in environment.keys() - {"PYTHONPATH"}):
        return None
    path = environment["PYTHONPATH"].split(os.pathsep) if environment.get("PYTHONPATH") else []
    request = {
        **program,
        "path": path,
        "env": environment,
        "umask": _umask() if wanted["umask"] < 0 else wanted["umask"],
        "start_new_session": wanted["start_new_session"],
        "process_group": wanted["process_group"],
    }
    data = json.dumps(request).encode() + b"\n"
    if len(data) > LARGEST_REQUEST:
        return None
    streams = [wanted[name] for name in ("p2cread", "c2pwrite", "errwrite")]
    with _lock:
        locale = frozenset(item for item in environment.items() if _is_of_the_locale(item[0]))
        starter = _starter_of(os.getpid(), locale)
        if not starter.serves(environment, path):
            return None
        here = os.open(wanted["cwd"] or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return starter.start(
                data, [here, *(number if one == -1 else one for number, one in enumerate(streams))]
            )
        finally:
            os.close(here)


def _program(words: list[str]) -> dict[str, Any] | None:
    """Return what these words run: the installed command, or a program of the tests that is made of it."""
    program, *rest = words
    if program == str(COMMAND):
        return {"kind": "command", "interpreter": _interpreter(), "run": program, "argv": words}
    if program != sys.executable:
        return None
    if rest[:1] == ["-m"] and rest[1].startswith(f"{TESTS.name}."):
        return {"kind": "module", "interpreter": program, "run": rest[1], "argv": rest[1:]}
    if rest and Path(rest[0]).is_relative_to(TESTS):
        return {"kind": "script", "interpreter": program, "run": rest[0], "argv": rest}
    return None


@contextmanager
def _adopting() -> Iterator[None]:
    """Let this process be the parent of processes below it whose parent ends meanwhile."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _status(*fields: str) -> list[str]:
    """Return fields of this thread in `/proc`: what a process that it starts takes over."""
    lines = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace").splitlines()
    found = dict(line.split(":\t", 1) for line in lines)
    return [found[field] for field in fields]


def _signals() -> list[str]:
    """Return which signals are blocked and which are ignored."""
    return _status("SigBlk", "SigIgn")


def _umask() -> int:
    return int(_status("Umask")[0], 8)


def _interpreter() -> str:
    """Return the interpreter that the installed script names in its first line."""
    line = COMMAND.read_text(encoding="utf-8").partition("\n")[0]
    return line.removeprefix("#!") if line.startswith(f"#!{COMMAND.parent}") else sys.executable
