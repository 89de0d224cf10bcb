"""Processes that end when their standard input does: they live as long as the engine, however it ends."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

Stream = TypeVar("Stream", anyio.abc.ByteSendStream, anyio.abc.ByteReceiveStream)

END_SECONDS = 10.0
"""How long such a process may take to end by itself before it is killed."""

KILL_SECONDS = 10.0
"""How long the system may take to end a killed process."""

LONGEST_LINE = 65_536


class HeldProcess:
    """A process whose standard input is open as long as it is wanted.

    Attributes:
        pid: the process.
    """

    def __init__(self, process: anyio.abc.Process) -> None:
        self.pid = process.pid
        self._process = process
        self._lines = BufferedByteReceiveStream(_piped(process.stdout))

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    async def line(self) -> str:
        """Return the next line of its standard output; empty when there are no more."""
        try:
            return (await self._lines.receive_until(b"\n", LONGEST_LINE)).decode(errors="replace")
        except (anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return ""


@asynccontextmanager
async def held_process(
    command: Sequence[str], first_line: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[HeldProcess]:
    """Run a program in a block; the end of the block closes its standard input and waits for its end.

    Args:
        command: the program and its arguments; what it prints on standard error is shown as our own.
        first_line: what it reads first.
        env: variables beside our own.

    Raises:
        OSError: it cannot be started.
    """
    process = await anyio.open_process(
        command, env={**os.environ, **(env or {})}, stderr=None, start_new_session=True
    )
    stdin = _piped(process.stdin)
    try:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it has ended: `line` shows it
            await stdin.send(first_line.encode() + b"\n")
        yield HeldProcess(process)
    finally:
        with anyio.move_on_after(END_SECONDS, shield=True):
            await stdin.aclose()
            await process.wait()
        with anyio.move_on_after(KILL_SECONDS, shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


def _piped(stream: Stream | None) -> Stream:
    """Return a stream of a process, which has it as it was started with a pipe for it."""
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream
