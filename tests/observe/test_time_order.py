"""What many runs write stands in the order of its times, and nothing is lost at the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest

from aetherflow.events.run_events import Event, JobFinished, JobStarted, RunFinished, RunStarted, StepOutput
from aetherflow.observe import time_order
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.observe.sink import Sink
from aetherflow.observe.time_order import TimeOrder
from tests.polling import eventually

pytestmark = pytest.mark.asyncio
AT = datetime(2026, 1, 2, 22, 14, tzinfo=UTC)
HOLD = 0.2


def started(run: str, second: float) -> Event:
    """Return a stored event of a run."""
    return JobStarted(at=AT + timedelta(seconds=second), flow_id="f", run_id=run, job_id="a")


def ended(run: str, second: float) -> Event:
    """Return a later one."""
    at = AT + timedelta(seconds=second)
    return JobFinished(at=at, flow_id="f", run_id=run, job_id="a", status="SUCCESS")


def run_started(run: str, second: float) -> Event:
    """Return the beginning of a run."""
    at = AT + timedelta(seconds=second)
    return RunStarted(at=at, flow_id="f", run_id=run, flow_file="f.yaml", owner="me")


def run_finished(run: str, second: float) -> Event:
    """Return the end of a run."""
    at = AT + timedelta(seconds=second)
    return RunFinished(
        at=at, flow_id="f", run_id=run, status="SUCCESS", duration_seconds=1, jobs={}, steps={}
    )


def output(run: str, second: float) -> Event:
    """Return an event that is not stored."""
    at = AT + timedelta(seconds=second)
    return StepOutput(
        at=at, flow_id="f", run_id=run, job_id="a", step_id="s", step_type="t", stream="stdout", text="x"
    )


async def written_after(*batches: Sequence[Event], hold: float = HOLD) -> list[tuple[str, float]]:
    """Return the runs and times of what is written, each run by a function of its own."""
    seen: list[tuple[str, float]] = []
    order = TimeOrder(Sink(), hold)

    def writer(run: str) -> time_order.Write:
        def write(events: Sequence[Event]) -> None:
            assert {event.run_id for event in events} == {run}
            seen.extend((event.run_id, (event.at - AT).total_seconds()) for event in events)

        return write

    writers = {batch[0].run_id: writer(batch[0].run_id) for batch in batches}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        for batch in batches:
            await order.add(writers[batch[0].run_id], batch)
        assert not seen
        assert await eventually(lambda: len(seen) == sum(map(len, batches)))
        await order.aclose()
    return seen


async def test_what_comes_late_from_one_run_stands_before_later_events_of_others() -> None:
    seen = await written_after([started("b", 2), ended("b", 4)], [started("a", 1), ended("a", 3)])
    assert seen == [("a", 1), ("b", 2), ("a", 3), ("b", 4)]


async def test_stored_events_of_a_job_keep_their_order_when_the_clock_is_put_back() -> None:
    seen = await written_after([started("a", 10)], [ended("a", 5)], [started("b", 7)])
    assert seen == [("b", 7), ("a", 10), ("a", 5)]


async def test_a_run_begins_before_its_jobs_and_ends_after_them_when_the_clock_is_put_back() -> None:
    begun, over = run_started("a", 10), run_finished("a", 4)
    seen = await written_after([begun], [started("a", 5), ended("a", 6)], [over], [started("b", 7)])
    assert seen == [("b", 7), ("a", 10), ("a", 5), ("a", 6), ("a", 4)]


async def test_jobs_of_one_run_at_the_same_time_are_sorted_too() -> None:
    seen = await written_after([ended("a", 3)], [msgspec.structs.replace(ended("a", 2), job_id="other")])
    assert seen == [("a", 2), ("a", 3)]


async def test_a_line_of_output_does_not_hold_back_what_is_stored_after_it() -> None:
    """It is not stored, so it comes at once; what happened before it may still be on its way to the disk."""
    seen = await written_after([output("a", 3)], [started("a", 1), ended("a", 2)])
    assert seen == [("a", 1), ("a", 2), ("a", 3)]


async def test_the_end_writes_all_at_once_and_what_follows_as_it_comes() -> None:
    seen: list[Event] = []
    order = TimeOrder(Sink(), 3600)
    events = [started("b", 2), started("a", 1)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        for event in events:
            await order.add(seen.extend, [event])
        with anyio.fail_after(30):
            await order.aclose()
        assert seen == events[::-1]
        await order.add(seen.extend, events)
    assert seen == events[::-1] + events


async def test_a_cancellation_of_its_task_loses_nothing() -> None:
    seen: list[Event] = []
    order = TimeOrder(Sink(), 3600)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        await order.add(seen.extend, [started("a", 1)])
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(30):
            await order.aclose()
    assert len(seen) == 1


async def test_more_than_it_may_hold_is_written_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_order, "MOST_HELD", 10)
    seen: list[Event] = []
    order = TimeOrder(Sink(), 3600)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        with anyio.fail_after(30):
            for second in range(50):
                await order.add(seen.extend, [started("a", second)])
        assert len(seen) >= 40
        await order.aclose()
    assert seen == [started("a", second) for second in range(50)]


async def test_each_run_learns_that_the_output_is_lost() -> None:
    order = TimeOrder(Sink(), 0)

    def fail(_events: Sequence[Event]) -> None:
        raise OutputLostError("nobody reads the log any more")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        await order.add(fail, [started("a", 1)])
        assert await eventually(lambda: order.is_over)
        for run in ("b", "c"):
            with pytest.raises(OutputLostError, match="nobody reads"):
                await order.add(fail, [started(run, 1)])
        with pytest.raises(OutputLostError):
            await order.aclose()


async def test_a_server_that_is_never_idle_forgets_the_runs_that_it_has_written() -> None:
    seen: list[Event] = []
    order = TimeOrder(Sink(), 0.05)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(order.run)
        number, noted = 0, 0.0
        while len(seen) < 1000:  # each event long before all are written: some are held all the time
            number += 1
            await order.add(seen.extend, [run_started(f"r{number}", number), started(f"r{number}", number)])
            noted = max(noted, len(order._latest) / len(order._held))
            await anyio.sleep(0.0005)
        await order.aclose()
    assert [event.run_id for event in seen[::2]] == [f"r{one + 1}" for one in range(number)]
    assert noted <= 4
