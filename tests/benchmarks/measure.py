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

from noise import MACHINE

T = TypeVar("T")
Timed = Callable[[], float]
CPU_COUNTS = Path("/proc/stat")


class Seconds(float):
    """How many seconds something took, where the CPU seconds are known.

    Attributes:
        cpu: the CPU seconds, of the whole machine meanwhile (in steps of 0.01) or of a process alone.
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


class Median(float):
    """The median of what several rounds measured.

    Attributes:
        rounds: what each of them measured, in order.
        cpu: the median of the CPU seconds, where they are known.
    """

    rounds: tuple[float, ...]
    cpu: float | None

    def __new__(cls, rounds: Sequence[float]) -> Self:
        """Return the median of at least one round."""
        made = super().__new__(cls, statistics.median(rounds))
        made.rounds = tuple(rounds)
        cpu = [one.cpu for one in rounds if isinstance(one, Seconds)]
        made.cpu = statistics.median(cpu) if cpu else None
        return made


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

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each round; none where the rounds are not known, or not those of both."""
        ours, floor = self.seconds, self.floor_seconds
        if not isinstance(ours, Median):
            return ()
        if not isinstance(floor, Median):
            return tuple(one / floor for one in ours.rounds)
        if len(ours.rounds) != len(floor.rounds):
            return ()
        return tuple(one / other for one, other in zip(ours.rounds, floor.rounds, strict=True))


class NotMeasured(NamedTuple):
    """A line of the table that has no figures, and why."""

    what: str
    against: str
    why: str


def environment() -> dict[str, str]:
    """Return the environment without the settings of the person who measures."""
    own = ("AETHERFLOW_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


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


def in_turn(works: Sequence[Callable[[], T]], rounds: int) -> list[list[T]]:
    """Do each work once in every round, and measure the machine's noise; return what each gave, in order."""
    given: list[list[T]] = [[] for _ in works]
    for _ in range(rounds):
        MACHINE.measure()
        for work, results in zip(works, given, strict=True):
            results.append(work())
    return given


def interleaved(ours: Timed, floor: Timed, rounds: int) -> tuple[Median, Median]:
    """Run both in turn, after one round that does not count; return the medians."""
    ours(), floor()
    our_times, floor_times = in_turn([ours, floor], rounds)
    return Median(our_times), Median(floor_times)
