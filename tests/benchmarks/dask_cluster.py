"""Steps on the workers of a Dask cluster against plain Dask doing the same, on loopback.

Both have a cluster of their own: a scheduler and two workers with eight threads each, which are idle while
the other is measured. What is not the work of a step (the start of the engine, the connection, the checks of
the workers) is left out where many empty steps are compared: 1,100 steps without 100.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from distributed import Client
from flows import CHECK, flow
from measure import Median, Row, Timed, in_turn, timed

from tests.dask.cluster import Cluster

WORKERS, THREADS = 2, 8
FEW, MANY = 100, 1_100
SLEEPS = int(os.environ.get("DASK_SLEEPS", "1000"))
"""Each sleeps a second: 1,000 of them take more than a minute, once for each side."""

_PLUGIN = '''\
import time

from aetherflow import StepContext, step


@step(name="pause_one_second")
def pause(context: StepContext, inputs: dict) -> dict:
    """Sleep a second."""
    time.sleep(1)
    return {}
'''


def dask_cluster(folder: Path, rounds: int, *, engine: Callable[..., Timed]) -> Iterator[Row]:
    """Empty steps and steps that sleep, against Dask's `submit` of functions that do the same."""
    plugin = folder / "pause.py"
    plugin.write_text(_PLUGIN)
    plugins = {"AETHERFLOW_PLUGIN_PATHS": str(plugin)}
    with ExitStack() as stack:
        ours = stack.enter_context(Cluster(folder / "ours", plugins))
        plain = stack.enter_context(Cluster(folder / "plain"))
        for number in range(WORKERS):
            ours.start_worker(f"w{number}", threads=THREADS)
            plain.start_worker(f"w{number}", threads=THREADS, plain=True)
        client = stack.enter_context(Client(plain.address))  # type: ignore[no-untyped-call]  # of Dask
        head = f", executor: {{dask: {{address: '{ours.address}'}}}}"

        def steps(count: int, step: str) -> Timed:
            return engine(flow(folder, f"on_workers_{count}", count, 1, step, head), variables=plugins)

        def tasks(count: int, seconds: int) -> Timed:
            def work() -> None:
                client.gather([client.submit(time.sleep, seconds, pure=False) for _ in range(count)])

            return lambda: timed(work)

        few, many, few_tasks, many_tasks = (
            steps(FEW, CHECK),
            steps(MANY, CHECK),
            tasks(FEW, 0),
            tasks(MANY, 0),
        )
        more = [lambda: many() - few(), lambda: many_tasks() - few_tasks()]
        in_turn(more, 1)
        mine, theirs = map(Median, in_turn(more, rounds))
        what = f"{MANY - FEW:,} more empty steps, {WORKERS} workers x {THREADS} threads"
        yield Row(what, "as many more tasks by Dask's submit", mine, theirs, "<= 2x")

        asleep = [steps(SLEEPS, "type: pause_one_second"), tasks(SLEEPS, 1)]
        mine, theirs = map(Median, in_turn(asleep, 1))
        what = f"{SLEEPS:,} steps that sleep 1 s, {WORKERS} workers x {THREADS} threads"
        yield Row(what, "as many tasks by Dask's submit", mine, theirs, "<= 1.15x")
