from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.engine import events as e
from aetherflow.store import lease as leases
from aetherflow.store.journal import _write_rows
from aetherflow.store.lease import Lease
from aetherflow.store.owner import this_process
from aetherflow.store.projection import project
from aetherflow.store.schema import VERSION_1
from tests.store.real_parts import started


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(VERSION_1)
    yield connection
    connection.close()


def take(raw: sqlite3.Connection, name: str, *, seconds_ago: float = 0) -> Lease:
    """Take a lease of a minute; the views compare it with the machine's own clock."""
    now = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    found = leases.acquire(raw, name, this_process(), "a holder", now=now, ttl_seconds=60)
    assert isinstance(found, Lease)
    return found


def status(raw: sqlite3.Connection) -> list[str]:
    """Return the status of the one run, as the table and as the view tell it."""
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
