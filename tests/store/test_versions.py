"""Databases and histories of every schema version, as they were written then: later code reads them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.clock import SystemClock
from aetherflow.engine.state import apply, fold
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Event, JobStarted, Journalled, RunResumed, StepStarted
from aetherflow.store.journal import Journal, _write_rows, read_events
from aetherflow.store.lease import acquire
from aetherflow.store.process_identity import this_process
from aetherflow.store.projection import project
from aetherflow.store.run_lease import claim_run, release_run
from aetherflow.store.state_schema import MIGRATIONS, VERSION
from tests.store.real_parts import ELSEWHERE, opened, query
from tests.store.tables import RUN_OF_FIXTURES, tables_of

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = range(1, VERSION + 1)

STORED_SINCE = (FIXTURES / f"journal_v{VERSION}.later.jsonl").read_text(encoding="utf-8").splitlines()
"""What came to the current version after its golden log was written, without a change of the schema."""


def lines_of(version: int) -> list[str]:
    """Return the golden log of a version."""
    return (FIXTURES / f"journal_v{version}.jsonl").read_text(encoding="utf-8").splitlines()


def expected_of(version: int) -> Any:
    """Return what the code of a version made of its golden log."""
    return msgspec.json.decode((FIXTURES / f"journal_v{version}.expected.json").read_bytes())


def schema_of(raw: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return the tables, indexes and views, by name and definition."""
    return set(raw.execute("SELECT type, name, sql FROM sqlite_schema"))


def only_known(found: Any, known: Any) -> Any:
    """Return what was found without the fields that came later than what is known."""
    if isinstance(found, list) and isinstance(known, list) and len(found) == len(known):
        return [only_known(one, other) for one, other in zip(found, known, strict=True)]
    if not isinstance(found, dict) or not isinstance(known, dict):
        return found
    return {key: only_known(value, known[key]) for key, value in found.items() if key in known}


KINDS_OF_VERSION_5 = {
    "kept": "keep",
    "again": "rerun",
    "settled": "end_interrupted",
    "changed": "changed",
    "missed": "never_run",
    "upgraded": "upgraded",
    "left": "exclude",
    "gone": "remove",
}
FIELDS_OF_VERSION_5 = {
    "left": "excluded_jobs",
    "gone": "removed",
    "endings": "ending_count",
    "reasons": "decisions",
    "totals": "decision_counts",
}


def in_todays_words(line: str) -> dict[str, Any]:
    """Return a line of any version as it is stored now."""
    event: dict[str, Any] = msgspec.json.decode(line)
    if event["event"] == "run_ending":
        return {**event, "event": "hooks_started"}
    if event.get("reason") == "interrupted, on_interrupt: skip":
        event["was_interrupted"] = True
    if event["event"] != "run_resumed":
        return event
    for name in {"reasons", "totals"} & event.keys():
        event[name] = {KINDS_OF_VERSION_5[kind]: value for kind, value in event[name].items()}
    return {FIELDS_OF_VERSION_5.get(name, name): value for name, value in event.items()}


def fields_of(event: Event, stored: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event that its stored form has."""
    fields = {name: getattr(event, name) for name in stored if name != "event"}
    tag = event.__struct_config__.tag
    return {"event": tag, **{name: msgspec.to_builtins(value) for name, value in fields.items()}}


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    """A new database of the current version, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.executescript("".join(MIGRATIONS))
        yield raw


@pytest.mark.asyncio
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_every_version_is_brought_forward_and_keeps_what_it_holds(
    version: int, path: Path, empty: sqlite3.Connection
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIXTURES / f"state_v{version}.sqlite", path)
    assert query(path, "PRAGMA user_version") == [(version,)], "the fixture is of its version"
    expected = expected_of(version)

    async with opened(path) as database:
        tables = await database.read(tables_of)
        clock = SystemClock()
        claim = await claim_run(database, RUN_OF_FIXTURES, this_process(), clock)
        history = await database.read(lambda raw: read_events(raw, RUN_OF_FIXTURES))
        await release_run(database, claim.lease, clock)

    assert only_known(tables, expected["tables"]) == expected["tables"]
    assert only_known(msgspec.to_builtins(fold(history)), expected["state"]) == expected["state"]
    assert claim.next_seq == len(lines_of(version)) + 1
    stored = [in_todays_words(line) for line in lines_of(version)]
    assert [fields_of(one, like) for one, like in zip(history, stored, strict=True)] == stored
    tags = query(path, "SELECT event FROM events WHERE event <> json_extract(payload, '$.event')")
    assert tags == []
    assert query(path, "PRAGMA user_version") == [(VERSION,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    with closing(sqlite3.connect(path)) as raw:
        assert schema_of(raw) == schema_of(empty), "it differs from a new one"


@pytest.mark.asyncio
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_run_of_every_version_is_resumed(version: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIXTURES / f"state_v{version}.sqlite", path)
    clock = SystemClock()
    async with opened(path) as database:
        claim = await claim_run(database, RUN_OF_FIXTURES, this_process(), clock)
        before = await database.read(lambda raw: read_events(raw, RUN_OF_FIXTURES))
        state = fold(before)
        factory = EventFactory(clock, state.flow_id, state.run_id)
        events: list[Event] = [
            factory.make(RunResumed, attempt=state.attempt + 1, owner="me", rerun=["extract"]),
            factory.make(JobStarted, job_id="extract"),
            factory.make(StepStarted, job_id="extract", step_id="pull", step_type="db_extract"),
        ]
        for event in events:
            apply(state, event)
        await Journal(database).of_run(claim.lease, claim.next_seq).commit(events)
        history = await database.read(lambda raw: read_events(raw, RUN_OF_FIXTURES))
        await release_run(database, claim.lease, clock)

    assert history == [*before, *events]
    assert fold(history) == state
    assert state.job("extract").steps["pull"].status == "RUNNING"
    rows = query(
        path,
        "SELECT status, attempt FROM run_state UNION ALL SELECT status, attempt FROM step_state "
        "WHERE job_id = 'extract'",
    )
    assert rows == [("RUNNING", state.attempt), ("RUNNING", 1)]


def insert(raw: sqlite3.Connection, lines: list[str]) -> None:
    """Store the lines of a journal."""
    raw.executemany(
        "INSERT INTO events (run_id, seq, event, payload) VALUES (?, ?, ?, ?)",
        [
            (RUN_OF_FIXTURES, seq, msgspec.json.decode(line)["event"], line)
            for seq, line in enumerate(lines, start=1)
        ],
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_history_of_every_version_replays_to_the_same_state_and_rows(version: int) -> None:
    lines, expected = lines_of(version), expected_of(version)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.executescript("".join(MIGRATIONS[:version]))
        insert(raw, lines)
        raw.executescript("".join(MIGRATIONS[version:]))
        history = read_events(raw, RUN_OF_FIXTURES)
        _write_rows(raw, project(history))
        tables = tables_of(raw)

    stored = [in_todays_words(line) for line in lines]
    assert [fields_of(one, like) for one, like in zip(history, stored, strict=True)] == stored
    assert only_known(msgspec.to_builtins(fold(history)), expected["state"]) == expected["state"]
    assert only_known(tables, expected["tables"]) == expected["tables"]


def test_what_a_process_of_version_4_stores_after_the_upgrade_is_rewritten_when_the_run_is_resumed(
    empty: sqlite3.Connection,
) -> None:
    insert(empty, lines_of(4))
    now = datetime.now(UTC)
    for seconds in (0, 120):  # the lease of the first owner runs out
        at = now + timedelta(seconds=seconds)
        acquire(empty, f"run:{RUN_OF_FIXTURES}", ELSEWHERE, "r", now=at, ttl_seconds=60)
    history = read_events(empty, RUN_OF_FIXTURES)
    stored = [in_todays_words(line) for line in lines_of(4)]
    for event in stored:
        event.pop("was_interrupted", None)  # which only the migration knows
    assert [fields_of(one, like) for one, like in zip(history, stored, strict=True)] == stored


def test_a_history_of_the_current_version_is_stored_exactly_as_it_was() -> None:
    lines = [*lines_of(VERSION), *STORED_SINCE]
    history = [msgspec.json.decode(line, type=Journalled) for line in lines]
    assert [msgspec.json.encode(one).decode() for one in history] == lines


def test_the_golden_log_of_the_current_version_has_every_kind_of_event() -> None:
    kinds = {msgspec.json.decode(line)["event"] for line in [*lines_of(VERSION), *STORED_SINCE]}
    assert kinds == {str(kind.__struct_config__.tag) for kind in Journalled.__args__}
