"""10,000 schedule items: how long a server needs to start, to find the next tick, and what it costs idle.

    python tests/benchmarks/many_items.py [ITEMS]

Targets: start below 2 s, the next tick below 1 ms, idle below 0.5 % of a core. Start is from the file's text
to the heap, with the items in the database, in CPU seconds; `floor` is the same YAML as plain data.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import anyio

from aetherflow.clock import SystemClock
from aetherflow.events.schedule_events import ScheduleEvent
from aetherflow.schedule.item import Item
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.server.schedule_files import load_schedule
from aetherflow.spec.document import read_document
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing

ROUNDS = 5
IDLE_SECONDS = 5.0


class NoRuns:
    """Takes no run: nothing is due while it is measured."""

    async def submit(self, item: Item, firing: Firing, on_end: Any, *, is_recovery: bool) -> None:
        """Refuse to be called."""
        raise AssertionError(item, firing, on_end, is_recovery)

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Refuse to be called."""
        raise AssertionError(run_id, reason)


def write(folder: Path, items: int) -> Path:
    """Write a scheduler file; each item fires once a day at a minute of its own, in one of three zones."""
    (folder / "flow.yaml").write_text("version: 1\n")
    zones = ("Europe/Berlin", "America/New_York", "UTC")
    lines = [
        f"- {{id: i{n}, cron: '{n % 60} {n // 60 % 24} {n % 28 + 1} * *', timezone: {zones[n % 3]}, "
        "flow_yaml: flow.yaml}"
        for n in range(items)
    ]
    path = folder / "scheduler.yaml"
    path.write_text("version: 1\nid: many\nitems:\n" + "\n".join(lines) + "\n")
    return path


async def started(path: Path, state: Path) -> tuple[float, float, float, float]:
    """Return the seconds of the whole start, of the file, of one next tick, and the idle share of a core."""
    database = await Database.open(state)
    reported: list[ScheduleEvent] = []
    begin = time.process_time()
    schedule = load_schedule(path)
    loaded = time.process_time()
    scheduler = Scheduler(database, "server:bench", SystemClock(), NoRuns(), reported.append)
    await scheduler.put(schedule)
    whole = time.process_time() - begin
    ticks: list[float] = []
    for item in list(schedule.items.values())[:1000]:
        at = time.perf_counter()
        scheduler.timetable.due_queue.put(item, SystemClock().now())
        scheduler.timetable.due_queue.next_due()
        ticks.append(time.perf_counter() - at)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run)
        await anyio.sleep(1)
        before, at = _cpu(), time.perf_counter()
        await anyio.sleep(IDLE_SECONDS)
        idle = (_cpu() - before) / (time.perf_counter() - at)
        tasks.cancel_scope.cancel()
    await database.aclose()
    return whole, loaded - begin, median(ticks), idle


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(items: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name), items)
        starts, floors, files, nexts, idles = [], [], [], [], []
        for number in range(ROUNDS):
            at = time.process_time()
            read_document(path)
            floors.append(time.process_time() - at)
            whole, of_file, tick, idle = anyio.run(started, path, Path(name) / f"{number}.sqlite")
            starts.append(whole)
            files.append(of_file)
            nexts.append(tick)
            idles.append(idle)
    start, floor = median(starts), median(floors)
    print(f"{items} items, median of {ROUNDS}")  # noqa: T201 - a benchmark prints
    described = f"file {median(files):.2f} s; floor {floor:.2f} s, {start / floor:.1f}x"
    print(f"  start      {start:.2f} s ({described})")  # noqa: T201
    print(f"  next tick  {median(nexts) * 1e6:.0f} us")  # noqa: T201
    print(f"  idle       {median(idles) * 100:.2f} % of a core")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
