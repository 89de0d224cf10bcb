"""Mark child processes and start a guardian, which ends them even if the engine is killed.

The mark is `AETHERFLOW_PROCESS=<engine id>:<run id>:<number>` in the child's environment. When a run ends,
the engine ends what still carries the run's mark (`end_leftovers`). When the engine dies, however it dies,
the guardian, a tiny process that holds the other end of a pipe, ends what carries the engine's mark.
Off Linux there is no /proc to find marks in: there only process groups are ended, by `Process.end`.

An engine inside a child of another engine gives its children its own mark. The outer engine then ends the
inner engine, and the inner engine's guardian ends the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import threading

import anyio

from aetherflow.process import guardian_script
from aetherflow.process.guardian_script import (
    KILL_PATIENCE_SECONDS,
    LEFTOVER_GRACE_SECONDS,
    PAUSE_SECONDS,
    Ending,
)
from aetherflow.worker_threads import WorkerThreads

MARK = "AETHERFLOW_PROCESS"

SCAN_SECONDS = 10.0
"""How long a scan of /proc may take: to read the environment of a process stuck in the kernel can hang."""

_ending_threads = WorkerThreads("ending processes", 8)


class _Engine:
    """This process as an engine: its id, its guardian, the runs that had children."""

    def __init__(self) -> None:
        self.id = f"{os.getpid()}.{os.urandom(4).hex()}"
        self.runs: set[str] = set()
        self.numbers = itertools.count(1)
        self.guardian = 0
        self.pipe = -1

    def ensure_guardian(self) -> None:
        """Start the guardian, or a new one if it has been killed."""
        if self.guardian and self._guardian_lives():
            return
        self.forget_guardian()
        read_end, self.pipe = os.pipe()
        try:
            guardian = subprocess.Popen(  # noqa: S603 - our own script, by our own interpreter
                [sys.executable, "-I", "-S", guardian_script.__file__, f"{MARK}={self.id}:"],
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        self.guardian = guardian.pid
        guardian.returncode = 0  # it outlives us by design: Popen shall neither wait for it nor complain

    def _guardian_lives(self) -> bool:
        try:
            return os.waitpid(self.guardian, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # its status was taken elsewhere in this process
            return False

    def forget_guardian(self) -> None:
        """Close our end of the pipe; the kernel does it too when the process ends."""
        if self.pipe >= 0:
            os.close(self.pipe)
        self.guardian, self.pipe = 0, -1


_engine = _Engine()
_starting = threading.Lock()
"""Steps start programs on the loop, secrets in worker threads: together they start one guardian."""


def _after_fork() -> None:
    """Make a forked worker a separate engine, as its copy of the pipe would keep our guardian waiting."""
    global _engine, _starting  # noqa: PLW0603 - there is one engine per process, and this is a new process
    _starting = threading.Lock()  # the thread that held it does not exist here
    with contextlib.suppress(OSError):  # the parent may have closed all files before it forked
        _engine.forget_guardian()
    _engine = _Engine()


os.register_at_fork(after_in_child=_after_fork)


def new_mark(run_id: str) -> str:
    """Return the mark for the next child of a run, and start the guardian if necessary.

    Raises:
        OSError: the guardian could not be started.
    """
    with _starting:
        if sys.platform == "linux":
            _engine.ensure_guardian()
        _engine.runs.add(run_id)
        return f"{_engine.id}:{run_id}:{next(_engine.numbers)}"


async def end_marked(mark: str, grace_seconds: float, *, group: int = 0) -> list[int]:
    """End all processes whose mark begins so, and a process group; return those that could not be ended.

    Not cancellable, but bounded: the grace, a few seconds for SIGKILL to work, a few for a scan that hangs.
    """
    ending = Ending(f"{MARK}={mark}", grace_seconds, group=group)
    with anyio.move_on_after(grace_seconds + KILL_PATIENCE_SECONDS + SCAN_SECONDS, shield=True):
        pause = PAUSE_SECONDS / 5
        while not await _ending_threads.run(ending.round, abandon_on_cancel=True):
            await anyio.sleep(pause)
            pause = min(2 * pause, 5 * PAUSE_SECONDS)
    return ending.survivors


async def end_leftovers(run_id: str, grace_seconds: float = LEFTOVER_GRACE_SECONDS) -> list[int]:
    """End background processes that the children of a run left; called when the run ends.

    Costs nothing for a run that started no process. Returns the processes that could not be ended.
    """
    if run_id not in _engine.runs:
        return []
    _engine.runs.discard(run_id)  # first: a child that starts meanwhile enters the run again
    survivors = await end_marked(f"{_engine.id}:{run_id}:", grace_seconds)
    if survivors:
        _engine.runs.add(run_id)
    return survivors
