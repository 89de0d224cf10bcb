"""The room that starts programs, waits for them, and ends them with everything they started.

A child leads a session and a process group of its own. Ending it signals the whole group: SIGTERM, a grace,
SIGKILL; on Linux also the processes that left the group, which are found by the mark in their environment
(`aetherflow.engine.guardian`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from aetherflow.engine.guardian import MARK, end_marked, new_mark
from aetherflow.engine.process_pipe import InputPipe, OutputPipe, Take
from aetherflow.errors import StepError

Stream = Literal["stdout", "stderr"]

DRAIN_SECONDS = 2.0
"""How long the output is read on after the program ended, when a background process holds it open."""
FLUSH_SECONDS = 10.0
"""How long what was read already may take to be written."""
SPAWN_FAILED = "AF731"


class Program(msgspec.Struct, frozen=True):
    """What to start.

    Attributes:
        argv: the program and its arguments; a name without a slash is looked up in the PATH of `environment`.
        stdin: what the program reads; None: nothing (/dev/null).
    """

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    stdin: bytes | None = None


class ProcessEnd(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        mark: what its descendants can be found by.
        held_open: a background process kept the output open, and was not heard to the end.
        survivors: processes that could not be ended.
    """

    exit_code: int
    mark: str
    timed_out: bool = False
    held_open: bool = False
    survivors: tuple[int, ...] = ()


class Process:
    """A started program.

    It is not reaped before `reap`: until then nobody else can get its process id or group.
    """

    def __init__(self, popen: subprocess.Popen[bytes], mark: str) -> None:
        self.mark = mark
        self._popen = popen
        self._handle = -1
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):  # too many open files: then a thread waits
                self._handle = os.pidfd_open(popen.pid)

    async def exited(self) -> None:
        """Wait until the program has ended."""
        if self._handle >= 0:
            await anyio.wait_readable(self._handle)
        else:
            await anyio.to_thread.run_sync(
                self._popen.wait, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )

    async def end(self, grace_seconds: float) -> list[int]:
        """End the program and all it started; return the processes that could not be ended."""
        return await end_marked(f"{self.mark}\0", grace_seconds, group=self._popen.pid)

    def reap(self) -> int:
        """Take the exit status of a program that has ended, and release its number.

        Raises:
            StepError: somebody else in this process took the status, so that nobody knows how it ended.
        """
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._popen.returncode is None:
            try:
                pid, status = os.waitpid(self._popen.pid, os.WNOHANG)
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


def start(program: Program, run_id: str, *, stdin: int, stdout: int, stderr: int) -> Process:
    """Start a program as a child of the engine that leads its own session.

    Raises:
        StepError: it cannot be started, and why.
    """
    try:
        mark = new_mark(run_id)
        popen = subprocess.Popen(  # noqa: S603 - running what the flow says is the purpose
            program.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=program.directory,
            env={**program.environment, MARK: mark},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise _not_started(program, error) from None
    return Process(popen, mark)


async def run_process(
    program: Program,
    *,
    run_id: str,
    sinks: Mapping[Stream, Take],
    timeout_seconds: float | None = None,
    grace_seconds: float = 15.0,
) -> ProcessEnd:
    """Run a program to its end; a stream without a sink goes to /dev/null.

    When the time is over, or the task is cancelled, the program and all it started are ended first.

    Raises:
        StepError: it cannot be started.
    """
    pipes: dict[Stream, OutputPipe] = {}
    with contextlib.ExitStack() as resources:
        feed: InputPipe | None = None
        with contextlib.ExitStack() as childs_ends:
            for stream in sinks:
                pipes[stream] = pipe = OutputPipe()
                resources.callback(pipe.close)
                childs_ends.callback(pipe.close_write_end)
            if program.stdin is not None:
                feed = InputPipe(program.stdin)
                resources.callback(feed.close)
                childs_ends.callback(feed.close_read_end)
            process = start(
                program,
                run_id,
                stdin=feed.read_end if feed else subprocess.DEVNULL,
                stdout=pipes["stdout"].write_end if "stdout" in pipes else subprocess.DEVNULL,
                stderr=pipes["stderr"].write_end if "stderr" in pipes else subprocess.DEVNULL,
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
                held_open = await _settle(list(pipes.values()))
    finally:
        exit_code = process.reap()
    return ProcessEnd(exit_code, process.mark, not exited, held_open, tuple(survivors))


async def _settle(pipes: list[OutputPipe]) -> bool:
    """Wait for the rest of the output; return whether somebody still held it open."""
    with anyio.CancelScope(shield=True):
        await _all_done(pipes, DRAIN_SECONDS)
        held = [pipe for pipe in pipes if not pipe.done.is_set()]
        for pipe in held:
            pipe.stop()
        await _all_done(held, FLUSH_SECONDS)
        for pipe in held:
            pipe.abandon()
    return bool(held)


async def _all_done(pipes: list[OutputPipe], seconds: float) -> None:
    with anyio.move_on_after(seconds):
        for pipe in pipes:
            await pipe.done.wait()


def shown_command(argv: tuple[str, ...], limit: int = 200) -> str:
    """Return a command as one would type it, shortened."""
    text = shlex.join(argv)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _not_started(program: Program, error: OSError | ValueError) -> StepError:
    """Say why a program could not be started, and what to do."""
    reason, hint = str(error), ""
    if isinstance(error, OSError):
        reason, hint = error.strerror or str(error), _HINTS.get(error.errno or 0, "")
        if str(error.filename) == str(program.directory) != program.argv[0]:
            reason = f"the working directory {program.directory}: {reason}"
            hint = "create it in an earlier step, or correct cwd"
        elif error.errno == errno.ENOENT:
            hint = _not_found_hint(program)
    return StepError(
        f"cannot start {shown_command(program.argv)}: {reason}",
        hint=hint,
        code=SPAWN_FAILED,
        detail={"command": list(program.argv)},
    )


_HINTS = {
    errno.EACCES: "make the file executable (chmod +x), or name its interpreter: [python3, script.py]",
    errno.ENOEXEC: "the file is no program, and has no first line like #!/bin/sh",
    errno.E2BIG: "pass long values by stdin, or in a file",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower max_parallel_jobs",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), or lower max_parallel_jobs",
}


def _not_found_hint(program: Program) -> str:
    name = program.argv[0]
    if " " in name:
        return "a plain text is one program name: write command as a list, use args, or set shell: true"
    if "/" in name:
        return f"a relative path is looked up in {program.directory}; check also the script's first line (#!)"
    searched = os.pathsep.join(os.get_exec_path(program.environment))
    return f"no such program in the PATH of the step: {searched}"
