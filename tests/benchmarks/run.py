"""Measure AetherFlow and print a table of ratios (`just bench`).

Every row has its own floor, measured in turn with it, so that a slow or busy machine slows both. Nothing is
asserted here: a target that is missed is a fact to explain, not a red test. The last line says how much the
machine itself varied meanwhile; a ratio is worth no more than the lowest and highest of its rounds.

    just bench                                     everything; just bench rivals durable: two groups
    just bench rivals --jobs 1000,10000,100000     against other programs, also with 100,000 jobs
    just bench scale --events 10000000             a database of a year of a busy team: 4 GB
    just bench --json history.jsonl                adds a line to a history
    just bench --against history.jsonl             shows which ratios changed since its last line
    just bench memory --large                      also with 100,000 jobs, items and runs: an hour
    just bench --markdown                          prints the table for a page
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from against_rivals import HOME, against_rivals, huey_programs
from floors import ROWS_PER_JOB, grouped_rows, one_row_commits
from flows import CHECK, check_flow, flow
from history import append, changes, described, read_run, this_run
from many_runs import many_runs
from masking import masking
from measure import (
    Median,
    NotMeasured,
    Row,
    Timed,
    command,
    environment,
    in_turn,
    interleaved,
    removing,
    timed,
)
from memory_by_size import memory_by_size
from one_year import one_year
from schedule_ticks import schedule_ticks
from settings_effect import settings_effect
from tables import markdown_table, text_table
from transfer_memory import transfer_memory
from year_of_runs import EVENTS

PYTHON = sys.executable
AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
IMPORTS = "import anyio._backends._asyncio, msgspec, aiosqlite, yaml"
PARALLEL = max(4 * (os.cpu_count() or 1), 8)
"""As many jobs as a flow runs at the same time if it does not say it."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one


Group = Callable[[Path, int], Iterator[Row | NotMeasured]]


def main() -> int:
    """Run the groups of benchmarks that were asked for, all by default."""
    parser = _parser()
    arguments = parser.parse_intermixed_args()
    if arguments.commit and not arguments.against:
        parser.error("--commit needs --against")
    groups = _groups(arguments.jobs, arguments.rivals, arguments.events, large=arguments.large)
    try:
        before = read_run(arguments.against, arguments.commit) if arguments.against else None
        if arguments.json:
            append(arguments.json)  # found out before an hour is spent
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for package in ("aetherflow", "plugins"):  # as an installed wheel has it
        compileall.compile_dir(Path(__file__).parents[2] / package, quiet=1)
    rows = _measured([groups[name] for name in arguments.group or groups], arguments.rounds)
    run = this_run(rows)
    sys.stdout.write(markdown_table(rows) if arguments.markdown else text_table(rows))
    sys.stdout.write(f"\n\n{described(run, arguments.rounds)}\n")
    if before:
        sys.stdout.write(changes(before, run))
    if arguments.json:
        append(arguments.json, run)
    return 0


def _measured(groups: Sequence[Group], rounds: int) -> list[Row | NotMeasured]:
    """Run groups one after the other and print each ratio as it is found; return all rows.

    Raises:
        subprocess.CalledProcessError: a command failed; what it printed is added, unless it went nowhere.
    """
    rows: list[Row | NotMeasured] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for group in groups:
                for row in group(Path(folder), rounds):
                    rows.append(row)
                    found = row.why if isinstance(row, NotMeasured) else f"{row.ratio:.2f}x"
                    sys.stderr.write(f"{row.what}, against {row.against}: {found}\n")
        except subprocess.CalledProcessError as error:
            for printed in filter(None, (error.stdout, error.stderr)):
                error.add_note(printed if isinstance(printed, str) else printed.decode(errors="replace"))
            raise
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=main.__doc__)
    names = [*_groups((), HOME, 0, large=False)]

    def group(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text}: no such group; there are {', '.join(names)}")
        return text

    parser.add_argument("group", nargs="*", type=group, help=f"all if none is named: {', '.join(names)}")
    parser.add_argument(
        "--rounds", type=_number, default=5, help="how often each pair is measured (start: twice as often)"
    )
    parser.add_argument(
        "--jobs", type=_numbers, default=(1_000, 10_000), help="sizes of flows against rivals: 1000,10000"
    )
    parser.add_argument("--large", action="store_true", help="memory: also of 100,000 jobs, items and runs")
    parser.add_argument(
        "--events", type=_number, default=EVENTS, help="how many events the year of `scale` has"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="add this run to a history")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with the last run of a history")
    parser.add_argument("--commit", default="", help="of --against: with the last run of this commit")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--rivals", type=Path, default=HOME, help="the environment with the other programs")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: not a whole number from 1")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(_number, text.split(",")))


def _groups(sizes: Sequence[int], home: Path, events: int, *, large: bool) -> dict[str, Group]:
    """Return the groups by name; those against rivals have these sizes of flows, and rivals from there.

    The database of `scale` has so many events. With `large`, memory is measured up to sizes that take an
    hour.
    """
    return {
        "start": start_up,
        "durable": durable_steps,
        "fans": fans,
        "processes": partial(processes, home=home),
        "rivals": partial(against_rivals, sizes=sizes, home=home),
        "settings": settings_effect,
        "scale": partial(one_year, events=events),
        "schedule": schedule_ticks,
        "runs": runs,
        "masking": masking,
        "events": partial(_imported, "event_lines"),
        "sftp": partial(_imported, "sftp_transfers"),
        "smb": partial(_imported, "smb_files"),
        "load": partial(_imported, "db_load"),
        "memory": partial(memory, large=large),
        "db": partial(_imported, "db_extract"),
        "excel": partial(_imported, "excel_fills"),
        "dask": partial(_imported, "dask_cluster", engine=engine),
    }


def _imported(name: str, folder: Path, rounds: int, **options: object) -> Iterator[Row | NotMeasured]:
    """Measure the group of a module of the same name, which imports much that no other group needs."""
    group: Callable[..., Iterator[Row | NotMeasured]] = getattr(import_module(name), name)
    yield from group(folder, rounds, **options)


TRUE = "type: external.process, inputs: {command: /bin/true}"
SLEEP = "type: external.process, inputs: {command: [sleep, 1]}"


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
         "python, the engine's imports", "<= 1.25x"),
    ]  # fmt: skip
    for what, ours, floor, against, target in cases:
        medians = interleaved(command(ours, env), command(floor, env), 2 * rounds)
        yield Row(what, against, *medians, target)


def engine(path: Path, *, memory: bool = False, variables: Mapping[str, str] = MappingProxyType({})) -> Timed:
    """Return a function that runs a flow again, in a process of its own, and says how long the engine took.

    With `memory` it says how much memory (MB) that process had at most. The process gets these variables.
    """
    env = environment() | dict(variables)

    def run() -> float:
        for stale in path.parent.glob(f"{path.stem}.sqlite*"):
            stale.unlink()
        script = Path(__file__).with_name("engine_only.py")
        done = subprocess.run(
            [PYTHON, str(script), str(path)], check=True, env=env, capture_output=True, text=True
        )
        seconds, peak = map(float, done.stdout.split())
        return peak if memory else seconds

    return run


def durable_steps(folder: Path, rounds: int) -> Iterator[Row]:
    """Steps with durable state against plain SQLite: as many commits, and as many rows in groups of 100."""
    database = folder / "floor.sqlite"
    cases: list[tuple[str, int, int, str, Callable[[int], Timed], str]] = [
        ("1 job x 1,000 steps, each waits for its commit", 1, 1000, "1,000 one-row commits at FULL",
         lambda n: lambda: one_row_commits(database, n), "rate >= 0.7x"),
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
    return many_runs(folder, check_flow, engine, rounds)


def memory(folder: Path, rounds: int, *, large: bool) -> Iterator[Row]:
    """How the memory of runs, commands, programs' output, a server and transfers grows with their size."""
    yield from memory_by_size(folder, large=large)
    yield from transfer_memory(folder, rounds)


FEW, MANY = 40, 200
PRINTED_BYTES = 1_000_000_000


def processes(folder: Path, rounds: int, *, home: Path) -> Iterator[Row | NotMeasured]:
    """Time per process between 40 and 200 runs of /bin/true; some that sleep a second; one that prints 1 GB.

    Each job makes three folders, one inside the other; xargs makes none. What that takes is a matter of the
    disk: ext4 without a journal needs a millisecond where many files were deleted in the last minutes. So it
    is measured with these folders in memory, and once more on the disk.
    """
    huey = huey_programs(folder, home, "/bin/true", PARALLEL)

    def huey_more() -> float:
        return huey.run(MANY).seconds - huey.run(FEW).seconds

    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else folder) as work:
        few, many, few_on_disk, many_on_disk = (
            engine(flow(folder, f"true_{count}_{place.name}", count, 1, TRUE, work=place))
            for place in (Path(work), folder / "work")
            for count in (FEW, MANY)
        )
        works = [
            lambda: many() - few(),
            lambda: many_on_disk() - few_on_disk(),
            lambda: xargs(MANY) - xargs(FEW),
            *[huey_more] * (not huey.why_not),
        ]
        in_turn(works, 1)
        ours, ours_on_disk, *others = map(Median, in_turn(works, rounds))
    what = f"{MANY - FEW} more /bin/true as steps, {PARALLEL} at a time"
    yield Row(what, f"as many more by xargs -P{PARALLEL}", ours, others[0], "<= 1.5x, then 1.2x")
    if huey.why_not:
        yield NotMeasured(what, huey.name, huey.why_not)
    else:
        yield Row(what, huey.name, ours, others[1], "")
    yield Row(
        "  with the folders of jobs on disk",
        f"as many more by xargs -P{PARALLEL}",
        ours_on_disk,
        others[0],
        "",
    )
    env = environment()
    none = command([AETHERFLOW, "run", str(flow(folder, "no_program", 1, 1, CHECK))], env)
    yield _sleepers(folder, rounds, none)
    yield _much_output(folder, rounds, none)


def _sleepers(folder: Path, rounds: int, none: Timed) -> Row:
    """Programs that sleep a second, without what the command itself takes (`none`)."""
    asleep = command([AETHERFLOW, "run", str(flow(folder, "sleepers", PARALLEL, 1, SLEEP))], environment())

    def ours() -> float:
        return asleep() - none()

    medians = interleaved(ours, lambda: timed(lambda: time.sleep(1)), rounds)
    return Row(f"{PARALLEL} x sleep 1, without a cold run of one step", "1 s", *medians, "<= 1.05x")


def _much_output(folder: Path, rounds: int, none: Timed) -> Row:
    """A program whose output goes to a file, masked, without what the command itself takes (`none`)."""
    lines, copies = folder / "lines.txt", folder / "copies"
    line = b"2026-11-30 12:00:00 INFO one of many lines that a program prints\n"
    lines.write_bytes(line * (PRINTED_BYTES // len(line)))
    log = f"{{stdout: file, file_path: {copies}/copy.txt}}"
    prints = f"type: external.process, inputs: {{command: [cat, {lines}], log: {log}}}"
    recorded = command([AETHERFLOW, "run", str(flow(folder, "prints", 1, 1, prints))], environment())
    copied = command(["sh", "-c", f"mkdir '{copies}'; cat '{lines}' > '{copies}/copy.txt'"], environment())

    def ours() -> float:
        return recorded() - none()

    medians = interleaved(removing(ours, copies), removing(copied, copies), rounds)
    lines.unlink()
    return Row("1 GB of output to a file, without a cold run", "cat to a file", *medians, "<= 1.5x")


def xargs(count: int) -> float:
    """Return how long xargs takes for so many processes."""
    numbers = "\n".join(map(str, range(count)))
    started = time.perf_counter()
    subprocess.run(
        ["xargs", "-P", str(PARALLEL), "-n", "1", "/bin/true"], input=numbers, text=True, check=True
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
