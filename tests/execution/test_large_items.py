"""Items and gathered outputs of a large `for_each` are files; the run and a resumed one see them whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from aetherflow.engine.machine import RunMachine
from aetherflow.engine.ready_queue import mapped_instance
from aetherflow.engine.state import RunState, apply
from aetherflow.engine.template_scope import item_of, job_scope
from aetherflow.errors import StateError
from aetherflow.events import run_events as e
from aetherflow.events.run_events import StoredItems
from aetherflow.execution.output_files import LARGE_BYTES, OutputFiles
from tests.engine.scripted_machine import RUN_ID, START, TickingClock, plan_of_jobs

ITEMS = [f"{number:06}" + "x" * 100 for number in range(4000)]


def machine_of(folder: Path, items: list[str]) -> tuple[RunMachine, e.JobStarted]:
    """Return a machine that has begun a mapped job over these items, and its first event."""
    plan = plan_of_jobs({"id": "fan", "for_each": items, "max_parallel": 1})
    state = RunState()
    apply(state, e.RunStarted(at=START, flow_id="f", run_id=RUN_ID, flow_file="f", owner="me"))
    machine = RunMachine(plan, state, env={}, clock=TickingClock(), limit=1, large=OutputFiles(folder))
    events = machine.react(()).events
    assert isinstance(events[0], e.JobStarted)
    return machine, events[0]


@pytest.mark.asyncio
async def test_many_items_are_stored_as_a_file_that_a_resumed_run_reads(tmp_path: Path) -> None:
    machine, begun = machine_of(tmp_path, ITEMS)
    assert isinstance(begun.items, StoredItems)
    assert begun.items.count == len(begun.items) == 4000
    assert not (tmp_path / begun.items.file).exists(), "the machine does no work"
    assert machine.large is not None

    await machine.large.write()
    resumed = OutputFiles(tmp_path)
    await resumed.load(machine.state)

    for large in (machine.large, resumed):
        scope = job_scope(
            machine.names, machine.state, mapped_instance(machine.plan.jobs[0], 0), large.resolve
        )
        assert (scope["item"], scope["item_index"]) == (ITEMS[0], 0)
        assert large.resolve({"all": begun.items}) == {"all": ITEMS}


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [1000, 4000], ids=["in the event", "in a file"])
async def test_an_instance_looks_at_its_own_item_only(tmp_path: Path, count: int) -> None:
    """Else the instances of a large `for_each` would cost as many looks as the square of their number."""
    machine, begun = machine_of(tmp_path, ITEMS[:count])
    assert isinstance(begun.items, StoredItems) is (count == 4000)
    large = machine.large
    assert large is not None
    large.defer({"other": "x" * (LARGE_BYTES + 1)})  # the run has large values: some outputs are references
    calls = 0

    def count_call(_frame: FrameType, kind: str, _argument: Any) -> None:
        nonlocal calls
        calls += kind in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        found = item_of(machine.state, mapped_instance(machine.plan.jobs[0], count - 1), large.resolve)
    finally:
        sys.setprofile(None)
    assert found == ITEMS[count - 1]
    assert calls < 100


@pytest.mark.asyncio
async def test_few_items_stay_in_the_event(tmp_path: Path) -> None:
    machine, begun = machine_of(tmp_path, ITEMS[:10])
    assert begun.items == ITEMS[:10]
    assert machine.large is not None
    await machine.large.write()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a Path would be taken for blocking I/O


@pytest.mark.asyncio
async def test_a_gathered_list_of_large_values_is_seen_whole_by_a_resumed_run(tmp_path: Path) -> None:
    first = OutputFiles(tmp_path)
    each = [await first.set_aside({"o": letter * (LARGE_BYTES + 1)}) for letter in "ab"]
    gathered: list[Any] = [each[0]["o"], each[1]["o"], *range(100_000)]
    kept = first.defer({"o": gathered, "n": 3})
    assert kept["o"].keys() == {"$file", "bytes"}
    assert kept["n"] == 3
    await first.write()

    resumed = OutputFiles(tmp_path)
    state = RunState()
    apply(state, e.RunStarted(at=START, flow_id="f", run_id=RUN_ID, flow_file="f", owner="me"))
    apply(
        state,
        e.JobFinished(at=START, flow_id="f", run_id=RUN_ID, job_id="fan", status="FAILED", outputs=kept),
    )
    await resumed.load(state)

    values = [letter * (LARGE_BYTES + 1) for letter in "ab"]
    for large in (first, resumed):
        assert large.resolve(kept) == {"o": [*values, *range(100_000)], "n": 3}


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_written_stops_the_run_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    large = OutputFiles(tmp_path)
    large.defer({"o": "x" * (LARGE_BYTES + 1)})
    with pytest.raises(StateError) as caught:
        await large.write()
    assert caught.value.code == "AF608"
    assert str(tmp_path / "outputs") in caught.value.message
