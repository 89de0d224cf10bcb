from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.store import lease as leases
from aetherflow.store.lease import Lease, LeaseHolder
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.clock_double import FakeClock
from tests.store.real_parts import ELSEWHERE


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = database()
    yield connection
    connection.close()


def database() -> sqlite3.Connection:
    """Return an empty database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript("".join(MIGRATIONS))
    return connection


def acquire(
    raw: sqlite3.Connection, clock: FakeClock, owner: ProcessIdentity | None = None
) -> Lease | LeaseHolder:
    """Try to take the lease `x` for ten seconds."""
    return leases.acquire(raw, "x", owner or this_process(), "somebody", now=clock.now(), ttl_seconds=10)


def taken(raw: sqlite3.Connection, clock: FakeClock, owner: ProcessIdentity | None = None) -> Lease:
    """Take the lease `x`."""
    found = acquire(raw, clock, owner)
    assert isinstance(found, Lease)
    return found


def test_a_free_lease_is_taken_with_generation_one(raw: sqlite3.Connection, clock: FakeClock) -> None:
    assert taken(raw, clock) == Lease(name="x", generation=1, ttl_seconds=10)


def test_a_held_lease_says_who_has_it_and_since_when(raw: sqlite3.Connection, clock: FakeClock) -> None:
    taken(raw, clock)
    clock.advance(10)
    held = acquire(raw, clock, ELSEWHERE)
    assert isinstance(held, LeaseHolder)
    assert held == LeaseHolder(
        "somebody", this_process(), "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:10.000000Z"
    )
    assert str(held) == f"somebody ({this_process()}) since 2026-01-01T00:00:00.000000Z"


def test_a_lease_that_ran_out_is_taken_by_the_next(raw: sqlite3.Connection, clock: FakeClock) -> None:
    first = taken(raw, clock)
    clock.advance(10.000001)
    assert leases.is_held(raw, first)  # nobody has taken it yet
    second = taken(raw, clock, ELSEWHERE)
    assert second.generation == 2
    assert not leases.is_held(raw, first)
    assert leases.is_held(raw, second)


def test_a_lease_that_was_taken_over_can_be_neither_renewed_nor_given_back(
    raw: sqlite3.Connection, clock: FakeClock
) -> None:
    first = taken(raw, clock)
    clock.advance(11)
    second = taken(raw, clock, ELSEWHERE)
    assert not leases.renew(raw, first, clock.now())
    assert not leases.release(raw, first, clock.now())
    assert leases.is_held(raw, second)


def test_renewing_keeps_others_out_beyond_the_ttl(raw: sqlite3.Connection, clock: FakeClock) -> None:
    lease = taken(raw, clock)
    for _ in range(5):
        clock.advance(9)
        assert leases.renew(raw, lease, clock.now())
        assert isinstance(acquire(raw, clock, ELSEWHERE), LeaseHolder)


def test_a_lease_that_ran_out_but_was_not_taken_can_still_be_renewed(
    raw: sqlite3.Connection, clock: FakeClock
) -> None:
    lease = taken(raw, clock)
    clock.advance(60)
    assert leases.renew(raw, lease, clock.now())
    assert isinstance(acquire(raw, clock, ELSEWHERE), LeaseHolder)


def test_a_released_lease_is_free_and_its_generation_grows(raw: sqlite3.Connection, clock: FakeClock) -> None:
    for generation in range(1, 5):
        lease = taken(raw, clock, ELSEWHERE)
        assert lease.generation == generation
        assert leases.release(raw, lease, clock.now())
        assert not leases.release(raw, lease, clock.now())
        assert not leases.renew(raw, lease, clock.now())
        assert not leases.is_held(raw, lease)


def test_the_owner_itself_is_kept_out_of_what_it_holds(raw: sqlite3.Connection, clock: FakeClock) -> None:
    taken(raw, clock)
    assert isinstance(acquire(raw, clock), LeaseHolder)


@given(st.lists(st.tuples(st.sampled_from(["acquire", "renew", "release", "wait"]), st.integers(0, 2))))
def test_at_most_one_lease_is_ours_whatever_happens(moves: list[tuple[str, int]]) -> None:
    raw, clock = database(), FakeClock()
    given_out: list[Lease] = []
    for move, number in moves:
        owner = ProcessIdentity(host=f"host{number}", pid=1, started="1")
        match move:
            case "acquire":
                if isinstance(found := acquire(raw, clock, owner), Lease):
                    given_out.append(found)
            case "renew" if number < len(given_out):
                leases.renew(raw, given_out[-1 - number], clock.now())
            case "release" if number < len(given_out):
                leases.release(raw, given_out[-1 - number], clock.now())
            case _:
                clock.advance(6)
        assert sum(leases.is_held(raw, lease) for lease in given_out) <= 1
    assert [lease.generation for lease in given_out] == list(range(1, len(given_out) + 1))
    raw.close()
