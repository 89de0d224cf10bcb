"""Run work of steps that continues after them until the run ends; report what became of left processes."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import anyio.abc

from aetherflow.process.guardian import Ended, EndedProcess, Leftover
from aetherflow.sdk.services import BackgroundWork

MOST_LINES = 20
"""How many left processes are reported one by one."""


class BackgroundTasks:
    """Runs the background work of the steps of one run."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._work: list[BackgroundWork] = []

    def start(self, work: BackgroundWork) -> None:
        """Run work beside the run."""
        self._work.append(work)
        self._tasks.start_soon(work.run)

    async def aclose(self) -> None:
        """Let the work end; each has a deadline of its own."""
        for work in self._work:
            await work.stop()


class Report(NamedTuple):
    """A line for the log of the run."""

    level: Literal["info", "warning"]
    message: str
    code: str = ""


Whole = Literal["run", "attempt"]
"""With what processes end that programs left: in the engine with the run, on a worker with their attempt."""


def reports_of(ended: Ended, whole: Whole = "run") -> Iterator[Report]:
    """Yield what became of the processes that the programs of a run, or of one attempt, left."""
    for pid in ended.survivors:
        yield Report("warning", f"process {pid} of the {whole} could not be ended", "AF708")
    yield from _limited(_ended(one, whole) for one in ended.ended)
    yield from _limited(_left(one) for one in ended.left)


def _limited(reports: Iterable[Report]) -> Iterator[Report]:
    number = 0
    for number, report in enumerate(reports, start=1):
        if number <= MOST_LINES:
            yield report
    if number > MOST_LINES:
        yield Report("info", f"and {number - MOST_LINES} more processes")


def _ended(process: EndedProcess, whole: Whole) -> Report:
    """Return the report: a warning if no step has reported the process before."""
    match process.number:
        case None:
            how = "has ended by itself"
        case signal.SIGKILL:
            how = f"was killed with the {whole} (SIGKILL): it did not end after SIGTERM"
        case _:
            how = f"was ended with the {whole} (SIGTERM)"
    of = f"of {process.step}" if process.step else "that a step left"
    level: Literal["info", "warning"] = "info" if process.step else "warning"
    return Report(level, f"the background process {process.pid} ({process.name}) {of} {how}")


def _left(one: Leftover) -> Report:
    return Report("info", f"the process {one.process.pid} ({one.process.name}) of {one.step} is left running")
