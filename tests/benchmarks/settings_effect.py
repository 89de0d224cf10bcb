"""What a setting changes: a whole command with it, against the same command without.

The page about performance advises by these rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from against_rivals import AETHERFLOW, cost
from flows import CHECK, flow
from measure import Row, Timed, interleaved

JOBS, STEPS = 3_000, 1_000


def settings_effect(folder: Path, rounds: int) -> Iterator[Row]:
    """Jobs and steps with other settings, and as items of a `for_each`, against the defaults."""
    jobs = _seconds(flow(folder, "wide", JOBS, 1, CHECK))
    steps = _seconds(flow(folder, "long", 1, STEPS, CHECK))
    many, one = f"{JOBS:,} jobs", f"a job of {STEPS:,} steps"
    normal_jobs = _seconds(flow(folder, "wide_normal", JOBS, 1, CHECK, synchronous="normal"))
    normal_steps = _seconds(flow(folder, "long_normal", 1, STEPS, CHECK, synchronous="normal"))
    serial = _seconds(flow(folder, "serial", JOBS, 1, CHECK, ", max_parallel_jobs: 1"))
    wider = _seconds(flow(folder, "wider", JOBS, 1, CHECK, ", max_parallel_jobs: 256"))
    items = _seconds(flow(folder, "items", 1, 1, CHECK, items=JOBS))
    errors = _seconds(folder / "wide.yaml", AETHERFLOW_LOG_LEVEL="error")
    cases = [
        (f"{many}, as items of a for_each", items, many, jobs),
        (f"{many}, log level error", errors, many, jobs),
        (f"{many}, max_parallel_jobs: 1", serial, many, jobs),
        (f"{many}, max_parallel_jobs: 256", wider, many, jobs),
        (f"{many}, synchronous: normal", normal_jobs, many, jobs),
        (f"{one}, synchronous: normal", normal_steps, one, steps),
    ]
    for what, ours, against, other in cases:
        yield Row(what, f"{against}, as it is", *interleaved(ours, other, rounds), "")


def _seconds(path: Path, **variables: str) -> Timed:
    command = [AETHERFLOW, "run", str(path)]
    run = partial(cost, command, path.parent, f"{path.stem}.sqlite", **variables)
    return lambda: run().seconds
