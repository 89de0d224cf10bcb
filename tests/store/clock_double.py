"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio


class FakeClock:
    """Time that a test advances by hand; a sleeper wakes when its time has come."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._beginning = datetime(2026, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[float, anyio.Event]] = []
        self._changed = anyio.Event()

    def now(self) -> datetime:
        """Return the wall time."""
        return self._beginning + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        """Return the seconds that were advanced."""
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced that much."""
        sleeper = (self._seconds + seconds, anyio.Event())
        self._sleepers.append(sleeper)
        self._tell()
        try:
            await sleeper[1].wait()
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def new_id(self) -> str:
        """Return an id."""
        return "0123456789ab"

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return 0.5

    def advance(self, seconds: float) -> None:
        """Move the time and wake whose time has come."""
        self._seconds += seconds
        for sleeper in list(self._sleepers):
            if sleeper[0] <= self._seconds + 1e-9:
                self._sleepers.remove(sleeper)
                sleeper[1].set()

    async def sleeping(self, count: int) -> None:
        """Wait until that many sleep: they have done what was due and wait for more time."""
        with anyio.fail_after(30):
            while len(self._sleepers) < count:
                await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
