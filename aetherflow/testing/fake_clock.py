"""A clock for tests: time passes when a task sleeps or the test advances it; nothing really waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import anyio
import anyio.lowlevel

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock whose time passes at once when something sleeps, or by the hand of the test.

    Args:
        now: the time at the beginning, aware.
        seed: of the chance that it gives.
        by_hand: whether sleepers wait until `advance` has moved the time that far. A whole flow needs that: a
            run renews its lease all the time, so that its time would race.

    Attributes:
        sleeps: how long each sleep would have been, in seconds.
    """

    def __init__(self, now: datetime = START, seed: int = 0, *, by_hand: bool = False) -> None:
        self.sleeps: list[float] = []
        self._now = now
        self._seconds = 0.0
        self._by_hand = by_hand
        self._moved = anyio.Event()
        self._chance = Random(seed)  # noqa: S311 - repeatable on purpose

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._seconds += seconds
        self._moved.set()
        self._moved = anyio.Event()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that have passed since the beginning."""
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Let time pass, at once or by the hand of the test, and other tasks run."""
        self.sleeps.append(seconds)
        until = self._seconds + max(seconds, 0)
        while self._by_hand and self._seconds < until:
            await self._moved.wait()
        if not self._by_hand:
            self.advance(max(seconds, 0))
        await anyio.lowlevel.checkpoint()

    def new_id(self) -> str:
        """Return 12 hex digits, the same in every test of one seed."""
        return f"{self._chance.getrandbits(48):012x}"

    def random(self) -> float:
        """Return a number in [0, 1), the same in every test of one seed."""
        return self._chance.random()
