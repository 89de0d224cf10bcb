"""Run a program on another host: start it, pass its streams on, and end it with its process group."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.process.pipes import FLUSH_SECONDS, Stream, Take
from aetherflow.process.remote_script import (
    END,
    GUARD,
    LEAVE,
    STARTER,
    RemoteCommand,
    process_group,
    script_of,
)
from aetherflow.sdk.remote_shell import RemoteProgram, RemoteShell
from aetherflow.task_errors import one_error

LOST = "AF360"
NO_SHELL = "AF361"

ANSWER_SECONDS = 30.0
"""How long the shell on the other host may take to answer."""

DRAIN_SECONDS = 5.0
"""How long output is still read when the program has ended and something holds its streams open."""

FEED_BYTES = 1 << 16
_LONGEST_BANNER = 1 << 16


class RemoteEnd(msgspec.Struct, frozen=True):
    """How a program on another host ended.

    Attributes:
        exit_code: minus the number of the signal that killed it.
        timed_out: whether its time was over, and it was ended.
    """

    exit_code: int
    timed_out: bool = False


async def run_remote(
    shell: RemoteShell,
    command: RemoteCommand,
    *,
    stdin: bytes | None,
    sinks: Mapping[Stream, Take],
    timeout_seconds: float | None = None,
    grace_seconds: float = 15.0,
    leave_running: bool = False,
) -> RemoteEnd:
    """Run a program on another host to its end.

    After the time limit or a cancellation, and when the connection is lost, its process group is ended:
    SIGTERM, a grace, SIGKILL. So is what it left in its group, unless `leave_running`.

    Raises:
        StepError: the host cannot be reached, has no `sh`, or the connection was lost (kind "connection").
    """
    try:
        script = script_of(command)
    except ValueError as error:
        raise StepError(f"cannot start {command.argv[0]}: {error}", code=NO_SHELL) from None
    async with shell.start(STARTER) as program:
        group, rest = await _started(shell, program)
        async with _guarded(shell, group, grace_seconds) as guard:
            return await _attend(
                _Attended(shell, program, guard, grace_seconds, leave_running),
                script + (stdin or b""),
                sinks,
                rest,
                timeout_seconds,
            )


class _Attended(msgspec.Struct, frozen=True):
    """A program that runs on another host, and the guard that ends it."""

    shell: RemoteShell
    program: RemoteProgram
    guard: RemoteProgram
    grace_seconds: float
    leave_running: bool

    async def end(self) -> int | None:
        """End the process group and return the exit code; None if that cannot be known any more."""
        with anyio.move_on_after(self.grace_seconds + FLUSH_SECONDS, shield=True):
            await self.guard.write(END)
            code = await self.program.exited()
            await self.guard.exited()
            return code
        return None


async def _attend(
    attended: _Attended,
    given: bytes,
    sinks: Mapping[Stream, Take],
    rest: bytes,
    timeout_seconds: float | None,
) -> RemoteEnd:
    """Feed, read, wait and clean up, in this order also when cancelled."""
    program = attended.program
    code: int | None = None
    has_exited = False
    outputs = [
        _Output(program, "stdout", sinks.get("stdout"), rest),
        _Output(program, "stderr", sinks.get("stderr")),
    ]
    async with one_error() as tasks:
        for output in outputs:
            tasks.start_soon(output.pump)
        feeding = anyio.CancelScope()
        tasks.start_soon(_feed, program, given, feeding)
        try:
            with anyio.move_on_after(timeout_seconds):
                code = await program.exited()
                has_exited = True
        finally:
            feeding.cancel()
            if not has_exited:
                code = await attended.end()
            with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                await attended.guard.write(LEAVE if attended.leave_running else END)
            for output in outputs:
                await output.settle()
    if has_exited and code is None:
        raise StepError(
            f"the connection to {attended.shell.place} was lost while the program ran: it is not known how "
            "it ended",
            hint="its process group is ended when the host notices the loss",
            kind="connection",
            code=LOST,
        )
    return RemoteEnd(-9 if code is None else code, timed_out=not has_exited)


class _Output:
    """A stream of the program, which is passed on also while the step is cancelled."""

    def __init__(self, program: RemoteProgram, stream: Stream, take: Take | None, data: bytes = b"") -> None:
        self._program = program
        self._stream: Stream = stream
        self._take = take
        self._data = data
        self._reading = anyio.CancelScope(shield=True)
        self._done = anyio.Event()

    async def pump(self) -> None:
        """Pass the stream on to its end; without a taker it is read and dropped."""
        data = self._data
        try:
            with self._reading:
                while True:
                    if data and self._take is not None:
                        await self._take(data)
                    if not (data := await self._program.read(self._stream)):
                        break
            if self._take is not None:
                with anyio.move_on_after(FLUSH_SECONDS, shield=True):
                    await self._take(b"", last=True)
        finally:
            self._done.set()

    async def settle(self) -> None:
        """Wait for the rest when the program has ended; something it left may hold the stream open."""
        with anyio.move_on_after(DRAIN_SECONDS, shield=True):
            await self._done.wait()
        self._reading.cancel()


async def _feed(program: RemoteProgram, data: bytes, scope: anyio.CancelScope) -> None:
    with scope:
        for start in range(0, len(data), FEED_BYTES):
            await program.write(data[start : start + FEED_BYTES])
        await program.write_end()


async def _started(shell: RemoteShell, program: RemoteProgram) -> tuple[str, bytes]:
    """Return what signals the program, and the output that came with the first line of the starter.

    Lines before it are those of a login script that prints where it should not.

    Raises:
        StepError: the starter does not answer.
    """
    read = b""
    with anyio.move_on_after(ANSWER_SECONDS):
        while len(read) < _LONGEST_BANNER and (piece := await program.read("stdout")):
            read += piece
            *lines, rest = read.split(b"\n")
            for number, line in enumerate(lines):
                if group := process_group(line):
                    return group, b"\n".join([*lines[number + 1 :], rest])
    said = read.decode("utf-8", "replace").strip()
    with anyio.move_on_after(1):
        said = said or (await program.read("stderr")).decode("utf-8", "replace").strip()
    raise StepError(
        f"{shell.place} does not start programs with /bin/sh{f': {said[:500]}' if said else ''}",
        hint="the account may be for SFTP only, or its login shell is none; try: ssh HOST /bin/sh -c true",
        code=NO_SHELL,
    )


@asynccontextmanager
async def _guarded(shell: RemoteShell, group: str, grace_seconds: float) -> AsyncIterator[RemoteProgram]:
    """Start the guard of a process group; at the end of the block its work is done."""
    async with shell.start(GUARD) as guard:
        await guard.write(f"{group} {math.ceil(grace_seconds)}\n".encode())
        answer = b""
        with anyio.move_on_after(ANSWER_SECONDS):
            while b"ready" not in answer and (piece := await guard.read("stdout")):
                answer += piece
        if b"ready" not in answer:
            raise StepError(
                f"{shell.place} does not start a second shell beside the program",
                hint="the server may allow one session per connection: MaxSessions of sshd is at least 2",
                code=NO_SHELL,
            )
        yield guard
