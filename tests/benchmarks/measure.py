"""Timing of whole commands and functions, interleaved, as medians and ratios.

Where the system counts it, also the CPU seconds of the whole machine meanwhile: servers, kernel and all. Two
that are limited by the CPU differ by what they spend; one that spends less and takes longer waits.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

T = TypeVar("T")
Timed = Callable[[], float]
CPU_COUNTS = Path("/proc/stat")


class Seconds(float):
    """How many seconds something took, where the CPU seconds are known.

    Attributes:
        cpu: the CPU seconds of the whole machine meanwhile, in steps of 0.01.
    """

    cpu: float

    def __new__(cls, seconds: float, cpu: float) -> Self:
        """Make a number that has CPU seconds."""
        made = super().__new__(cls, seconds)
        made.cpu = cpu
        return made


def stopwatch() -> Timed:
    """Return a function that says how long ago this was."""
    before, started = _cpu_seconds(), time.perf_counter()

    def read() -> float:
        took, after = time.perf_counter() - started, _cpu_seconds()
        return took if before is None or after is None else Seconds(took, after - before)

    return read


def timed(work: Callable[[], object]) -> float:
    """Do some work; return how long it took."""
    read = stopwatch()
    work()
    return read()


def _cpu_seconds() -> float | None:
    """Return the CPU seconds of all processes and of the kernel since the machine started."""
    if not CPU_COUNTS.exists():
        return None
    user, nice, system, _idle, _waiting, hard, soft = map(int, CPU_COUNTS.read_text().split()[1:8])
    return (user + nice + system + hard + soft) / os.sysconf("SC_CLK_TCK")


def median(times: Sequence[float]) -> float:
    """Return the median; of times with CPU seconds, with the median of those."""
    middle = statistics.median(times)
    cpu = [one.cpu for one in times if isinstance(one, Seconds)]
    return Seconds(middle, statistics.median(cpu)) if cpu else middle


class Row(NamedTuple):
    """One line of the table: what was measured against what (median of seconds, or megabytes), the target.

    Attributes:
        seconds: of the whole command, where it is one.
        step_seconds: of its step alone, without the start and the end of the command; None: not measured.
    """

    what: str
    against: str
    seconds: float
    floor_seconds: float
    target: str
    unit: str = "s"
    step_seconds: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the floor; for rates, the floor's time over ours is the share reached."""
        return self.seconds / self.floor_seconds


def command(arguments: Sequence[str], env: dict[str, str]) -> Timed:
    """Return a function that runs a command and says how long it took, in seconds."""
    quiet = subprocess.DEVNULL
    return lambda: timed(lambda: subprocess.run(arguments, check=True, env=env, stdout=quiet, stderr=quiet))


def removing(work: Callable[[], T], *made: Path) -> Callable[[], T]:
    """Return a function that does the work and removes what it made, which is not measured."""

    def run() -> T:
        result = work()
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        return result

    return run


def interleaved(ours: Timed, floor: Timed, rounds: int) -> tuple[float, float]:
    """Run both in turn, after one round that does not count; return the medians."""
    ours(), floor()
    pairs = [(ours(), floor()) for _ in range(rounds)]
    return median([a for a, _ in pairs]), median([b for _, b in pairs])


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, with the ratio both ways: multiples of the time, share of the rate.

    After them: the time of the step alone, and its share of the rate; the CPU seconds, ours and the floor's.
    """
    head = f"{'what':<44} {'against':<40} {'ours':>9} {'floor':>9} {'x floor':>8} {'rate':>6}"
    cpu = f"cpu of {os.cpu_count()} cores"
    lines = [f"{head} {'step':>9} {'rate':>6} {cpu:>16}  target"]
    lines += [
        f"{row.what:<44} {row.against:<40} {row.seconds:>8.3f}{row.unit} {row.floor_seconds:>8.3f}{row.unit} "
        f"{row.ratio:>7.2f}x {1 / row.ratio:>5.2f}x {_step(row):>16} {_cpu(row):>16}  {row.target}"
        for row in rows
    ]
    return "\n".join(lines)


def _step(row: Row) -> str:
    if row.step_seconds is None:
        return ""
    return f"{row.step_seconds:>8.3f}{row.unit} {row.floor_seconds / row.step_seconds:>5.2f}x"


def _cpu(row: Row) -> str:
    ours, theirs = row.seconds, row.floor_seconds
    if not isinstance(ours, Seconds) or not isinstance(theirs, Seconds):
        return ""
    return f"{ours.cpu:.2f}/{theirs.cpu:.2f} s"
