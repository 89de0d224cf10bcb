"""End what runs on the connection of a server: a request to the server, then a cut of the network."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CANCEL_SECONDS = 3.0
"""How long a request to cancel may take; the step waits for its thread, and a network may be gone."""

LOST_SECONDS = 120
"""A connection is lost if what was sent is not confirmed for so long."""

CUT_SECONDS = 4.0
"""A statement that still runs so long after the first request to cancel it loses its connection."""


class Interrupter:
    """Ends what runs on a connection: by a request to the server, then by cutting the connection.

    Called again and again by the step that waits for the end of its thread.
    """

    def __init__(self, raw: Any, cancel: Callable[[], object]) -> None:
        self._raw = raw
        self._cancel = cancel
        self._since: float | None = None

    @property
    def is_called(self) -> bool:
        """Whether somebody wants the connection to end what it does."""
        return self._since is not None

    def __call__(self) -> None:
        """Request the end; an error says why the server does not take the request."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > CUT_SECONDS:
            cut(self._raw)
        else:
            self._cancel()


def cut(raw: Any) -> None:
    """Cut the network connection of a driver's connection, if its socket can be found."""
    with _socket_of(raw) as found, suppress(OSError):
        if found is not None:
            found.shutdown(socket.SHUT_RDWR)


def notice_lost_network(raw: Any) -> None:
    """Let the system end a connection whose other side does not confirm for minutes that it got our bytes."""
    with _socket_of(raw) as found, suppress(OSError, AttributeError):  # not every system has all of these
        if found is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_SECONDS * 1000)


@contextmanager
def _socket_of(raw: Any) -> Iterator[socket.socket | None]:
    """Return another handle of a connection's socket for a block; None where the driver hides it."""
    owner = getattr(raw, "_sock", raw)  # PyMySQL has it there
    try:
        copy = socket.socket(fileno=os.dup(owner.fileno()))
    except (AttributeError, OSError, TypeError, ValueError):
        yield None
        return
    with copy:
        yield copy
