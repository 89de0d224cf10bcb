"""Read and write the pipes between the engine and a child process without blocking the loop."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
from collections.abc import Awaitable, Collection
from typing import Literal, Protocol

import anyio
import anyio.lowlevel

SMALL_READ = 1 << 16
"""What a pipe holds at first (bytes)."""
LARGE_READ = 1 << 19
"""What is read at once from a child that writes much."""
LARGE_PIPE = 1 << 20
"""What the pipe of such a child is enlarged to, where the system allows it."""
REUSED_BYTES = 1 << 24
"""So much freed memory stays with the process while a child writes much."""

DRAIN_SECONDS = 2.0
"""How long output is still read after the program ended, while a background process holds it open."""
FLUSH_SECONDS = 10.0
"""How long it may take to write output that has been read."""

Stream = Literal["stdout", "stderr"]


class Take(Protocol):
    """A function that takes the output of a child."""

    def __call__(self, data: bytes, *, last: bool = False) -> Awaitable[None]:
        """Take a piece of output; the last piece may be empty."""
        ...


class OutputPipe:
    """The reading end of a child's stdout or stderr.

    Reading continues while the step is being cancelled, so that the last output of the child is not lost. It
    ends at the end of the data, or by `stop`, when another process holds the pipe open.

    Attributes:
        write_end: for the child; the engine closes its copy when the child has started.
        done: set when all that will be read has been passed on, or reading is paused.
        is_at_end: whether it is known to be empty and closed, so that `pump` returns at once.
        is_first: whether it is known to have had output before other pipes: it is to be read before them.
        is_paused: whether reading may continue in another task.
        is_kept: whether `release` leaves it open.
    """

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self.done = anyio.Event()
        self._size = SMALL_READ
        self._left: int | None = None
        self._waiting: anyio.CancelScope | None = None
        self._pumping = anyio.CancelScope(shield=True)
        self.is_at_end = self.is_first = self.is_paused = self.is_kept = False

    def fileno(self) -> int:
        """Return the number of the reading end."""
        return self._read_end

    @property
    def inode(self) -> int:
        """The number by which the kernel names the pipe."""
        return os.fstat(self._read_end).st_ino

    async def pump(self, take: Take) -> None:
        """Pass everything that arrives to `take`."""
        try:
            with self._pumping:
                while data := await self._read():
                    await take(data)
                    # A child may always be faster: then neither reading nor taking would ever wait.
                    await anyio.lowlevel.checkpoint()
                if not self.is_paused:
                    await take(b"", last=True)
        finally:
            self.done.set()

    def stop(self) -> None:
        """Read what is in the pipe now, and nothing that comes later."""
        # All that the child itself wrote is there: a write returns when its bytes are in the pipe.
        waiting_bytes = fcntl.ioctl(self._read_end, termios.FIONREAD, bytes(4))
        self._left = int(struct.unpack("i", waiting_bytes)[0])
        if self._waiting is not None:
            self._waiting.cancel()

    def pause(self) -> None:
        """Let `pump` return without the end of the data; another `pump` continues after `resume`."""
        self.is_paused = True
        if self._waiting is not None:
            self._waiting.cancel()

    def resume(self) -> None:
        """Prepare for another `pump`, in another task."""
        self.is_paused = False
        self._waiting, self._pumping = None, anyio.CancelScope(shield=True)
        self.done = anyio.Event()

    def copy_read_end(self) -> int:
        """Return a copy of the reading end, which the caller closes; ours is closed when `pump` has ended."""
        return os.dup(self._read_end)

    def abandon(self) -> None:
        """Give up, and drop what has been read: the function that takes it does not return."""
        self._pumping.cancel()

    def close_childs_end(self) -> None:
        """Close our copy of the child's end: only then can the reading end see the end of the data."""
        os.close(self.write_end)
        self.write_end = -1

    def release(self) -> None:
        """Close what is open, unless the pipe is kept."""
        if not self.is_kept:
            self.close()

    def close(self) -> None:
        """Close what is open."""
        os.close(self._read_end)
        if self.write_end >= 0:
            self.close_childs_end()

    async def _read(self) -> bytes:
        """Wait for data and return it; empty at the end."""
        while self._left != 0 and not self.is_paused:
            size = self._size if self._left is None else min(self._left, self._size)
            try:
                data = os.read(self._read_end, size)
            except BlockingIOError:
                if self._left is not None:
                    break
                with anyio.CancelScope() as self._waiting:
                    await anyio.wait_readable(self._read_end)
                continue
            if self._left is not None:
                self._left -= len(data)
            elif len(data) == SMALL_READ == self._size:
                self._enlarge()
            return data
        return b""

    def _enlarge(self) -> None:
        """Make the pipe larger for a child that fills it; an unprivileged user has a quota of such memory."""
        self._size = LARGE_READ
        # Else glibc gives the memory of each piece back to the system, and each page of it is a fault again.
        # Freeing a large block that was never touched teaches it that such blocks come and go (mallopt(3)).
        bytes(REUSED_BYTES)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._read_end, fcntl.F_SETPIPE_SZ, LARGE_PIPE)


async def ended_in_silence(handle: int, pipes: Collection[OutputPipe]) -> bool:
    """Wait for the end of a program and for its first output in one task; return whether the end came first.

    So a program that prints nothing needs no task for each pipe. `handle` is readable when it has ended.
    """
    try:
        watching = select.epoll()
    except (AttributeError, OSError):  # not Linux; too many open files, for example
        return False
    by_number = {pipe.fileno(): pipe for pipe in pipes}
    has_ended = False
    with watching as watch:
        for number in (handle, *by_number):
            watch.register(number, select.EPOLLIN)
        while not has_ended:
            await anyio.wait_readable(watch)
            for number, event in watch.poll(0):
                if number == handle:
                    has_ended = True
                elif event & select.EPOLLIN:
                    by_number[number].is_first = True
                    return False
                else:
                    watch.unregister(number)
                    by_number[number].is_at_end = True
    return True


async def settle(
    pipes: Collection[OutputPipe], *, pauses: bool = False, seconds: float | None = None
) -> bool:
    """Wait for the rest of the output; return whether a background process still held it open.

    Such a pipe is then read no more, or with `pauses` later.
    """
    if await _all_done(pipes, DRAIN_SECONDS if seconds is None else seconds):
        return False
    held = [pipe for pipe in pipes if not pipe.done.is_set()]
    for pipe in held:
        if pauses:
            pipe.pause()
        else:
            pipe.stop()
    if not await _all_done(held, FLUSH_SECONDS):
        for pipe in held:
            pipe.abandon()
    return True


async def _all_done(pipes: Collection[OutputPipe], seconds: float) -> bool:
    if pipes:
        with anyio.move_on_after(seconds, shield=True):
            for pipe in pipes:
                await pipe.done.wait()
    return all(pipe.done.is_set() for pipe in pipes)


class InputPipe:
    """The writing end of a child's stdin, and the bytes for it."""

    def __init__(self, data: bytes) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._data = memoryview(data)
        self._writing = anyio.CancelScope()

    async def feed(self) -> None:
        """Write the bytes and close the pipe; a child that does not read them all is not an error."""
        with self._writing, contextlib.suppress(BrokenPipeError):
            while self._data:
                try:
                    written = os.write(self._write_end, self._data[:LARGE_READ])
                except BlockingIOError:
                    await anyio.wait_writable(self._write_end)
                else:
                    self._data = self._data[written:]
                    await anyio.lowlevel.checkpoint()
        self.close()

    def stop(self) -> None:
        """Write no more: the child has ended."""
        self._writing.cancel()

    def close_childs_end(self) -> None:
        """Close our copy of the child's end: only then does writing fail when the child has gone."""
        os.close(self.read_end)
        self.read_end = -1

    def close(self) -> None:
        """Close what is open."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
        if self.read_end >= 0:
            self.close_childs_end()
