"""What the tests of the bus need: events that may be stored often, a full disk, observers that misbehave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio

from aetherflow.errors import StateError
from aetherflow.events.run_events import Event, JobStarted, Notice

AT = datetime(2026, 1, 1, tzinfo=UTC)


def began(job_id: str) -> JobStarted:
    """Return an event that may be stored many times, for different jobs."""
    return JobStarted(at=AT, flow_id="f", run_id="r", job_id=job_id)


def jobs(events: Sequence[Event]) -> list[str]:
    """Return the job ids of what is no notice."""
    return [event.job_id for event in events if isinstance(event, JobStarted)]


class Full:
    """A durable side whose disk is full."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Refuse."""
        raise StateError(f"{len(events)} events: the disk is full")


class Gated:
    """An observer that takes a batch only when the test opens its gate."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.entered = anyio.Event()
        self.events: list[Event] = []
        self.closed = False

    async def __call__(self, events: Sequence[Event]) -> None:
        """Wait at the gate."""
        self.entered.set()
        await self.gate.wait()
        self.events += events

    async def aclose(self) -> None:
        """Remember."""
        self.closed = True

    @property
    def said(self) -> list[str]:
        """Return the texts of the notices."""
        return [event.message for event in self.events if isinstance(event, Notice)]


class Broken:
    """An observer that raises."""

    def __init__(self, at: str = "call") -> None:
        self.at = at

    async def __call__(self, events: Sequence[Event]) -> None:
        """Raise."""
        if self.at == "call":
            raise OSError(f"no space for {len(events)}")

    async def aclose(self) -> None:
        """Raise."""
        if self.at == "close":
            raise OSError("cannot close")


class Hung:
    """An observer that never comes back, not even from its end if `also_at_end`."""

    def __init__(self, *, also_at_end: bool = False) -> None:
        self.also_at_end = also_at_end
        self.closings = 0

    async def __call__(self, events: Sequence[Event]) -> None:
        """Hang."""
        del events
        await anyio.sleep_forever()

    async def aclose(self) -> None:
        """Count, and perhaps hang."""
        self.closings += 1
        if self.also_at_end:
            await anyio.sleep_forever()
