"""Read what is stored of a run: its history, folded while it is read."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import msgspec

from aetherflow.engine.state import RunState, fold
from aetherflow.engine.transitions import IllegalEvent
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from aetherflow.events.bundle_use import BundleUse
from aetherflow.store.database import Database
from aetherflow.store.journal import read_events

SLICE_EVENTS = 1000
"""How many events are read at once."""


class StoredRun(msgspec.Struct):
    """A run as its history has left it; NEW if nothing is stored of it.

    Attributes:
        bundle: the bundle that its flow was last read from, if any.
        ended_at: when it ended last; None: it never has.
    """

    state: RunState
    bundle: BundleUse | None = None
    ended_at: datetime | None = None

    @property
    def is_new(self) -> bool:
        """Whether nothing is stored of the run."""
        return self.state.event_count == 0


async def stored_run(database: Database, run_id: str) -> StoredRun:
    """Return a run as its history has left it.

    The history is read in slices, and only the state that it leads to is kept: a long one costs no memory,
    and the other runs of this process go on meanwhile. Nobody else may write it: the run is claimed, or over.

    Raises:
        StateError: an event is missing or cannot be read, or the events contradict each other.
    """
    run = StoredRun(RunState())
    while True:
        some = partial(read_events, run_id=run_id, after=run.state.event_count, most=SLICE_EVENTS)
        events = await database.read(some)
        _follow(run, events, run_id)
        if len(events) < SLICE_EVENTS:
            return run


def _follow(run: StoredRun, events: list[e.Event], run_id: str) -> None:
    try:
        fold(events, run.state)
    except IllegalEvent as error:
        raise StateError(
            f"the stored history of run {run_id} makes no sense: {error}",
            hint="give another --run-id; a backup of the database may have this run whole",
            code="AF609",
        ) from None
    for event in events:
        if isinstance(event, e.RunStarted | e.RunResumed):
            run.bundle = event.bundle
        elif isinstance(event, e.RunFinished):
            run.ended_at = event.at
