"""The state subscriber: makes the events of runs durable, in one transaction with the rows they project to.

All runs that wait for the same database share one transaction (group commit): while one commit waits for the
disk, the next batch gathers. If SQLite rejects one run's batch (not an I/O error), only that run fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import anyio
import msgspec
from msgspec.structs import replace

from aetherflow.errors import HeldByAnother, StateError
from aetherflow.events.run_events import Event, Journalled
from aetherflow.sdk.json_values import escaped
from aetherflow.spec.convert import json_decoder
from aetherflow.store import lease as leases
from aetherflow.store.database import SHIELD_SECONDS, Database
from aetherflow.store.lease import Lease
from aetherflow.store.marks import move_marks
from aetherflow.store.projection import UPSERT_JOB, UPSERT_STEP, Rows, project

_encoder = msgspec.json.Encoder()


class LeaseLost(HeldByAnother):
    """Another process has taken over the run: this one must not write any more (exit 75)."""

    default_code = "AF611"


def lease_lost(lease: Lease) -> LeaseLost:
    """Return the error of a process whose run was taken over."""
    return LeaseLost(
        f"{lease.name} was taken over by another process; this one stops and writes nothing more",
        hint="its lease ran out, because this process was paused or the machine too busy",
    )


class _Entry:
    """A batch of one run that waits for a transaction."""

    def __init__(self, run: RunJournal, events: list[tuple[str, int, str, bytes]], rows: Rows) -> None:
        self.run = run
        self.events = events
        self.rows = rows
        self.error: StateError | LeaseLost | None = None
        self.is_done = False
        self.turn = anyio.Event()
        """Set when the entry is done, or when its task is to write all entries that wait."""


class Journal:
    """The journal of one database, shared by all runs of this process; used on the event loop only."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._waiting: list[_Entry] = []
        self._is_writing = False

    def of_run(self, lease: Lease, next_seq: int) -> RunJournal:
        """Return the journal of one run, under its lease; its events are numbered from `next_seq`."""
        return RunJournal(self, lease, next_seq)

    async def commit(self, entry: _Entry) -> None:
        """Return when the entry is committed.

        If no task is writing, this one writes all entries that wait, once; then the first of those that came
        meanwhile does: no task writes for the others forever.
        """
        self._waiting.append(entry)
        if self._is_writing:
            with anyio.CancelScope(shield=True):
                await entry.turn.wait()
        if not entry.is_done:
            self._is_writing = True
            batch, self._waiting = self._waiting, []
            try:
                await self._write(batch)
            finally:
                self._end_turn(batch)
        if entry.error is not None:
            raise entry.error

    async def _write(self, batch: list[_Entry]) -> None:
        """Store the entries of all runs but those that lost an earlier one: a history has no hole."""
        for entry in batch:
            entry.error = entry.run.failure
        sound = [entry for entry in batch if entry.error is None]
        if not sound:
            return
        failure: StateError | None = None
        try:
            with anyio.fail_after(SHIELD_SECONDS, shield=True):  # the write is for all that wait
                await self.database.transact(lambda raw: _store(raw, sound))
        except TimeoutError:
            failure = StateError(f"the events could not be stored within {SHIELD_SECONDS:g} s")
        except StateError as error:
            failure = error
        except BaseException as error:
            failure = StateError(f"the events could not be stored: {error!r}")
            raise
        finally:
            for entry in sound:
                entry.error = failure or entry.error
                entry.run.failure = entry.run.failure or entry.error

    def _end_turn(self, batch: list[_Entry]) -> None:
        for entry in batch:
            entry.is_done = True
            entry.turn.set()
        if self._waiting:
            self._waiting[0].turn.set()
        else:
            self._is_writing = False


class RunJournal:
    """The journal of one run; implements `aetherflow.ports.DurableSubscriber`."""

    def __init__(self, journal: Journal, lease: Lease, next_seq: int) -> None:
        self._journal = journal
        self._next_seq = next_seq
        self.lease = lease
        self.failure: StateError | LeaseLost | None = None
        """Why nothing more of this run is stored."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Return when the events are stored, in order.

        Raises:
            StateError: they could not be stored; the run must stop.
            LeaseLost: another process has taken the run over.
        """
        try:
            payloads = list(map(_encoder.encode, events))
        except UnicodeEncodeError:  # a text that is not UTF-8: a file name in another encoding
            events = [_storable(event) for event in events]
            payloads = list(map(_encoder.encode, events))
        stored = [
            (event.run_id, seq, str(event.__struct_config__.tag), payload)
            for seq, (event, payload) in enumerate(zip(events, payloads, strict=True), self._next_seq)
        ]
        self._next_seq += len(stored)
        await self._journal.commit(_Entry(self, stored, project(events)))


def _storable(event: Event) -> Event:
    """Return an event whose texts are UTF-8: what is not is escaped."""
    try:
        _encoder.encode(event)
    except UnicodeEncodeError:
        return msgspec.convert(escaped(msgspec.to_builtins(event)), type(event))
    return event


_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""Errors of a batch itself; other errors are those of the disk and concern all runs."""


def _store(raw: sqlite3.Connection, batch: list[_Entry]) -> None:
    """Write the entries whose lease is still held, each in a savepoint; the others get their error."""
    refused: dict[RunJournal, StateError | LeaseLost] = {}
    for entry in batch:
        if entry.run not in refused:
            if not leases.is_held(raw, entry.run.lease):
                refused[entry.run] = lease_lost(entry.run.lease)
            elif (error := _try_to_store(raw, entry)) is not None:
                refused[entry.run] = error
        entry.error = refused.get(entry.run)


def _try_to_store(raw: sqlite3.Connection, entry: _Entry) -> StateError | None:
    """Write a whole entry in one transaction; return the error if the database rejects it."""
    raw.execute("SAVEPOINT batch")
    try:
        raw.executemany(
            "INSERT INTO events (run_id, seq, event, payload) VALUES (?, ?, ?, CAST(? AS TEXT))", entry.events
        )
        _write_rows(raw, entry.rows)
    except _REFUSALS as error:
        raw.execute("ROLLBACK TO batch")
        raw.execute("RELEASE batch")
        return _refusal(raw, entry, error)
    raw.execute("RELEASE batch")
    return None


def _refusal(raw: sqlite3.Connection, entry: _Entry, error: sqlite3.Error) -> StateError:
    """Return the error of a run whose events the database rejects."""
    (_, _, path) = raw.execute("PRAGMA database_list").fetchone()
    return StateError(
        f"{path}: the events of {entry.run.lease.name} cannot be stored: {error}",
        hint="nothing of this batch was stored; check the database (sqlite3 FILE 'PRAGMA integrity_check'), "
        "then run again with the same --run-id",
        code="AF613",
    )


def _write_rows(raw: sqlite3.Connection, rows: Rows) -> None:
    for statement, row in rows.runs:
        raw.execute(statement, row)
    if rows.jobs:
        raw.executemany(UPSERT_JOB, rows.jobs.values())
    if rows.steps:
        raw.executemany(UPSERT_STEP, rows.steps.values())
    if rows.marks:
        move_marks(raw, rows.marks)


def read_events(raw: sqlite3.Connection, run_id: str, after: int = 0, most: int = -1) -> list[Event]:
    """Return the history of a run, in order; empty if there is no such run.

    With `after`, only what follows that event, and at most so many events if `most` is not negative.

    Raises:
        StateError: an entry cannot be read, or is missing; the message names its number.
    """
    history: list[Event] = []
    decode = json_decoder(Journalled).decode  # made at the first use: a new run has no history
    for seq, payload in raw.execute(
        "SELECT seq, payload FROM events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run_id, after, most),
    ):
        last = after + len(history)
        if seq != last + 1:
            raise _unreadable(last + 1, run_id, f"is missing: after {last} follows {seq}")
        try:
            history.append(decode(payload))
        except msgspec.MsgspecError as error:
            raise _unreadable(seq, run_id, f"cannot be read: {error}") from None
    return history


def read_some_events(raw: sqlite3.Connection, run_id: str, after: int, most: int) -> list[Event]:
    """Return the events of a run that follow the number `after`, numbered; at most so many.

    Raises:
        StateError: an entry cannot be read; the message names its number.
    """
    found: list[Event] = []
    decode = json_decoder(Journalled).decode
    for seq, payload in raw.execute(
        "SELECT seq, payload FROM events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        (run_id, after, most),
    ):
        try:
            found.append(replace(decode(payload), seq=seq))
        except msgspec.MsgspecError as error:
            raise _unreadable(seq, run_id, f"cannot be read: {error}") from None
    return found


def _unreadable(seq: int, run_id: str, why: str) -> StateError:
    return StateError(
        f"event {seq} of run {run_id} {why}",
        hint="give another --run-id; a backup of the database may have this run whole",
        code="AF604",
    )
