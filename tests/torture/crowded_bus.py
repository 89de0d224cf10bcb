"""A bus over a real journal, with a healthy, a slow, a raising and a hung observer; prints what became of it.

Arguments: the database, how many events. It is a process of its own, so that its memory can be measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import anyio

from aetherflow.clock import SystemClock
from aetherflow.events import run_events as e
from aetherflow.execution.bus import Bus
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run

RUN = "crowded"
BATCH = 100
CAPACITY = 1000


class Watching:
    """An observer that counts what it gets and what the bus reports as lost to it; it may raise, or hang.

    `notices` are those of the bus that report no loss: that another observer was detached.
    """

    def __init__(self, *, seconds: float = 0, raises_at: int = 0) -> None:
        self.seconds = seconds
        self.raises_at = raises_at
        self.batches = self.taken = self.reported = self.notices = 0
        self.in_order = True
        self.last = -1

    async def __call__(self, events: Sequence[e.Event]) -> None:
        self.batches += 1
        if self.batches == self.raises_at:
            raise OSError("the disk of the log is full")
        for event in events:
            if isinstance(event, e.Notice):
                words = event.message.split()
                if words[-1] == "events":
                    self.reported += int(words[-2])
                else:
                    self.notices += 1
            elif isinstance(event, e.StepFinished):
                number = int(event.outputs["n"])
                self.in_order = self.in_order and number > self.last
                self.last = number
                self.taken += 1
        await anyio.sleep(self.seconds)

    async def aclose(self) -> None:
        """Have nothing to do."""


def event(number: int) -> e.StepFinished:
    """Return one of few steps' ends: the state stays small, the history grows."""
    return e.StepFinished(
        at=SystemClock().now(),
        flow_id="f",
        run_id=RUN,
        job_id=f"j{number % 10}",
        step_id=f"s{number % 3}",
        step_type="t",
        status="SUCCESS",
        outputs={"n": number, "text": "x" * 200},
    )


def peak_bytes() -> int:
    """Return the most memory that this program has had; getrusage counts that of its parent, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def main(path: Path, count: int) -> None:
    """Publish so many events past the observers, and print the counts."""
    clock = SystemClock()
    watching = {
        "healthy": Watching(),
        "slow": Watching(seconds=0.5),
        "raising": Watching(raises_at=3),
        "hung": Watching(seconds=1e9),
    }
    database = await Database.open(path)
    claim = await claim_run(database, RUN, this_process(), clock)
    bus = Bus(Journal(database).of_run(claim.lease, claim.next_seq), clock)
    async with anyio.create_task_group() as tasks:
        for name, observer in watching.items():
            full: Literal["wait", "drop"] = "wait" if name == "healthy" else "drop"
            bus.subscribe(tasks, name, observer, when_full=full, capacity=CAPACITY)
        for number in range(BATCH):  # warm: what is imported and cached late is no growth
            await bus.publish([event(number)])
        before = peak_bytes()
        for first in range(BATCH, count, BATCH):
            await bus.publish([event(number) for number in range(first, first + BATCH)])
        await bus.aclose()
    grown = peak_bytes() - before
    (stored,) = await database.read(
        lambda raw: raw.execute("SELECT count(*) FROM events WHERE run_id = ?", (RUN,)).fetchone()
    )
    await database.aclose()
    observers = {name: {**vars(observer)} for name, observer in watching.items()}
    report = {"stored": stored, "grown": grown, "dropped": bus.dropped, "detached": bus.detached}
    sys.stdout.write(json.dumps(report | {"observers": observers}) + "\n")


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
