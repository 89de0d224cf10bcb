"""The rules of pools, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import StepError
from aetherflow.sdk.pools import PoolWait
from aetherflow.store import pools
from aetherflow.store.pools import SlotRequest
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.state_schema import VERSION_4
from tests.store.real_parts import ELSEWHERE, T0

TTL = 30.0
DEAD = ProcessIdentity(
    this_process().host, 2**22 + 1, "1"
)  # no process has a number above the kernel's highest


def tables() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(VERSION_4)
    return connection


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    connection = tables()
    pools.set_pool(connection, "p", 2, T0)
    yield connection
    connection.close()


def ask(
    raw: sqlite3.Connection,
    slots: int = 1,
    *,
    pool: str = "p",
    owner: ProcessIdentity | None = None,
    run_id: str = "r",
) -> int:
    wish = SlotRequest(pool, slots, run_id, f"holder in {run_id}", owner or this_process(), TTL)
    return pools.ask(raw, wish, T0)


def test_slots_are_granted_in_the_order_of_asking_as_far_as_they_go(raw: sqlite3.Connection) -> None:
    claims = [ask(raw) for _ in range(3)]
    assert pools.settle(raw, T0) == claims[:2]
    assert pools.settle(raw, T0) == []
    assert pools.release(raw, claims[0])
    assert pools.settle(raw, T0) == [claims[2]]
    assert not pools.release(raw, claims[0])


def test_who_needs_many_slots_is_not_passed_by_who_needs_few(raw: sqlite3.Connection) -> None:
    one, both, after = ask(raw), ask(raw, 2), ask(raw)
    assert pools.settle(raw, T0) == [one]
    assert pools.wait_of(raw, both, T0) == PoolWait("p", 2, 2, ("holder in r",), 0)
    assert pools.wait_of(raw, after, T0).ahead == 1
    pools.release(raw, one)
    assert pools.settle(raw, T0) == [both]
    pools.release(raw, both)
    assert pools.settle(raw, T0) == [after]


def test_pools_do_not_wait_for_each_other(raw: sqlite3.Connection) -> None:
    pools.set_pool(raw, "q", 1, T0)
    first, second = ask(raw, 2), ask(raw)
    other = ask(raw, pool="q")
    assert pools.settle(raw, T0) == [first, other]
    assert pools.survey(raw, T0).grants == []
    assert second not in pools.granted(raw, [first, other])


def test_a_dead_process_of_this_host_holds_nothing_and_waits_for_nothing(raw: sqlite3.Connection) -> None:
    held, waiting = ask(raw, 2, owner=DEAD), ask(raw, 2, owner=DEAD)
    mine = ask(raw)
    assert pools.survey(raw, T0).stale == [held, waiting]
    assert pools.settle(raw, T0) == [mine]
    assert pools.granted(raw, [held, waiting, mine]) == {mine: True}


def test_what_another_host_holds_ends_with_its_time(raw: sqlite3.Connection) -> None:
    far = ask(raw, 2, owner=ELSEWHERE)
    pools.settle(raw, T0)
    mine = ask(raw)
    pools.renew(raw, [far], T0 + timedelta(seconds=20), TTL)
    pools.renew(raw, [mine], T0 + timedelta(seconds=20), TTL)
    assert pools.settle(raw, T0 + timedelta(seconds=49)) == []
    pools.renew(raw, [mine], T0 + timedelta(seconds=49), TTL)
    assert pools.settle(raw, T0 + timedelta(seconds=51)) == [mine]


def test_the_hint_about_a_small_pool_names_the_database_that_has_it(tmp_path: Path) -> None:
    place = tmp_path / "state.sqlite"
    connection = sqlite3.connect(place)
    connection.executescript(VERSION_4)
    pools.set_pool(connection, "p", 2, T0)
    with pytest.raises(StepError) as too_many:
        ask(connection, 3)
    connection.close()
    assert f"which has 2 in {place}" in too_many.value.message
    assert too_many.value.hint.endswith(f"--state {place}")


def test_an_unknown_pool_and_more_slots_than_there_are_are_errors_that_say_what_to_do(
    raw: sqlite3.Connection,
) -> None:
    with pytest.raises(StepError, match="no pool 'warehose'") as unknown:
        ask(raw, pool="warehose")
    assert (unknown.value.code, "aetherflow pools set warehose" in unknown.value.hint) == ("AF640", True)
    with pytest.raises(StepError, match="wants 3 slots of the pool 'p', which has 2") as too_many:
        ask(raw, 3)
    assert too_many.value.code == "AF641"


def test_a_smaller_pool_takes_nothing_away_and_who_can_never_be_served_blocks_nobody(
    raw: sqlite3.Connection,
) -> None:
    held, vain, modest = ask(raw, 2), ask(raw, 2), ask(raw)
    pools.settle(raw, T0)
    pools.set_pool(raw, "p", 1, T0)
    assert pools.survey(raw, T0) == pools.Survey([], [], [vain])
    assert pools.granted(raw, [held]) == {held: True}
    pools.release(raw, held)
    assert pools.settle(raw, T0) == [modest]


def test_a_list_shows_size_holders_and_who_waits(raw: sqlite3.Connection) -> None:
    ask(raw, 2, run_id="r1"), ask(raw, run_id="r2")
    pools.set_pool(raw, "a", 7, T0)
    pools.settle(raw, T0)
    assert [(row.name, row.slots, row.used) for row in pools.list_pools(raw, T0)] == [
        ("a", 7, 0),
        ("p", 2, 2),
    ]
    row = pools.list_pools(raw, T0)[1]
    assert ([c.holder for c in row.held], [c.holder for c in row.waiting]) == (
        ["holder in r1"],
        ["holder in r2"],
    )
    assert pools.remove_pool(raw, "p")
    assert not pools.remove_pool(raw, "p")
    assert [(row.name, row.slots, row.used) for row in pools.list_pools(raw, T0)] == [
        ("a", 7, 0),
        ("p", 0, 2),
    ]


@given(
    size=st.integers(1, 5),
    moves=st.lists(st.one_of(st.integers(1, 5), st.sampled_from(["give back", "settle"])), max_size=40),
)
def test_whatever_happens_no_more_is_held_than_there_is_and_nobody_is_overtaken(
    size: int, moves: list[int | str]
) -> None:
    raw = tables()
    pools.set_pool(raw, "p", size, T0)
    wanted: dict[int, int] = {}
    held: list[int] = []
    order: list[int] = []
    for move in moves:
        match move:
            case int():
                if move <= size:
                    wanted[ask(raw, move)] = move
            case "give back" if held:
                pools.release(raw, held.pop(len(held) // 2))
            case _:
                granted = pools.settle(raw, T0)
                held += granted
                order += granted
        assert sum(wanted[claim] for claim in held) <= size
    while len(order) < len(wanted):
        while held:
            pools.release(raw, held.pop())
        held += pools.settle(raw, T0)
        assert held  # somebody is always served: nothing is stuck
        order += held
    assert order == sorted(wanted)
    raw.close()
