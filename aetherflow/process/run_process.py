"""Run a program: start it, wait for it, and end it with all processes that it started.

A child leads a session and a process group of its own. Ending it signals the whole group: SIGTERM, a grace,
SIGKILL; on Linux also the processes that left the group, which are found by the mark in their environment
(`aetherflow.process.guardian`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from aetherflow.errors import StepError
from aetherflow.process.guardian import Leftover, end_marked, note_leftovers
from aetherflow.process.held_output import HeldOutput
from aetherflow.process.pipes import (
    FLUSH_SECONDS,
    InputPipe,
    OutputPipe,
    Stream,
    Take,
    ended_in_silence,
    settle,
)
from aetherflow.process.spawn import SPAWN_FAILED, Program, not_started, start

Keep = Callable[[HeldOutput], None]
"""Takes the output that processes of a program still hold open when the program has ended."""


class ProcessEnd(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        mark: the mark in the environment of all its descendants.
        held_open: a background process holds the output open; later output is read only if it was kept.
        left: processes that the program left, if it ended by itself.
        survivors: processes that could not be ended.
    """

    exit_code: int
    mark: str
    timed_out: bool = False
    held_open: bool = False
    left: tuple[Leftover, ...] = ()
    survivors: tuple[int, ...] = ()


class Process:
    """A started program.

    It is reaped only by `reap`; until then its process id and group cannot be reused.
    """

    def __init__(self, popen: subprocess.Popen[bytes], mark: str) -> None:
        self.mark = mark
        self._popen = popen
        self._has_exited = False
        self._handle = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # too many open files, for example: then a thread waits
                self._handle = os.pidfd_open(popen.pid)

    async def exited(self, *silent: OutputPipe) -> bool:
        """Wait until the program has ended; return false at once if a pipe may have output before that."""
        if silent:
            self._has_exited = self._handle >= 0 and await ended_in_silence(self._handle, silent)
            return self._has_exited
        if self._handle >= 0:
            await anyio.wait_readable(self._handle)
        else:
            await anyio.to_thread.run_sync(
                self._wait, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        self._has_exited = True
        return True

    async def end(self, grace_seconds: float) -> list[int]:
        """End the program and all processes that it started; return those that could not be ended."""
        survivors = await end_marked(f"{self.mark}\0", grace_seconds, group=self._popen.pid)
        if not survivors:
            with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                await self.exited()
        return survivors

    async def left(self, handling: _Handling, pipes: list[OutputPipe], started: float) -> list[Leftover]:
        """Find what the program has left, also by the pipes that are held open; it is not reaped yet."""
        return await note_leftovers(
            handling.run_id,
            self.mark,
            handling.step,
            leader=self._popen.pid,
            pipes=[pipe.inode for pipe in pipes],
            seconds=anyio.current_time() - started,
        )

    def _wait(self) -> None:
        """Wait in a thread, without reaping if the system supports that."""
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):  # the status was lost: `reap` will say so
                os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._popen.wait()

    def reap(self) -> int:
        """Read the exit status of a program that has ended, and release its process id.

        Raises:
            StepError: other code in this process has read the status, so it is lost.
        """
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._popen.returncode is None:
            try:
                pid, status = os.waitpid(self._popen.pid, 0 if self._has_exited else os.WNOHANG)
            except ChildProcessError:
                self._popen.returncode = 0
                raise StepError(
                    f"the exit status of process {self._popen.pid} was lost",
                    hint="the engine must not run with SIGCHLD ignored, nor may a plugin reap all children",
                    code=SPAWN_FAILED,
                ) from None
            # A process stuck in the kernel has no status yet, though it was sent SIGKILL.
            self._popen.returncode = os.waitstatus_to_exitcode(status) if pid else -signal.SIGKILL
        return self._popen.returncode


async def run_process(
    program: Program,
    *,
    run_id: str,
    sinks: Mapping[Stream, Take],
    timeout_seconds: float | None = None,
    grace_seconds: float = 15.0,
    step: str = "",
    keep: Keep | None = None,
) -> ProcessEnd:
    """Run a program to its end; a stream without a sink goes to /dev/null.

    After the time limit or a cancellation it ends the program and all processes that it started.

    Args:
        program: what to start.
        run_id: of the run, whose end ends what the program leaves.
        sinks: what takes the output, by stream.
        timeout_seconds: then the program is ended.
        grace_seconds: the time between SIGTERM and SIGKILL.
        step: what to call the step in reports about left processes.
        keep: takes output that left processes hold open; without it, that is read no more.

    Raises:
        StepError: the program cannot be started.
    """
    pipes: dict[Stream, OutputPipe] = {}
    feed: InputPipe | None = None
    with contextlib.ExitStack() as resources:
        try:
            for stream in sinks:
                pipes[stream] = pipe = OutputPipe()
                resources.callback(pipe.release)
            if program.stdin is not None:
                feed = InputPipe(program.stdin)
                resources.callback(feed.close)
        except OSError as error:
            raise not_started(program, error) from None
        process = Process(
            *start(
                program,
                run_id,
                stdin=feed.read_end if feed else subprocess.DEVNULL,
                stdout=pipes["stdout"].write_end if "stdout" in pipes else subprocess.DEVNULL,
                stderr=pipes["stderr"].write_end if "stderr" in pipes else subprocess.DEVNULL,
            )
        )
        handling = _Handling(run_id, step, timeout_seconds, grace_seconds, keeps=keep is not None)
        end = await _attend(process, pipes, feed, sinks, handling)
        held = {stream: pipe for stream, pipe in pipes.items() if pipe.is_paused}
        if keep is not None and held:
            keep(HeldOutput(held, sinks))  # from here on the pipes belong to it
        return end


class _Handling(msgspec.Struct, frozen=True):
    """How a program is attended; `keeps`: output that left processes hold open is read on later."""

    run_id: str
    step: str
    timeout_seconds: float | None
    grace_seconds: float
    keeps: bool


async def _attend(
    process: Process,
    pipes: Mapping[Stream, OutputPipe],
    feed: InputPipe | None,
    sinks: Mapping[Stream, Take],
    handling: _Handling,
) -> ProcessEnd:
    """Feed, read, wait and clean up, in this order also when cancelled."""
    for pipe in pipes.values():
        pipe.close_childs_end()
    if feed is not None:
        feed.close_childs_end()
    survivors: list[int] = []
    left: list[Leftover] = []
    exited = held_open = False
    started = anyio.current_time()
    unread = dict(pipes)
    try:
        async with anyio.create_task_group() as tasks:

            def read() -> None:
                for stream, pipe in sorted(unread.items(), key=lambda item: not item[1].is_first):
                    tasks.start_soon(pipe.pump, sinks[stream])
                unread.clear()

            if feed is not None:
                tasks.start_soon(feed.feed)
            try:
                with anyio.move_on_after(handling.timeout_seconds):
                    # Most programs print nothing: their pipes are read only when there is something to read.
                    exited = feed is None and await process.exited(*pipes.values())
                    for stream in [stream for stream, pipe in unread.items() if pipe.is_at_end]:
                        await unread.pop(stream).pump(sinks[stream])
                    read()
                    exited = exited or await process.exited()
            finally:
                read()
                if not exited:
                    survivors = await process.end(handling.grace_seconds)
                if feed is not None:
                    feed.stop()
                open_pipes = [pipe for pipe in pipes.values() if not pipe.done.is_set()]
                held_open = await settle(open_pipes, pauses=exited and handling.keeps)
                if exited:
                    left = await process.left(handling, open_pipes if held_open else [], started)
    finally:
        exit_code = process.reap()
    return ProcessEnd(exit_code, process.mark, not exited, held_open, tuple(left), tuple(survivors))
