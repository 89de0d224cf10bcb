"""Measure AetherFlow and print a table of ratios (`just bench`).

Every row has its own floor, measured in turn with it, so that a slow or busy machine slows both. Nothing is
asserted here: a target that is missed is a fact to explain, not a red test.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from db_extract import db_extract
from db_load import db_load
from event_lines import event_lines
from excel_fills import excel_fills
from floors import ROWS_PER_JOB, grouped_rows, one_row_commits
from many_runs import many_runs
from masking import masking
from measure import Row, Timed, command, interleaved, table
from schedule_ticks import schedule_ticks
from sftp_transfers import sftp_transfers
from smb_files import smb_files
from transfer_memory import transfer_memory

PYTHON = sys.executable
AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
IMPORTS = "import anyio._backends._asyncio, msgspec, aiosqlite, yaml"
PARALLEL = 8


def main() -> None:
    """Run the groups of benchmarks that were asked for, all by default."""
    groups = {
        "start": start_up,
        "durable": durable_steps,
        "fans": fans,
        "processes": processes,
        "schedule": schedule_ticks,
        "runs": runs,
        "masking": masking,
        "events": event_lines,
        "sftp": sftp_transfers,
        "smb": smb_files,
        "load": db_load,
        "memory": transfer_memory,
        "db": db_extract,
        "excel": excel_fills,
    }
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("group", nargs="*", choices=[*groups, []], help="which groups to run")
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is measured")
    arguments = parser.parse_args()
    for package in ("aetherflow", "plugins"):  # as an installed wheel has it
        compileall.compile_dir(Path(__file__).parents[2] / package, quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        rows: list[Row] = []
        for name in arguments.group or groups:
            for row in groups[name](Path(folder), arguments.rounds):
                rows.append(row)
                sys.stderr.write(f"{row.what}: {row.ratio:.2f}x\n")
    sys.stdout.write(table(rows) + "\n")


def flow(
    folder: Path, name: str, jobs: int, steps: int, step: str, head: str = "", *, items: int = 0
) -> Path:
    """Write a flow of so many jobs of so many equal steps, with a state database of its own.

    With `items`, each job is a `for_each` over so many.
    """
    state, work = folder / f"{name}.sqlite", folder / "work"
    keys = f"id: {name}, state: {{path: {state}}}, workspace: {{root: {work}}}{head}"
    lines = ["version: 1", f"flow: {{{keys}}}", "jobs:"]
    for job in range(jobs):
        lines += [f"  - id: j{job}"]
        lines += [f"    for_each: {list(range(items))}"] if items else []
        lines += ["    steps:"]
        lines += [f"      - {{id: s{number}, {step}}}" for number in range(steps)]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


CHECK = "type: check_items, inputs: {items: [x]}"
TRUE = "type: external.process, inputs: {command: /bin/true}"


def environment() -> dict[str, str]:
    """Return the environment without the settings of the person who measures."""
    own = ("AETHERFLOW_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def start_up(folder: Path, rounds: int) -> Iterator[Row]:
    """Cold start of the commands against bare Python and against the imports they cannot do without."""
    env = environment()
    one = str(flow(folder, "one", 1, 1, CHECK))
    nothing = [PYTHON, "-c", "pass"]
    cases = [
        ("aetherflow --version", [AETHERFLOW, "--version"], nothing, "python -c pass", "<= 2x"),
        ("aetherflow --help", [AETHERFLOW, "--help"], [PYTHON, "-c", "import typer"],
         "python, import typer", "<= 1.3x"),
        ("aetherflow --help", [AETHERFLOW, "--help"], nothing, "python -c pass", ""),
        ("aetherflow validate, one step", [AETHERFLOW, "validate", one], nothing, "python -c pass", ""),
        ("aetherflow run, one durable step", [AETHERFLOW, "run", one], nothing, "python -c pass", ""),
        ("aetherflow run, one durable step", [AETHERFLOW, "run", one], [PYTHON, "-c", IMPORTS],
         "python, the engine's imports", "<= 1.5x"),
    ]  # fmt: skip
    for what, ours, floor, against, target in cases:
        medians = interleaved(command(ours, env), command(floor, env), 2 * rounds)
        yield Row(what, against, *medians, target)


def engine(path: Path, *, memory: bool = False) -> Timed:
    """Return a function that runs a flow again, in a process of its own, and says how long the engine took.

    With `memory` it says how much memory (MB) that process had at most.
    """

    def run() -> float:
        for stale in path.parent.glob(f"{path.stem}.sqlite*"):
            stale.unlink()
        script = Path(__file__).with_name("engine_only.py")
        done = subprocess.run(
            [PYTHON, str(script), str(path)], check=True, env=environment(), capture_output=True, text=True
        )
        seconds, peak = map(float, done.stdout.split())
        return peak if memory else seconds

    return run


def durable_steps(folder: Path, rounds: int) -> Iterator[Row]:
    """Steps with durable state against plain SQLite: as many commits, and as many rows in groups of 100."""
    database = folder / "floor.sqlite"
    cases: list[tuple[str, int, int, str, Callable[[int], Timed], str]] = [
        ("1 job x 1,000 steps, each waits for its commit", 1, 1000, "1,000 one-row commits at FULL",
         lambda n: lambda: one_row_commits(database, n), "rate >= 0.8x"),
        ("1,000 jobs x 1 step", 1000, 1, "1,000 one-row commits at FULL",
         lambda n: lambda: one_row_commits(database, n), ""),
        ("1,000 jobs x 1 step", 1000, 1, "the same rows, 100 to a commit",
         lambda n: lambda: grouped_rows(database, n * ROWS_PER_JOB), ""),
        ("10,000 jobs x 1 step", 10_000, 1, "10,000 one-row commits at FULL",
         lambda n: lambda: one_row_commits(database, n), ""),
        ("10,000 jobs x 1 step", 10_000, 1, "the same rows, 100 to a commit",
         lambda n: lambda: grouped_rows(database, n * ROWS_PER_JOB), "rate >= 0.12x"),
    ]  # fmt: skip
    for what, jobs, steps, against, floor, target in cases:
        path = flow(folder, f"durable_{jobs}_{steps}", jobs, steps, CHECK)
        medians = interleaved(engine(path), floor(jobs * steps), rounds)
        yield Row(what, against, *medians, target)


FEW_ITEMS, MANY_ITEMS = 1_000, 10_000


def fans(folder: Path, rounds: int) -> Iterator[Row]:
    """An instance of a `for_each` against a job of its own, and how the memory grows with the items."""
    few = flow(folder, "few_items", 1, 1, CHECK, items=FEW_ITEMS)
    many = flow(folder, "many_items", 1, 1, CHECK, items=MANY_ITEMS)
    jobs = flow(folder, "many_jobs", MANY_ITEMS, 1, CHECK)
    medians = interleaved(engine(many), engine(jobs), rounds)
    yield Row(f"for_each over {MANY_ITEMS:,} items", f"{MANY_ITEMS:,} jobs x 1 step", *medians, "<= 1.5x")
    peaks = interleaved(engine(many, memory=True), engine(few, memory=True), rounds)
    item = (peaks[0] - peaks[1]) * 1000 / (MANY_ITEMS - FEW_ITEMS)
    what = f"memory of {MANY_ITEMS:,} items ({item:.1f} kB an item)"
    yield Row(what, f"of {FEW_ITEMS:,} items", *peaks, "<= 2x", "MB")


def runs(folder: Path, rounds: int) -> Iterator[Row]:
    """Many runs in one process."""
    return many_runs(folder, lambda where, name, jobs: flow(where, name, jobs, 1, CHECK), engine, rounds)


def processes(folder: Path, rounds: int) -> Iterator[Row]:
    """Time per process between 40 and 200 runs of /bin/true, eight at a time, against xargs -P8."""
    few = engine(flow(folder, "few", 40, 1, TRUE, f", max_parallel_jobs: {PARALLEL}"))
    many = engine(flow(folder, "many", 200, 1, TRUE, f", max_parallel_jobs: {PARALLEL}"))

    def ours() -> float:
        return many() - few()

    def floor() -> float:
        return xargs(200) - xargs(40)

    medians = interleaved(ours, floor, rounds)
    yield Row("160 more /bin/true as steps, 8 at a time", "160 more by xargs -P8", *medians, "<= 1.25x")


def xargs(count: int) -> float:
    """Return how long xargs takes for so many processes."""
    numbers = "\n".join(map(str, range(count)))
    started = time.perf_counter()
    subprocess.run(
        ["xargs", "-P", str(PARALLEL), "-n", "1", "/bin/true"], input=numbers, text=True, check=True
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
