"""Compare the clock of this server with those of the other servers on the database.

Each server stores what its clock shows at each heartbeat. How old a heartbeat is cannot be read from clocks
that may be wrong: a server looks every second, and knows it by the monotonic time since it saw the number of
heartbeats change. The reference is the median of the clocks; of two in the middle, the one that agrees with
the longest-living server. A server that is off stands by: it decides nothing until it agrees again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from aetherflow.clock import Clock
from aetherflow.store.servers import ServerRow

OFF_SECONDS = 5.0
"""By how much a clock may differ: far more than NTP leaves, far less than the shortest usual grace."""

AGREE_SECONDS = 3.0
"""How near a clock that was off must come, so that a server does not change its mind every second."""

BEAT_SECONDS = 5.0
"""The time between two heartbeats of a server."""

FRESH_SECONDS = 4 * BEAT_SECONDS
"""For how long after its last heartbeat a server counts."""

FIRST_BEAT_SECONDS = 2 * BEAT_SECONDS + 2
"""How long a new server waits for the heartbeat of one whose clock seems to differ: it may be dead."""

UNSEEN_SECONDS = 2 * BEAT_SECONDS
"""If a server has not looked for so long, it knows nothing about the age of a heartbeat."""

SILENT_SECONDS = 120.0
"""After how long without a heartbeat a server is forgotten."""

SAME_AGE_BEATS = 2
"""Servers whose heartbeats differ by no more are equally old: their names decide, so that all agree."""

COMPARING = "compares its clock with those of other servers"


class StandsBy(Exception):
    """The clock of this server is off, or not compared yet: nothing was decided, and is to be tried again."""


class _Sample(msgspec.Struct, frozen=True):
    """A clock: what it showed (None: not known yet) at a monotonic time, give or take some seconds.

    Attributes:
        is_plausible: the first heartbeat may agree with this clock, or is that of a newer server, which does
            not hold up an older one.
        shown: what the clock showed at that heartbeat, which may be long ago.
    """

    beats: int
    at: float
    clock_at: datetime | None = None
    error: float = 0.0
    is_plausible: bool = True
    shown: datetime | None = None


class ClockOffset(msgspec.Struct, frozen=True):
    """By how many seconds a server's clock is ahead of this one's, give or take `error`."""

    server: str
    seconds: float
    beats: int
    error: float = 0.0


class ServerClocks:
    """The clocks of the servers on one database, as one of them sees them.

    Attributes:
        is_off: whether `standby` found this clock to differ from the reference.
    """

    def __init__(self, server: str, clock: Clock) -> None:
        self.server = server
        self._clock = clock
        self._samples: dict[str, _Sample] = {}
        self._beats = 0
        self._looked: float | None = None
        self.is_off = False

    def observe(self, rows: Mapping[str, ServerRow]) -> None:
        """Note the heartbeats of all servers; call it every second or so."""
        at, now = self._clock.monotonic(), self._clock.now()
        gap = FRESH_SECONDS if self._looked is None else at - self._looked
        self._looked = at
        self._beats = rows[self.server].beats if self.server in rows else self._beats
        samples: dict[str, _Sample] = {}
        for name, row in rows.items():
            if name == self.server:
                continue
            old, shown = self._samples.get(name), datetime.fromisoformat(row.clock_at)
            if old is not None and row.beats == old.beats:
                samples[name] = old
            elif old is None or gap > UNSEEN_SECONDS:  # how old the heartbeat is, is not known
                is_near = abs((now - shown).total_seconds()) <= OFF_SECONDS + BEAT_SECONDS
                is_newer = gap <= UNSEEN_SECONDS and row.beats + SAME_AGE_BEATS < self._beats
                samples[name] = _Sample(row.beats, at, is_plausible=is_near or is_newer, shown=shown)
            else:
                samples[name] = _Sample(row.beats, at, shown + timedelta(seconds=gap / 2), gap / 2)
        self._samples = samples

    def silent(self) -> set[str]:
        """Return the servers without a heartbeat for a long time."""
        at = self._clock.monotonic()
        return {name for name, one in self._samples.items() if at - one.at > SILENT_SECONDS}

    def standby(self) -> str:
        """Return why this server decides nothing now; empty if it decides."""
        off = self._off()
        if off is None:
            self.is_off = False
            return COMPARING if self._is_waiting() else ""
        limit = AGREE_SECONDS if self.is_off else OFF_SECONDS
        self.is_off = abs(off.seconds) > limit + off.error
        if not self.is_off:
            return ""
        side = "behind" if off.seconds > 0 else "ahead of"
        other = off.server.removeprefix("server:")
        return f"its clock is {abs(off.seconds):.0f} s {side} that of server {other}"

    def ahead_seconds(self) -> float | None:
        """Return by how much this clock is ahead of the reference; None if there is no other."""
        off = self._off()
        return None if off is None else round(-off.seconds, 1) + 0.0

    def now(self) -> datetime:
        """Return the time by the reference if this clock is off, so that others see this server alive.

        While the clocks are compared it is the latest of them.
        """
        now = self._clock.now()
        off = self._off() if self.is_off else None
        if off is not None:
            return now + timedelta(seconds=off.seconds)
        if not self._is_waiting():
            return now
        return max([now, *(one.shown for one in self._samples.values() if one.shown is not None)])

    def _off(self) -> ClockOffset | None:
        """Return the clock that is the reference; None if no other server is known to live."""
        at, now = self._clock.monotonic(), self._clock.now()
        others = [
            ClockOffset(name, (one.clock_at - now).total_seconds() + at - one.at, one.beats, one.error)
            for name, one in self._samples.items()
            if one.clock_at is not None and at - one.at <= FRESH_SECONDS
        ]
        return reference([ClockOffset(self.server, 0.0, self._beats), *others]) if others else None

    def _is_waiting(self) -> bool:
        at = self._clock.monotonic()
        if self._samples and self._looked is not None and at - self._looked > UNSEEN_SECONDS:
            return True  # this process was paused
        return any(
            not one.is_plausible and one.clock_at is None and at - one.at < FIRST_BEAT_SECONDS
            for one in self._samples.values()
        )


def reference(clocks: list[ClockOffset]) -> ClockOffset:
    """Return the clock that decides: the median; of two in the middle, that of the longest-living server."""
    ordered = sorted(clocks, key=lambda one: one.seconds)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    middle = (ordered[half - 1], ordered[half])
    near = [one for one in ordered if any(abs(one.seconds - mid.seconds) <= OFF_SECONDS for mid in middle)]
    oldest = max(one.beats for one in near)
    return min(
        (one for one in near if one.beats >= oldest - SAME_AGE_BEATS),
        key=lambda one: one.server,
    )
