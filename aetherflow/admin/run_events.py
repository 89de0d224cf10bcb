"""Read the events of a run from its database in their order, also those that are stored from now on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial

import anyio
import msgspec

from aetherflow.admin.named_run import named_run, no_run
from aetherflow.engine.transitions import INTERRUPTED
from aetherflow.events.run_events import Event, RunPersisted, RunResumed, RunStarted
from aetherflow.run_ids import folder_name
from aetherflow.store.database import Database
from aetherflow.store.filesystem import logs_beside
from aetherflow.store.journal import read_some_events
from aetherflow.store.run_rows import RunFilter, find_run, list_runs

BATCH_EVENTS = 5000
"""How many events are read at once."""

POLL_SECONDS = 0.3
"""How often it is looked whether a run that is followed has more events."""


class StoredEvents(msgspec.Struct, frozen=True):
    """Some events of a run, numbered.

    Attributes:
        status: of the run when they were read; empty: there are more to read.
    """

    events: list[Event]
    status: str = ""


async def find_run_id(database: Database, name: str) -> str:
    """Return the id of the run that a command names; empty if no name was given and there are no runs.

    Raises:
        UsageError: there is no such run, or several ids begin so.
        StateError: the database cannot be read.
    """

    def found(raw: sqlite3.Connection) -> str:
        if not name and not list_runs(raw, RunFilter(), 1):
            return ""
        return named_run(raw, database.path, name).run_id

    return await database.read(found)


async def stored_events(
    database: Database, run_id: str, *, follow: bool, is_usual_state: bool
) -> AsyncIterator[StoredEvents]:
    """Iterate over the events of a run in batches; with `follow` until nobody executes it any more.

    Where the run began or was resumed, the transient event follows that says where it is stored: a record
    needs it for the command that resumes the run. `is_usual_state` is whether a command finds the database.

    Raises:
        UsageError: there is no such run.
        StateError: the database cannot be read.
    """
    seq, secrets = 0, list[str]()
    while True:
        run = await database.read(lambda raw: find_run(raw, run_id))
        if run is None:
            raise await database.read(lambda raw: no_run(raw, database.path, run_id))
        # The status was read before: events that follow its end are not missed.
        some = partial(read_some_events, run_id=run_id, after=seq, most=BATCH_EVENTS)
        found = await database.read(some)
        events = list[Event]()
        for event in found:
            events.append(event)
            if isinstance(event, RunStarted):
                secrets = event.secrets
            if isinstance(event, RunStarted | RunResumed):
                events.append(_persisted(event, database, secrets, is_usual_state=is_usual_state))
        seq += len(found)
        if len(found) == BATCH_EVENTS:
            yield StoredEvents(events)
            continue
        yield StoredEvents(events, run.status)
        if not follow or run.status != "RUNNING":
            return
        await anyio.sleep(POLL_SECONDS)


def is_left(status: str) -> bool:
    """Whether the process of a run has died, so that nobody executes it."""
    return status == INTERRUPTED


def _persisted(
    event: RunStarted | RunResumed, database: Database, secrets: list[str], *, is_usual_state: bool
) -> RunPersisted:
    logs = logs_beside(database.path) / folder_name(event.run_id)
    return RunPersisted(
        at=event.at,
        flow_id=event.flow_id,
        run_id=event.run_id,
        state=str(database.path),
        is_usual_state=is_usual_state and not event.origin,
        logs=str(logs),
        secrets=secrets,
    )
