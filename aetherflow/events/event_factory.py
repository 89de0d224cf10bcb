"""Create the events of one run: fill in their time, flow and run. May import `clock` and the events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from aetherflow.clock import Clock
from aetherflow.events.run_events import Event, Notice
from aetherflow.plugin_output import Level

E = TypeVar("E", bound=Event)


class EventFactory:
    """Makes the events of one run."""

    def __init__(self, clock: Clock, flow_id: str, run_id: str) -> None:
        self.clock = clock
        self.flow_id = flow_id
        self.run_id = run_id

    def make(self, kind: type[E], /, *, at: datetime | None = None, **fields: Any) -> E:
        """Return an event of this kind with these fields.

        Args:
            kind: the class of the event.
            at: when it happened (UTC); now if it is not given. What happens in one reaction has one time.
            fields: the fields of this kind of event, beside those of every event.

        Raises:
            TypeError: a field is missing, or the kind has no such field.
        """
        return kind(at=at or self.clock.now(), flow_id=self.flow_id, run_id=self.run_id, **fields)

    def notice(self, level: Level, message: str, code: str = "") -> Notice:
        """Return a notice about the run."""
        return self.make(Notice, level=level, message=message, code=code)
