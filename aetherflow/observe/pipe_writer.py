"""Write lines to a named pipe whose reader may come late, leave and come back, or not read.

A thread opens the pipe without waiting and writes what is queued. A reader that comes gets whole lines: first
those that wait, then the new ones. Of a line that a reader left half read, the next one gets all.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import struct
import termios
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from aetherflow.observe.line_writer import OutputLostError

QUEUE_BYTES = 4 << 20
"""How much waits for the reader (bytes); beyond that the oldest lines are lost."""
PATIENCE_SECONDS = 2.0
"""How long a full queue waits for a reader that reads nothing, before lines are lost."""
CLOSING_SECONDS = 1.0
"""How long the end waits for a reader to come or to continue."""
RETRY_SECONDS = 0.2
"""How often the thread looks whether there is a reader."""


class PipeWriter:
    """Writes lines to a named pipe; `write` waits only for a reader that reads.

    Attributes:
        lost: how many lines no reader will get.
    """

    def __init__(self, path: Path) -> None:
        """Open the pipe, if it has a reader, and start the thread.

        Raises:
            OSError: the pipe cannot be written, whether it has a reader or not.
        """
        self.path = path
        self.lost = 0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._in_pipe: deque[bytes] = deque()
        self._in_pipe_bytes = self._capacity = self._written = 0
        self._has_warned = self._is_closing = False
        self._idle_since: float | None = time.monotonic()
        self._changed = threading.Condition()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._pipe = self._open()
        self._thread = threading.Thread(target=self._serve, name=f"writes {path}", daemon=True)
        self._thread.start()

    def write(self, batch: bytes) -> str:
        """Queue lines; return a warning the first time that they wait for a reader too long, else nothing."""
        with self._changed:
            for line in batch.splitlines(keepends=True):
                while self._is_full(line) and (left := self._patience_left()) > 0:
                    self._changed.wait(left)
                self._make_room(line)
                self._queue.append(line)
                self._queued_bytes += len(line)
                self._wake()
            if self._has_warned or not (self.lost or self._waits_for_reader()):
                return ""
            self._has_warned = True
        return (
            f"nobody reads the pipe {self.path}: the newest events wait for a reader, "
            f"up to {QUEUE_BYTES >> 20} MiB, and older ones are lost"
        )

    def close(self) -> None:
        """Wait a moment for the reader to take the rest, and close the pipe.

        Raises:
            OutputLostError: lines were lost.
        """
        with self._changed:
            self._is_closing = True
            self._wake()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self.lost:
            raise OutputLostError(
                f"{self.lost} events were lost: nobody read the pipe {self.path} in time",
                hint="start the reader of the pipe before the run, or write to a file",
            )

    def _is_full(self, line: bytes) -> bool:
        return self._queued_bytes + len(line) > QUEUE_BYTES

    def _patience_left(self) -> float:
        """Return how long a full queue may still wait for its reader (seconds); nothing without a reader."""
        if self._pipe < 0:
            return 0.0
        return PATIENCE_SECONDS if self._idle_since is None else self._deadline(PATIENCE_SECONDS)

    def _deadline(self, seconds: float) -> float:
        return (self._idle_since or 0.0) + seconds - time.monotonic()

    def _waits_for_reader(self) -> bool:
        return self._idle_since is not None and self._deadline(PATIENCE_SECONDS) < 0

    def _make_room(self, line: bytes) -> None:
        """Lose the oldest lines, but not the one of which the reader has the beginning already."""
        begun = 1 if self._written else 0
        while self._is_full(line) and len(self._queue) > begun:
            self._queued_bytes -= len(self._queue[begun])
            del self._queue[begun]
            self.lost += 1

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full: the thread is going to wake up anyway
            os.write(self._wake_write, b".")

    def _open(self) -> int:
        """Return the pipe, opened without waiting; -1 if it has no reader, or was removed or replaced."""
        try:
            pipe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_APPEND)
        except OSError:
            if not os.access(self.path, os.W_OK) and self.path.exists():
                raise
            return -1
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.close(pipe)
            return -1
        self._capacity = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else 1 << 16
        return pipe

    def _serve(self) -> None:
        while self._step():
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if self._pipe >= 0:  # it is also reported that the reader has left
                poll.register(self._pipe, select.POLLOUT if self._queue else 0)
            poll.poll(RETRY_SECONDS * 1000 if self._pipe < 0 or self._is_closing else None)
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        if self._pipe >= 0:
            os.close(self._pipe)

    def _step(self) -> bool:
        """Write what the pipe takes now; return whether there is more to do."""
        with self._changed:
            if self._pipe < 0:
                with suppress(OSError):
                    self._pipe = self._open()
            if self._pipe >= 0:
                self._write_queued()
            if not self._queue:
                self._idle_since = None
            elif self._idle_since is None:
                self._idle_since = time.monotonic()
            self._changed.notify_all()
            if not self._is_closing or (self._queue and self._deadline(CLOSING_SECONDS) > 0):
                return True
            self.lost += len(self._queue)
            return False

    def _write_queued(self) -> None:
        try:
            if self._has_left():
                raise BrokenPipeError
            while self._queue:
                line = self._queue[0]
                self._written += os.write(self._pipe, line[self._written :])
                self._idle_since = None
                if self._written == len(line):
                    self._queued_bytes -= len(line)
                    self._remember(self._queue.popleft())
        except BlockingIOError:
            return
        except OSError:  # EPIPE: the reader has left
            self._take_back()

    def _has_left(self) -> bool:
        poll = select.poll()
        poll.register(self._pipe, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))

    def _remember(self, line: bytes) -> None:
        """Keep a line that is in the pipe as long as the reader may not have read it."""
        self._written = 0
        self._in_pipe.append(line)
        self._in_pipe_bytes += len(line)
        while self._in_pipe_bytes - len(self._in_pipe[0]) > self._capacity:
            self._in_pipe_bytes -= len(self._in_pipe.popleft())

    def _take_back(self) -> None:
        """Queue again what the reader that left did not read to its end, and close the pipe."""
        waiting = fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4))
        unread = int(struct.unpack("i", waiting)[0]) - self._written
        while unread > 0 and self._in_pipe:
            line = self._in_pipe.pop()
            self._queue.appendleft(line)
            self._queued_bytes += len(line)
            unread -= len(line)
        os.close(self._pipe)
        self._pipe = -1
        self._written = self._in_pipe_bytes = 0
        self._in_pipe.clear()
