from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.runs.run_queue import RunQueue
from tests.runs.executions import ticket


def test_a_higher_priority_goes_first_and_of_equals_who_came_first() -> None:
    queue = RunQueue(10)
    for run_id, priority in [("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)]:
        queue.push(ticket(run_id, priority=priority))
    assert [waiting.run_id for waiting in queue.waiting()] == ["b", "d", "a", "c", "e"]
    assert [popped.run_id for _ in range(5) if (popped := queue.pop())] == ["b", "d", "a", "c", "e"]
    assert queue.pop() is None


def test_a_full_queue_and_a_run_that_waits_already_are_refused() -> None:
    queue = RunQueue(2)
    queue.push(ticket("a"))
    with pytest.raises(ValueError, match="a"):
        queue.push(ticket("a"))
    queue.push(ticket("b"))
    assert queue.is_full
    with pytest.raises(ValueError, match="c"):
        queue.push(ticket("c"))
    assert len(queue) == 2


def test_a_ticket_taken_out_of_turn_is_gone() -> None:
    queue = RunQueue(3)
    queue.push(ticket("a"))
    queue.push(ticket("b"))
    removed = queue.remove("a")
    assert removed is not None
    assert removed.run_id == "a"
    assert "a" not in queue
    assert queue.remove("a") is None
    popped = queue.pop()
    assert popped is not None
    assert popped.run_id == "b"


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), max_size=40))
def test_whatever_comes_and_goes_the_order_is_that_of_a_stable_sort(moves: list[tuple[int, bool]]) -> None:
    queue = RunQueue(100)
    expected: list[tuple[int, int]] = []
    for number, (priority, takes_one) in enumerate(moves):
        queue.push(ticket(str(number), priority=priority))
        expected.append((-priority, number))
        if takes_one:
            victim = expected.pop(len(expected) // 2)
            assert queue.remove(str(victim[1])) is not None
    assert [waiting.run_id for waiting in queue.waiting()] == [str(number) for _, number in sorted(expected)]
