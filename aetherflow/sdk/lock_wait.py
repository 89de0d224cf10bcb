"""Why a step waits for a named lock: what the port `Locks` reports when a wait begins, and at its end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class LockWait(msgspec.Struct, frozen=True):
    """A wait of a step for a lock that another holds.

    Attributes:
        held_by: the flow, run and step that held it when the wait began.
        since: since when it held the lock (RFC 3339); empty if unknown.
        wait_seconds: how long the step waits at most.
        waited_seconds: the step has the lock now, after so long; None: it waits.
    """

    lock: str
    held_by: str
    since: str
    wait_seconds: float
    waited_seconds: float | None = None


OnLockWait = Callable[[LockWait], None]
"""Called on the event loop when a wait begins, and again if the step gets the lock."""


def report_to_nobody(_wait: LockWait) -> None:
    """Ignore a wait."""
