"""Measure how time and memory grow with the jobs of a flow, and draw it for the manual.

    python tests/benchmarks/cost_by_size.py [--rounds 3]

Each size is a run of its own, from YAML text to exit, once in every round. The line is the one from which the
sizes differ least, each by its share: a tenth more counts as much with 100 jobs as with 100,000. The picture
is written, and the table on the manual's page between its marks.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from against_rivals import own_cost
from chart import Panel, picture
from history import described, this_run
from measure import Median, in_turn

MANUAL = Path(__file__).parents[2] / "aetherflow" / "manual"
SIZES = (1, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
MARKS = re.compile(r"(?<=<!-- measured: cost by size -->\n).*?(?=<!-- end -->)", re.DOTALL)


class Line(NamedTuple):
    """A straight line: what a run costs, and what each job costs."""

    run: float
    job: float

    def at(self, jobs: float) -> float:
        """Return what so many jobs cost."""
        return self.run + self.job * jobs


class Measured(NamedTuple):
    """What a size cost: the medians."""

    jobs: int
    seconds: float
    megabytes: float


def main() -> int:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), default=SIZES)
    parser.add_argument("--page", type=Path, default=MANUAL / "performance.md")
    parser.add_argument("--picture", type=Path, default=MANUAL / "cost-by-size.svg")
    arguments = parser.parse_args()
    page = arguments.page.read_text(encoding="utf-8")
    if not MARKS.search(page):
        sys.exit(f"{arguments.page} has no marks for the table")
    found = measured(arguments.sizes, arguments.rounds)
    text = f"{table(found)}\n\n{described(this_run([]), arguments.rounds)}"
    arguments.picture.write_text(drawn(found), encoding="utf-8")
    arguments.page.write_text(MARKS.sub(lambda _: f"\n{text}\n\n", page), encoding="utf-8")
    sys.stdout.write(f"{text}\n")
    return 0


def measured(sizes: Sequence[int], rounds: int) -> list[Measured]:
    """Return what each size costs."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [partial(own_cost, Path(folder), jobs) for jobs in sizes]
        runs[0]()  # compiles, and fills the caches of the system
        costs = in_turn(runs, rounds)
    return [
        Measured(jobs, Median([cost.seconds for cost in some]), Median([cost.megabytes for cost in some]))
        for jobs, some in zip(sizes, costs, strict=True)
    ]


def fitted(points: Sequence[tuple[int, float]]) -> Line:
    """Return the line from which the points differ least, each by its share (least squares)."""
    weights = [1 / value**2 for _, value in points]
    total = sum(weights)
    x = sum(weight * jobs for weight, (jobs, _) in zip(weights, points, strict=True)) / total
    y = sum(weight * value for weight, (_, value) in zip(weights, points, strict=True)) / total
    job = sum(w * (n - x) * (value - y) for w, (n, value) in zip(weights, points, strict=True)) / sum(
        w * (n - x) ** 2 for w, (n, _) in zip(weights, points, strict=True)
    )
    return Line(y - job * x, job)


def lines(found: Sequence[Measured]) -> tuple[Line, Line]:
    """Return the lines of the seconds and of the megabytes."""
    return fitted([(one.jobs, one.seconds) for one in found]), fitted(
        [(one.jobs, one.megabytes) for one in found]
    )


def table(found: Sequence[Measured]) -> str:
    """Return the figures as Markdown, with how far each is from its line."""
    time, memory = lines(found)
    rows = [
        "| jobs | time | from the line | time of each further job | memory | from the line |",
        "|---|---|---|---|---|---|",
    ]
    first = found[0]
    for one in found:
        further = 1000 * (one.seconds - first.seconds) / (one.jobs - first.jobs) if one is not first else None
        cells = (
            f"{one.jobs:,}",
            f"{one.seconds:.3g} s",
            f"{one.seconds / time.at(one.jobs) - 1:+z.0%}",
            "" if further is None else f"{further:.3f} ms",
            f"{one.megabytes:.0f} MB",
            f"{one.megabytes / memory.at(one.jobs) - 1:+z.0%}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def drawn(found: Sequence[Measured]) -> str:
    """Return the picture."""
    time, memory = lines(found)
    first = found[0]
    further = [
        (one.jobs, 1000 * (one.seconds - first.seconds) / (one.jobs - first.jobs)) for one in found[1:]
    ]
    words = "; ".join(
        f"{one.jobs:,} {'job' if one.jobs == 1 else 'jobs'}: {one.seconds:.3g} s, {one.megabytes:.0f} MB"
        for one in found
    )
    return picture(
        "Time and memory of flows by their number of jobs",
        words,
        [
            Panel(
                "Time (s), by jobs", f"{time.run:.2f} s + {1000 * time.job:.2f} ms a job",
                [(one.jobs, one.seconds) for one in found], time.at,
            ),
            Panel(
                "Most memory (MB), by jobs", f"{memory.run:.0f} MB + {1000 * memory.job:.1f} kB a job",
                [(one.jobs, one.megabytes) for one in found], memory.at,
            ),
            Panel(
                "Time of each job after the first (ms), by jobs", f"{1000 * time.job:.2f} ms",
                further, lambda _: 1000 * time.job, by_digits=True,
            ),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
