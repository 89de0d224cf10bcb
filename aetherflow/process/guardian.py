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
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable
from typing import NamedTuple

import anyio

from aetherflow.process import guardian_script
from aetherflow.process.guardian_script import (
    KILL_PATIENCE_SECONDS,
    LEFTOVER_GRACE_SECONDS,
    PAUSE_SECONDS,
    Ending,
    Found,
    holders,
    living,
    look_at,
)
from aetherflow.run_ids import folder_name
from aetherflow.worker_threads import WorkerThreads

MARK = "AETHERFLOW_PROCESS"

SCAN_SECONDS = 10.0
"""How long a scan of /proc may take: to read the environment of a process stuck in the kernel can hang."""

SHORT_SECONDS = 10.0
FEW_PROCESSES = 500
"""After a program that ran shorter, and while fewer were started, numbers are tried instead of listed.

So many of our own programs are remembered: their numbers need not be tried.
"""

LINGER_SECONDS = 0.05
"""What ends within this time after its program was only slower, and is not left in the background."""

_ending_threads = WorkerThreads("ending processes", 8)


class Leftover(NamedTuple):
    """A process that a program left behind: which, of which step, and the mark of the program."""

    process: Found
    step: str
    mark: str


class EndedProcess(NamedTuple):
    """A process that has ended: its step, if that is known, and the last signal that it got, if any."""

    pid: int
    name: str
    step: str
    number: signal.Signals | None


class Ended(NamedTuple):
    """What became of the processes that the programs of a run left.

    Attributes:
        survivors: those that could not be ended.
        ended: those that were ended, or ended by themselves.
        left: those that are left running.
    """

    survivors: tuple[int, ...] = ()
    ended: tuple[EndedProcess, ...] = ()
    left: tuple[Leftover, ...] = ()


class _Engine:
    """This process as an engine: its id, its guardian, the runs that had children."""

    def __init__(self) -> None:
        self.id = f"{os.getpid()}.{os.urandom(4).hex()}"
        self.runs: dict[str, list[Leftover]] = {}
        self.left: set[str] = set()
        self.numbers = itertools.count(1)
        self.leaders: dict[int, None] = {}
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
        self.send(self.left)
        guardian.returncode = 0  # it outlives us by design: Popen shall neither wait for it nor complain

    def _guardian_lives(self) -> bool:
        try:
            return os.waitpid(self.guardian, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # its status was taken elsewhere in this process
            return False

    def send(self, marks: Iterable[str]) -> None:
        """Say to the guardian which processes it leaves running; a new one gets all marks again."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.pipe, "".join(f"{mark}\n" for mark in marks).encode())

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
        _engine.runs.setdefault(run_id, [])
        return f"{_marks_of(run_id)}{next(_engine.numbers)}"


def note_leader(pid: int) -> None:
    """Remember, after those before it, the number of a program that the engine itself has started."""
    leaders = _engine.leaders
    leaders.pop(pid, None)
    leaders[pid] = None
    if len(leaders) > FEW_PROCESSES:
        del leaders[next(iter(leaders))]


def _marks_of(run_id: str) -> str:
    """Return how the marks of a run begin; no other run's marks begin so, also that of `a:b` beside `a`."""
    return f"{_engine.id}:{folder_name(run_id)}:"


async def end_marked(mark: str, grace_seconds: float, *, group: int = 0) -> list[int]:
    """End all processes whose mark begins so, and a process group; return those that could not be ended.

    Not cancellable, but bounded: the grace, a few seconds for SIGKILL to work, a few for a scan that hangs.
    """
    ending = Ending(f"{MARK}={mark}", grace_seconds, group=group)
    await _end(ending, grace_seconds)
    return ending.survivors


async def _end(ending: Ending, grace_seconds: float) -> None:
    with anyio.move_on_after(grace_seconds + KILL_PATIENCE_SECONDS + SCAN_SECONDS, shield=True):
        pause = PAUSE_SECONDS / 5
        while not await _ending_threads.run(ending.round, abandon_on_cancel=True):
            await anyio.sleep(pause)
            pause = min(2 * pause, 5 * PAUSE_SECONDS)


async def note_leftovers(
    run_id: str, mark: str, step: str, *, leader: int, pipes: Collection[int] = (), seconds: float = 0
) -> list[Leftover]:
    """Find the processes that a program has left; the end of the run reports what became of them.

    Args:
        run_id: the run.
        mark: the mark of the program.
        step: what to call the step that started it.
        leader: the pid of the program, which has ended but is not reaped yet: also the number of its group.
        pipes: the inodes of its output, where somebody still holds it open.
        seconds: how long the program ran.
    """
    candidates = _younger(leader, seconds)
    if candidates is not None and not (candidates or pipes):
        return []
    found: list[Found] = []
    with anyio.move_on_after(SCAN_SECONDS, shield=True):
        found = await _ending_threads.run(_leftovers, mark, leader, candidates, pipes, abandon_on_cancel=True)
        if found:
            await anyio.sleep(LINGER_SECONDS)
    now = {one.pid: look_at(one.pid) for one in found}
    found = [seen for one in found if (seen := now[one.pid]) and seen.started == one.started]
    left = [Leftover(one, step, mark) for one in found]
    _engine.runs.setdefault(run_id, []).extend(left)
    return left


def _leftovers(
    mark: str, leader: int, candidates: Collection[int] | None, pipes: Collection[int]
) -> list[Found]:
    pids = {*living(f"\0{MARK}={mark}\0".encode(), leader, pids=candidates)}
    for pipe in pipes:
        pids |= {*holders(pipe, os.getpid())}
    return [found for pid in sorted(pids - {leader}) if (found := look_at(pid))]


def _younger(leader: int, seconds: float) -> list[int] | None:
    """Return the numbers that children of a program may have; None if they have to be looked for.

    Numbers are given in order, and begin again at their limit. To try some is faster than to list /proc.
    """
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:  # noqa: PTH123 - read after each program
            newest = int(file.read().split()[-1])
    except (OSError, ValueError):
        return None
    is_short = seconds < SHORT_SECONDS and leader <= newest < leader + FEW_PROCESSES
    if not is_short:
        return None
    # Only since this one started: the kernel may have given the numbers of those before it again.
    ours = set(itertools.takewhile(leader.__ne__, reversed(_engine.leaders)))
    return [pid for pid in range(leader + 1, newest + 1) if pid not in ours]


async def end_leftovers(run_id: str, grace_seconds: float = LEFTOVER_GRACE_SECONDS) -> Ended:
    """End background processes that the children of a run left; called when the run ends.

    Costs nothing for a run that started no process.
    """
    if run_id not in _engine.runs:
        return Ended()
    noted = _engine.runs.pop(run_id)  # first: a child that starts meanwhile enters the run again
    left = [one for one in noted if one.mark in _engine.left]
    ending = Ending(
        f"{MARK}={_marks_of(run_id)}",
        grace_seconds,
        left={mark.encode() for mark in _engine.left},
        unmarked=[one.process for one in noted if one not in left],
    )
    await _end(ending, grace_seconds)
    if ending.survivors or left:
        _engine.runs.setdefault(run_id, []).extend(noted if ending.survivors else left)
    pids = {one.process.pid: one for one in noted if one not in left}
    marks = {one.mark.encode(): one.step for one in noted}
    ended = [
        EndedProcess(pid, got.name, pids[pid].step if pid in pids else marks.get(got.mark, ""), got.number)
        for pid, got in ending.signalled.items()
        if pid not in ending.survivors
    ]
    ended += [
        EndedProcess(pid, one.process.name, one.step, None)
        for pid, one in pids.items()
        if pid not in ending.signalled and pid not in ending.survivors
    ]
    alive = [one for one in left if look_at(one.process.pid)]
    return Ended(tuple(ending.survivors), tuple(ended), tuple(alive))


def leave(mark: str) -> None:
    """Leave the processes of a program running when its run ends, and when this process is killed."""
    with _starting:
        _engine.left.add(mark)
        _engine.send([mark])


async def end_program(run_id: str, mark: str, grace_seconds: float) -> list[int]:
    """End all that a program has started, also if it was left running; return what could not be ended."""
    _engine.left.discard(mark)
    noted = _engine.runs.get(run_id, [])
    unmarked = [one.process for one in noted if one.mark == mark]
    noted[:] = [one for one in noted if one.mark != mark]
    ending = Ending(f"{MARK}={mark}\0", grace_seconds, unmarked=unmarked)
    await _end(ending, grace_seconds)
    return ending.survivors
