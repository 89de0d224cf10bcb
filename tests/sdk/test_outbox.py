"""An outbox: batches, a bounded queue, receivers that refuse, raise or never answer, and a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from aetherflow import Outbox

Note = Callable[[str], None]


class Receiver:
    """Takes batches; `gate` lets it wait, and `answers` says what it returns, one after the other."""

    def __init__(self, *answers: bool | Exception | None) -> None:
        self.answers = list(answers)
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, batch: Sequence[int], note: Note) -> bool:
        self.entered.set()
        self.gate.wait(20)
        answer = self.answers.pop(0) if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer is None:  # two tries that fail
            note("no route")
            note("no route")
            return False
        if answer:
            self.batches.append(list(batch))
        return answer


def soon() -> float:
    """Return a deadline that nobody needs."""
    return time.monotonic() + 20


def test_what_is_given_arrives_in_order_and_in_batches() -> None:
    receiver, stopped = Receiver(), threading.Event()
    outbox = Outbox[int](receiver, place="there", stop=stopped.set, size=4, delay_seconds=60)

    for number in range(10):
        outbox.put([number])
    outbox.finish(soon())

    assert [one for batch in receiver.batches for one in batch] == list(range(10))
    assert max(map(len, receiver.batches)) <= 4
    assert (outbox.lost, outbox.reason) == (0, "")
    assert stopped.is_set()


def test_a_few_are_sent_after_the_delay() -> None:
    receiver = Receiver()
    outbox = Outbox[int](receiver, place="there", size=100, delay_seconds=0.01)

    outbox.put([1, 2])

    assert receiver.entered.wait(20)
    outbox.finish(soon())
    assert receiver.batches == [[1, 2]]


def test_more_than_may_wait_are_lost_and_counted() -> None:
    receiver = Receiver()
    receiver.gate.clear()
    outbox = Outbox[int](receiver, place="there", size=1, most_waiting=3)
    outbox.put([0])
    assert receiver.entered.wait(20)

    outbox.put([1, 2])
    outbox.put([3, 4, 5])
    receiver.gate.set()
    outbox.finish(soon())

    assert receiver.batches == [[0], [1], [2], [3]]
    assert (outbox.lost, outbox.reason) == (2, "the receiver is too slow")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [((False,), "it was refused"), ((ValueError("odd"),), "ValueError: odd"), ((None,), "no route")],
)
def test_a_batch_that_does_not_arrive_is_lost_and_the_next_is_sent(
    answers: tuple[bool | Exception | None, ...], reason: str
) -> None:
    receiver = Receiver(*answers)
    outbox = Outbox[int](receiver, place="there", size=2)

    outbox.put([1, 2, 3, 4])
    while receiver.batches != [[3, 4]]:
        time.sleep(0.01)
    outbox.finish(soon())

    assert (outbox.lost, outbox.reason) == (2, reason)


def test_the_deadline_ends_a_receiver_that_never_answers() -> None:
    receiver, stopped = Receiver(), threading.Event()
    receiver.gate.clear()
    outbox = Outbox[int](receiver, place="there", size=2, stop=stopped.set)
    outbox.put([1, 2, 3])
    assert receiver.entered.wait(20)
    began = time.monotonic()

    outbox.finish(began + 0.2)

    assert time.monotonic() - began < 10
    assert stopped.is_set()
    assert (outbox.lost, outbox.reason) == (3, "it did not answer in time")
    receiver.gate.set()
