"""Time and randomness behind one protocol, `Clock`, so that tests can replace both."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time, sleep, ids and chance."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, cancellable; zero or less only yields to other tasks."""
        ...

    def new_id(self) -> str:
        """Return 12 random hex digits."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


async def wait_within(clock: Clock, seconds: float, wait: Callable[[], Awaitable[object]]) -> None:
    """Wait for something, at most for some seconds of a clock."""
    import anyio  # noqa: PLC0415 - commands that run no loop import this module too

    async def expire() -> None:
        await clock.sleep(seconds)
        waiting.cancel_scope.cancel()

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(expire)
        await wait()
        waiting.cancel_scope.cancel()


class SystemClock:
    """The machine's own clock and chance."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait, cancellable."""
        import anyio  # noqa: PLC0415 - the ground is imported by commands that run no loop

        await anyio.sleep(max(seconds, 0))

    def new_id(self) -> str:
        """Return 12 random hex digits."""
        return os.urandom(6).hex()

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return int.from_bytes(os.urandom(7)) / (1 << 56)
