"""Wait until a wall time, reading the clock at short intervals, as it may be changed meanwhile."""

from __future__ import annotations

from datetime import datetime

import anyio

from aetherflow.clock import Clock, wait_within

LOOK_SECONDS = 1.0
"""How long the wall time goes unread: a suspended machine or a clock that jumped is noticed after this."""


class WallClockTimer:
    """Waits until a time has come, or `move` is called because there is another time to wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved = anyio.Event()

    def move(self) -> None:
        """End the wait: what is waited for has changed."""
        self._moved.set()

    async def wait(self, until: datetime | None) -> None:
        """Return when the wall time is `until` or later, or `move` was called; None waits for that only."""
        while not self._moved.is_set():
            left = LOOK_SECONDS
            if until is not None:
                left = (until - self._clock.now()).total_seconds()
                if left <= 0:
                    break
            await wait_within(self._clock, min(left, LOOK_SECONDS), self._moved.wait)
        self._moved = anyio.Event()

    async def wait_for(self, seconds: float) -> None:
        """Return after so many seconds, or when `move` was called."""
        if not self._moved.is_set():
            await wait_within(self._clock, seconds, self._moved.wait)
        self._moved = anyio.Event()
