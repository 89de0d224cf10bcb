"""How many jobs a machine starts ahead of their turn to work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from aetherflow.engine.ready_queue import QUICK_SECONDS
from tests.engine.scripted_machine import Session, failed, plan_of_jobs

JOBS = 40
LONG = QUICK_SECONDS


class Ahead(Session):
    """A session of a machine with two turns that may start six jobs ahead."""

    def __init__(self, steps: Sequence[dict[str, Any]] = ({},), **head: Any) -> None:
        jobs = [
            {
                "id": f"j{number}",
                "steps": [{"id": f"s{place}", "type": "t", **more} for place, more in enumerate(steps)],
            }
            for number in range(JOBS)
        ]
        super().__init__(plan_of_jobs(*jobs, **head), limit=2, most_ahead=6)

    def take(self, *seconds: float) -> int:
        """End the oldest jobs after so many seconds each; return how many have started and not ended."""
        oldest = self.running[: len(seconds)]
        ends = [self.report(job_id) for job_id in oldest]
        self.tell(
            *(msgspec.structs.replace(end, duration_seconds=s) for end, s in zip(ends, seconds, strict=True))
        )
        return len(self.running)


def test_each_job_that_ended_quickly_lets_another_start_ahead_up_to_the_most() -> None:
    session = Ahead()
    assert len(session.running) == 2
    assert [session.take(0) for _ in range(8)] == [3, 4, 5, 6, 7, 8, 8, 8]


def test_jobs_that_ended_together_count_each() -> None:
    assert Ahead().take(0, 0) == 4


def test_none_starts_ahead_once_a_job_took_its_time() -> None:
    session = Ahead()
    session.take(0, 0)
    session.take(0, 0)
    assert session.take(LONG) == 5
    assert [session.take(LONG) for _ in range(4)] == [4, 3, 2, 2]


def test_jobs_that_fail_quickly_count_too() -> None:
    session = Ahead()
    session._play = lambda *_: failed()
    assert session.take(0, 0) == 4


def test_only_the_end_of_the_last_step_counts() -> None:
    session = Ahead(({}, {}))
    assert (session.take(0, 0), session.take(0, 0)) == (2, 4)


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_no_job_starts_ahead_with_a_step_that_might_not_run_again(policy: str) -> None:
    session = Ahead(({}, {"on_interrupt": policy}))
    assert [session.take(0, 0) for _ in range(4)] == [2, 2, 2, 2]


def test_no_job_starts_ahead_in_a_flow_that_fails_fast() -> None:
    assert Ahead(fail_fast=True).take(0, 0) == 2


def test_a_flow_that_says_how_many_jobs_run_has_no_more_started() -> None:
    session = Session(Ahead().plan, limit=2)
    session.end("j0", "j1", "j2")
    assert session.running == ["j3", "j4"]
