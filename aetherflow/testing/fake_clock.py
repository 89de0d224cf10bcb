"""A clock for tests: time passes when a task sleeps or the test advances it; nothing really waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import anyio
import anyio.lowlevel

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that a sleep moves forward immediately or, with `by_hand`, only the test moves.

    Args:
        now: the start time, timezone-aware.
        seed: the seed of its random numbers.
        by_hand: whether a sleep waits until `advance` has moved the time far enough. `run_flow` needs this,
            as a run sleeps all the time to renew its lease, which would make the time race.

    Attributes:
        sleeps: the length of each sleep, in seconds.
    """

    def __init__(self, now: datetime = START, seed: int = 0, *, by_hand: bool = False) -> None:
        self.sleeps: list[float] = []
        self._now = now
        self._seconds = 0.0
        self._by_hand = by_hand
        self._moved = anyio.Event()
        self._chance = Random(seed)  # noqa: S311 - repeatable on purpose

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._now += timedelta(seconds=seconds)
        self._seconds += seconds
        self._moved.set()
        self._moved = anyio.Event()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds since the start time."""
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Move the time forward, or with `by_hand` wait for `advance`; let other tasks run."""
        self.sleeps.append(seconds)
        until = self._seconds + max(seconds, 0)
        while self._by_hand and self._seconds < until:
            await self._moved.wait()
        if not self._by_hand:
            self.advance(max(seconds, 0))
        await anyio.lowlevel.checkpoint()

    def new_id(self) -> str:
        """Return 12 hex digits, the same in every test with the same seed."""
        return f"{self._chance.getrandbits(48):012x}"

    def random(self) -> float:
        """Return a number in [0, 1), the same in every test with the same seed."""
        return self._chance.random()
