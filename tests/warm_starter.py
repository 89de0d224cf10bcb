"""The program behind `tests/warm_start.py`: it has imported the command, and forks one per request.

It imports the standard library and `aetherflow`, and nothing of the tests: a command must not find their
modules. It opens nothing and starts no thread. Its argument is the number of a socket. A request on it is
JSON (`kind` of `run`, `interpreter`, `argv`, `path`, `env`, `umask`, `start_new_session`, `process_group`)
with four descriptors: the working directory and the standard streams. The answer is the command's process
id. The starter ends when the socket does.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

NEVER_IMPORTED = ("__main__", "testing", "compat")
"""Parts of the package that are no part of the command."""
ALSO_IMPORTED = ("anyio._backends._asyncio", "typer._click.decorators")
"""What nearly every command imports while it runs."""


def main() -> None:
    """Import, then serve; only the process of a command leaves the loop, and runs it as its own program."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    on_ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the socket says when to end
    read_names = _import_all()
    expected = {0, 1, 2, channel.fileno()}
    opened = {int(entry.name) for entry in Path("/proc/self/fd").iterdir() if entry.exists()} - expected
    assert not opened, f"an import opened the descriptors {opened}"
    assert threading.active_count() == 1, f"an import started {threading.enumerate()}"
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    channel.sendall(json.dumps({"names": read_names, "modules": modules}).encode() + b"\n")
    request, descriptors = _serve(channel)
    _become(request, descriptors, on_ctrl_c)
    channel.sendall(b"%d\n" % os.getpid())
    channel.close()
    if request["kind"] == "module":
        runpy.run_module(request["run"], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(request["run"], run_name="__main__")


def _import_all() -> list[str]:
    """Import the modules of the command; return the names of the environment's variables that they read."""
    names: set[str] = set()
    kind: Any = type(os.environ)
    plain = kind.__getitem__, kind.__iter__

    def read(environ: Any, name: str) -> str:
        names.add(name)
        return str(plain[0](environ, name))

    def refuse(_: object) -> None:
        raise AssertionError("an import reads the whole environment, so no command could differ from another")

    kind.__getitem__, kind.__iter__ = read, refuse
    try:
        package = importlib.import_module("aetherflow")
        for module in pkgutil.walk_packages(package.__path__, "aetherflow."):
            if not any(part in NEVER_IMPORTED for part in module.name.split(".")):
                importlib.import_module(module.name)
        for name in ALSO_IMPORTED:
            importlib.import_module(name)
    finally:
        kind.__getitem__, kind.__iter__ = plain
    return sorted(names)


def _serve(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork a process per request; return in each of them, with what it is to become.

    Between the two is a process that ends at once, so that the command becomes a child of the process that
    requests it: a test worker adopts orphans for that moment. The command waits for this.
    """
    while True:
        request, descriptors = _receive(channel)
        wait_end, go_end = os.pipe()
        between = os.fork()
        if between == 0:
            if os.fork() != 0:
                os._exit(0)
            os.close(go_end)
            os.read(wait_end, 1)  # the end of file: the process between is gone
            os.close(wait_end)
            return request, descriptors
        os.waitpid(between, 0)
        for descriptor in (go_end, wait_end, *descriptors):
            os.close(descriptor)


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for a request; end the starter when no more can come."""
    data, descriptors, _, _ = socket.recv_fds(channel, 65536, 4)
    while data and not data.endswith(b"\n"):
        data += channel.recv(65536)
    if not data:
        os._exit(0)
    return json.loads(data), descriptors


def _become(request: dict[str, Any], descriptors: list[int], on_ctrl_c: Any) -> None:
    """Make this process what a newly started interpreter would be for this request."""
    here, *streams = descriptors
    os.fchdir(here)
    os.close(here)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(request["umask"])
    if request["start_new_session"]:
        os.setsid()
    if request["process_group"] >= 0:
        os.setpgid(0, request["process_group"])
    os.environ.update(request["env"])  # what is there already is of the locale, which the two share
    time.tzset()
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]  # Python 3.11 forgets it
    is_command, is_module = (request["kind"] == kind for kind in ("command", "module"))
    sys.argv = list(request["argv"])
    sys.executable = request["interpreter"]
    sys.orig_argv = [sys.executable, *(["-m"] if is_module else []), *sys.argv]
    own_folder = Path.cwd() if is_module else Path(sys.argv[0]).parent
    sys.path[:] = [
        str(own_folder),
        *request["path"],
        *(one for one in sys.path[1:] if one not in request["path"]),
    ]
    importlib.invalidate_caches()
    Path("/proc/self/comm").write_text(Path(sys.argv[0] if is_command else sys.executable).name)
    sys.stdin = sys.__stdin__ = _stream(0, "r")  # type: ignore[misc]  # as the interpreter does
    sys.stdout = sys.__stdout__ = _stream(1, "w")  # type: ignore[misc]  # as above
    sys.stderr = sys.__stderr__ = _stream(2, "w")  # type: ignore[misc]  # as above
    signal.signal(signal.SIGINT, on_ctrl_c)


def _stream(number: int, mode: str) -> io.TextIOWrapper:
    """Open a standard stream as the interpreter opens it, with the encoding of this process's own one."""
    own: Any = (sys.__stdin__, sys.__stdout__, sys.__stderr__)[number]
    buffer: Any = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - it stays open
    buffer.raw.name = own.name
    by_line = number == 2 or os.isatty(number)
    stream = io.TextIOWrapper(buffer, own.encoding, own.errors, newline="\n", line_buffering=by_line)
    stream.mode = mode  # type: ignore[misc]  # as the interpreter does
    return stream


if __name__ == "__main__":
    main()
