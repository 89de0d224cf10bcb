from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.store import lease as leases
from aetherflow.store.journal import _write_rows
from aetherflow.store.lease import Lease
from aetherflow.store.process_identity import this_process
from aetherflow.store.projection import project
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.real_parts import T0, started


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(MIGRATIONS))
    yield connection
    connection.close()


def take(raw: sqlite3.Connection, name: str, *, seconds_ago: float = 0) -> Lease:
    """Take a lease of a minute; the views compare it with the machine's own clock."""
    now = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    found = leases.acquire(raw, name, this_process(), "a holder", now=now, ttl_seconds=60)
    assert isinstance(found, Lease)
    return found


def status(raw: sqlite3.Connection) -> list[str]:
    """Return the status of the one run, as the table and the view show it."""
    return [raw.execute(f"SELECT status FROM {name}").fetchone()[0] for name in ("run_state", "runs")]


def test_a_run_whose_lease_holds_is_running(raw: sqlite3.Connection) -> None:
    take(raw, "run:r")
    _write_rows(raw, project([started("r")]))
    assert status(raw) == ["RUNNING", "RUNNING"]


def test_a_run_whose_lease_ran_out_was_interrupted(raw: sqlite3.Connection) -> None:
    lease = take(raw, "run:r", seconds_ago=61)
    _write_rows(raw, project([started("r")]))
    assert status(raw) == ["RUNNING", "INTERRUPTED"]
    leases.renew(raw, lease, datetime.now(UTC))
    assert status(raw) == ["RUNNING", "RUNNING"]


def test_a_run_whose_lease_was_given_back_before_its_end_was_interrupted(raw: sqlite3.Connection) -> None:
    lease = take(raw, "run:r")
    take(raw, "run:another")
    _write_rows(raw, project([started("r")]))
    leases.release(raw, lease, datetime.now(UTC))
    assert status(raw) == ["RUNNING", "INTERRUPTED"]


@pytest.mark.parametrize("end", ["SUCCESS", "FAILED", "CANCELLED"])
def test_a_run_that_ended_keeps_its_status_without_a_lease(raw: sqlite3.Connection, end: e.RunEnd) -> None:
    finished = e.RunFinished(
        at=datetime.now(UTC), flow_id="flow", run_id="r", status=end, duration_seconds=1.0
    )
    _write_rows(raw, project([started("r"), finished]))
    assert status(raw) == [end, end]


def test_locks_shows_the_locks_that_are_held_and_nothing_else(raw: sqlite3.Connection) -> None:
    take(raw, "lock:held")
    take(raw, "lock:with:colon")
    take(raw, "lock:ran out", seconds_ago=61)
    take(raw, "run:r")
    leases.release(raw, take(raw, "lock:given back"), datetime.now(UTC))
    rows = raw.execute("SELECT lock_key, holder, generation FROM locks ORDER BY lock_key").fetchall()
    assert rows == [("held", "a holder", 1), ("with:colon", "a holder", 1)]


def attempts(raw: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Return what the view says of each attempt, in order."""
    return raw.execute(
        "SELECT attempt, status, started_at IS NOT NULL, finished_at IS NOT NULL, wait_seconds, "
        "json_extract(error, '$.message'), reason FROM attempts ORDER BY seq"
    ).fetchall()


def write(raw: sqlite3.Connection, events: list[e.Event]) -> None:
    """Store events and their rows."""
    payloads = [(n, str(one.__struct_config__.tag), msgspec.json.encode(one)) for n, one in enumerate(events)]
    raw.executemany("INSERT INTO events VALUES ('r', ?, ?, CAST(? AS TEXT))", payloads)
    _write_rows(raw, project(events))


def test_attempts_shows_each_attempt_with_what_was_waited_and_why(raw: sqlite3.Connection) -> None:
    common: dict[str, Any] = {"at": T0, "flow_id": "flow", "run_id": "r", "job_id": "a"}
    step: dict[str, Any] = {**common, "step_id": "s", "step_type": "t"}
    no = ErrorInfo(code="AF700", message="no")
    take(raw, "run:r")
    write(
        raw,
        [
            started("r"),
            e.JobStarted(**common),
            e.StepStarted(**step, attempt=1),
            e.StepRetrying(**step, attempt=1, wait_seconds=2.5, error=no),
            e.StepStarted(**step, attempt=2),
            e.RunResumed(at=T0, flow_id="flow", run_id="r", attempt=2, owner="me"),
            e.JobStarted(**common),
            e.StepStarted(**step, attempt=1),
            e.StepFinished(**step, attempt=1, status="SKIPPED", reason="nothing"),
            e.StepStarted(**(step | {"step_id": "z"}), attempt=1),
        ],
    )
    assert attempts(raw) == [
        (1, "FAILED", 1, 1, 2.5, "no", None),
        (2, "INTERRUPTED", 1, 0, None, None, None),
        (1, "SKIPPED", 1, 1, None, None, "nothing"),
        (1, "RUNNING", 1, 0, None, None, None),
    ]
    raw.execute("UPDATE leases SET released_at = acquired_at")
    assert attempts(raw)[-1][1] == "INTERRUPTED"
