"""Timing of whole commands and functions, interleaved, as medians and ratios."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Timed = Callable[[], float]


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

    def run() -> float:
        started = time.perf_counter()
        subprocess.run(arguments, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started

    return run


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
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, with the ratio both ways: multiples of the time, share of the rate.

    The last two numbers are the time of the step alone, and its share of the rate.
    """
    head = f"{'what':<44} {'against':<40} {'ours':>9} {'floor':>9} {'x floor':>8} {'rate':>6}"
    lines = [f"{head} {'step':>9} {'rate':>6}  target"]
    lines += [
        f"{row.what:<44} {row.against:<40} {row.seconds:>8.3f}{row.unit} {row.floor_seconds:>8.3f}{row.unit} "
        f"{row.ratio:>7.2f}x {1 / row.ratio:>5.2f}x {_step(row):>16}  {row.target}"
        for row in rows
    ]
    return "\n".join(lines)


def _step(row: Row) -> str:
    if row.step_seconds is None:
        return ""
    return f"{row.step_seconds:>8.3f}{row.unit} {row.floor_seconds / row.step_seconds:>5.2f}x"
