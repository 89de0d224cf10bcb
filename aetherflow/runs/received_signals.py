"""Receive the signals that ask to stop on the event loop; at no moment one is lost, or kills the process.

Each handler replaces the one before it and is replaced by it again. The receivers of asyncio and anyio are
not used, as they restore the default action instead, which ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

import anyio

from aetherflow.stop_signals import STOP_SIGNALS, is_free

ALWAYS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Taken even if ignored: a shell without job control starts `command &` with SIGINT ignored."""

HANGUP_SECONDS = 1.0
"""When a terminal is closed, its shell and the kernel may each send a SIGHUP: that is one request."""


class ReceivedSignals:
    """Receives signals from `open` to the end of its `with` block; iterate over their numbers.

    Args:
        also: called in the handler, even while the event loop is blocked.
        always: what is taken even if it is ignored, as SIGHUP is under nohup, or code of a user handles it.
        hangup_seconds: how long after a SIGHUP another one is the same request.
    """

    def __init__(
        self,
        also: Callable[[int], None],
        *,
        always: frozenset[int] = ALWAYS,
        hangup_seconds: float = HANGUP_SECONDS,
    ) -> None:
        self._also = also
        self._always = always
        self._hangup_seconds = hangup_seconds
        self._hangup_until = 0.0
        self._received: deque[int] = deque()
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._wake_end, self._waker = socket.socketpair()
        self._wake_end.setblocking(False)
        self._waker.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            _open.discard(self)
            self._give_back()
        self._before.clear()
        self._waker.close()
        self._wake_end.close()

    def _give_back(self) -> None:
        """Give the signals back to what took them before; runs of one process may end in any order."""
        if any(later.inherit(self._waker, self._wakeup_before, self._before) for later in _open):
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)

    def inherit(self, waker: socket.socket, wakeup_before: int, before: dict[int, Any]) -> bool:
        """Give back at the end what one that has ended took, if this was opened next; return whether."""
        if self._wakeup_before != waker.fileno():
            return False
        self._wakeup_before = wakeup_before
        self._before.update(before)
        return True

    def open(self, numbers: Iterable[int] = STOP_SIGNALS) -> None:
        """Take these signals from now on; what took them before gets them back at the end."""
        if not self._before:
            # The kernel may give a signal to any thread: only a write to a file wakes the loop in every case.
            self._wakeup_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            _open.add(self)
        for number in numbers:
            if number not in self._before and (
                number in self._always or is_free(number) or any(other.takes(number) for other in _open)
            ):
                self._before[number] = signal.signal(number, self._take)

    def takes(self, number: int) -> bool:
        """Whether it takes a signal."""
        return number in self._before

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        """Wait for the next signal and return its number."""
        while not self._received:
            await anyio.wait_readable(self._wake_end)
            with suppress(BlockingIOError):
                self._wake_end.recv(4096)
        return self._received.popleft()

    def forget(self) -> None:
        """Give the signals back to their default: this is a forked worker, not the process that took them."""
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            now, until = time.monotonic(), self._hangup_until
            self._hangup_until = now + self._hangup_seconds
            if now < until:
                return
        self._received.append(number)
        with suppress(OSError):  # full: then the loop is awake
            self._waker.send(b"\0")
        self._also(number)


_open: set[ReceivedSignals] = set()


def _after_fork() -> None:
    """Let a worker that a step has forked be ended by signals; its copy must not wake our loop either."""
    for received in tuple(_open):
        received.forget()


os.register_at_fork(after_in_child=_after_fork)
