"""How much the machine itself varies while it is measured: the same work again and again.

A ratio is worth no more than this. The work is done once in each round, before what is compared.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

LOOPS = 100_000
"""Turns of a loop in Python; a few milliseconds."""
WRITES = 8
"""How often 4 kB are written and made durable."""


class Spread(NamedTuple):
    """How far measurements of the same thing lie from their median, as a share of it.

    Attributes:
        usual: the median of the distances: half of the measurements lie nearer.
        worst: the largest distance.
        rounds: how many measurements there are.
    """

    usual: float
    worst: float
    rounds: int

    def __str__(self) -> str:
        """Return both in percent, where they are known."""
        if self.rounds < 2:
            return "not known from one round" if self.rounds else "not measured"
        return f"{self.usual:.1%} (worst {self.worst:.0%})"


class Noise:
    """The measurements of a run of the benchmarks."""

    def __init__(self) -> None:
        self._cpu: list[float] = []
        self._disk: list[float] = []

    def measure(self) -> None:
        """Do the work once."""
        self._cpu.append(_spin())
        self._disk.append(_write())

    @property
    def cpu(self) -> Spread:
        """Of a loop in Python."""
        return spread(self._cpu)

    @property
    def disk(self) -> Spread:
        """Of small writes, each made durable, in the folder of temporary files."""
        return spread(self._disk)


MACHINE = Noise()
"""Filled by every round that is measured in this process."""


def spread(values: Sequence[float]) -> Spread:
    """Return how far values lie from their median."""
    if not values:
        return Spread(0.0, 0.0, 0)
    middle = statistics.median(values)
    distances = [abs(value - middle) / middle for value in values]
    return Spread(statistics.median(distances), max(distances), len(values))


def _spin() -> float:
    started = time.perf_counter()
    total = 0
    for number in range(LOOPS):
        total += number
    return time.perf_counter() - started


def _write() -> float:
    block = b"x" * 4096
    with tempfile.TemporaryFile(buffering=0) as file:
        started = time.perf_counter()
        for _ in range(WRITES):
            file.write(block)
            os.fsync(file.fileno())
        return time.perf_counter() - started
