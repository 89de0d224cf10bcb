"""Many runs in one process, against processes of their own and against one run of the same steps.

As a script, `many_runs.py FLOW RUNS`: prints how long so many runs of a flow took beside each other (s), and
the longest that the event loop did not get a turn while they were read (s).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
from measure import Row, Timed, command, interleaved

RUNS = 200
SLOTS = 8
LARGE_FLOW = 5_000
Flow = Callable[[Path, str, int], Path]


def many_runs(folder: Path, flow: Flow, engine: Callable[[Path], Timed], rounds: int) -> Iterator[Row]:
    """200 runs of one step beside each other; the loop's longest pause while large flows are read."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AETHERFLOW_")}
    one = flow(folder, "hosted", 1)
    hosted = _hosted(one, RUNS, env)
    wide = engine(flow(folder, "as_one", RUNS))
    yield Row(
        f"{RUNS} runs of one step in one process",
        f"one run of {RUNS} such jobs",
        *interleaved(hosted, wide, rounds),
        "",
    )
    alone = command([str(Path(sys.executable).with_name("aetherflow")), "run", str(one)], env)
    yield Row(
        "one of these runs",
        "aetherflow run, a process of its own",
        *interleaved(lambda: hosted() / RUNS, alone, rounds),
        "",
    )
    large = flow(folder, "large", LARGE_FLOW)
    yield Row(
        f"longest pause of the loop, {LARGE_FLOW} jobs",
        "reading that flow",
        *interleaved(_hosted(large, 1, env, pause=True), _reading(large), rounds),
        "",
    )


def _hosted(flow: Path, runs: int, env: dict[str, str], *, pause: bool = False) -> Timed:
    def run() -> float:
        for stale in flow.parent.glob(f"{flow.stem}.sqlite*"):
            stale.unlink()
        words = [sys.executable, __file__, str(flow), str(runs)]
        done = subprocess.run(words, check=True, env=env, capture_output=True, text=True)
        seconds, longest = map(float, done.stdout.split())
        return longest if pause else seconds

    return run


def _reading(flow: Path) -> Timed:
    from aetherflow.runs.load_flow import load_checked_flow  # noqa: PLC0415 - the other rows do without

    def run() -> float:
        started = time.perf_counter()
        load_checked_flow(flow, os.environ).raise_if_invalid()
        return time.perf_counter() - started

    return run


def complain(problem: str) -> None:
    """Print what went wrong."""
    sys.stderr.write(problem)


async def main(flow: Path, runs: int) -> None:
    """Execute the runs and print the two figures; of the pauses, those until the first run has begun."""
    from aetherflow.runs.run_host import RunHost  # noqa: PLC0415 - measured is a process that has it
    from aetherflow.runs.run_pool import RunPool  # noqa: PLC0415 - as above
    from aetherflow.runs.run_ticket import RunTicket  # noqa: PLC0415 - as above

    longest = 0.0
    runner = RunPool(RunHost().execute, max_parallel_runs=SLOTS, on_problem=complain)

    async def watch() -> None:
        nonlocal longest
        while not any(run.status == "RUNNING" for run in runner.running()):
            before = time.perf_counter()
            await anyio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before - 0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        started = time.perf_counter()
        for number in range(runs):
            await runner.submit(RunTicket(run_id=f"r{number}", flow_file=flow))
        tasks.start_soon(watch)
        await runner.idle()
        seconds = time.perf_counter() - started
        await runner.drain(0)
        tasks.cancel_scope.cancel()
    sys.stdout.write(f"{seconds} {longest}\n")


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
