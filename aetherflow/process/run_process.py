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
from collections.abc import Mapping
from typing import Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from aetherflow.errors import StepError
from aetherflow.process.guardian import end_marked
from aetherflow.process.pipes import InputPipe, OutputPipe, Take
from aetherflow.process.spawn import SPAWN_FAILED, Program, not_started, start

Stream = Literal["stdout", "stderr"]

DRAIN_SECONDS = 2.0
"""How long output is still read after the program ended, while a background process holds it open."""
FLUSH_SECONDS = 10.0
"""How long it may take to write output that has been read."""


class ProcessEnd(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        mark: the mark in the environment of all its descendants.
        held_open: a background process held the output open, and its later output was not read.
        survivors: processes that could not be ended.
    """

    exit_code: int
    mark: str
    timed_out: bool = False
    held_open: bool = False
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

    async def exited(self) -> None:
        """Wait until the program has ended."""
        if self._handle >= 0:
            await anyio.wait_readable(self._handle)
        else:
            await anyio.to_thread.run_sync(
                self._wait, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        self._has_exited = True

    async def end(self, grace_seconds: float) -> list[int]:
        """End the program and all processes that it started; return those that could not be ended."""
        survivors = await end_marked(f"{self.mark}\0", grace_seconds, group=self._popen.pid)
        if not survivors:
            with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                await self.exited()
        return survivors

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
) -> ProcessEnd:
    """Run a program to its end; a stream without a sink goes to /dev/null.

    After the time limit or a cancellation it ends the program and all processes that it started.

    Raises:
        StepError: the program cannot be started.
    """
    pipes: dict[Stream, OutputPipe] = {}
    feed: InputPipe | None = None
    with contextlib.ExitStack() as resources:
        try:
            for stream in sinks:
                pipes[stream] = pipe = OutputPipe()
                resources.callback(pipe.close)
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
        return await _attend(process, pipes, feed, sinks, timeout_seconds, grace_seconds)


async def _attend(
    process: Process,
    pipes: Mapping[Stream, OutputPipe],
    feed: InputPipe | None,
    sinks: Mapping[Stream, Take],
    timeout_seconds: float | None,
    grace_seconds: float,
) -> ProcessEnd:
    """Feed, read, wait and clean up, in this order also when cancelled."""
    for pipe in pipes.values():
        pipe.close_childs_end()
    if feed is not None:
        feed.close_childs_end()
    survivors: list[int] = []
    exited = held_open = False
    try:
        async with anyio.create_task_group() as tasks:
            for stream, pipe in pipes.items():
                tasks.start_soon(pipe.pump, sinks[stream])
            if feed is not None:
                tasks.start_soon(feed.feed)
            try:
                with anyio.move_on_after(timeout_seconds):
                    await process.exited()
                    exited = True
            finally:
                if not exited:
                    survivors = await process.end(grace_seconds)
                if feed is not None:
                    feed.stop()
                held_open = await _settle([pipe for pipe in pipes.values() if not pipe.done.is_set()])
    finally:
        exit_code = process.reap()
    return ProcessEnd(exit_code, process.mark, not exited, held_open, tuple(survivors))


async def _settle(pipes: list[OutputPipe]) -> bool:
    """Wait for the rest of the output; return whether a background process still held it open."""
    if await _all_done(pipes, DRAIN_SECONDS):
        return False
    held = [pipe for pipe in pipes if not pipe.done.is_set()]
    for pipe in held:
        pipe.stop()
    if not await _all_done(held, FLUSH_SECONDS):
        for pipe in held:
            pipe.abandon()
    return True


async def _all_done(pipes: list[OutputPipe], seconds: float) -> bool:
    if pipes:
        with anyio.move_on_after(seconds, shield=True):
            for pipe in pipes:
                await pipe.done.wait()
    return all(pipe.done.is_set() for pipe in pipes)
