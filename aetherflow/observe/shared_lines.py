"""Lines that one channel has made and another is going to write too, so that each event is encoded once."""

from __future__ import annotations

import threading

from aetherflow.events.run_events import Event

MOST_BYTES = 4 << 20
"""How much is held for a channel that is behind; it makes the older lines again itself."""


class SharedLines:
    """The lines of events that one of two channels of the same format has made; called from their threads.

    The channels get the same events, the same objects, from the bus of a run. Whichever comes first to an
    event leaves its line here, and the other takes it. A line that nobody takes makes room for newer ones.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._lines: dict[
            int, tuple[Event, bytes]
        ] = {}  # by identity, with the event, so that it stays alive
        self._room = most_bytes
        self._lock = threading.Lock()

    def take(self, event: Event) -> bytes | None:
        """Return the line of an event and forget it; None if there is none, or not any more."""
        with self._lock:
            if (found := self._lines.pop(id(event), None)) is None:
                return None
            self._room += len(found[1])
            return found[1]

    def leave(self, event: Event, line: bytes) -> None:
        """Hold the line of an event for the other channel."""
        with self._lock:
            self._lines[id(event)] = event, line
            self._room -= len(line)
            while self._room < 0:
                _, oldest = self._lines.pop(next(iter(self._lines)))
                self._room += len(oldest)
