"""Flows of many small jobs against other programs that do as many, and against a floor written by hand.

Each runs in a process of its own, from its definition (which exists already) to its exit: AetherFlow from
YAML text, with its log, which nobody reads; the others from Python, in `rivals/`, whose first lines say
what is measured. All are measured once in every round, one after the other. The memory is the most that the
process had at once.

`just bench-setup` installs the others into an environment of their own. One that is not there has a row that
says so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flows import check_flow
from measure import Median, NotMeasured, Row, Seconds, environment, in_turn

PROGRAMS = Path(__file__).with_name("rivals")
LAUNCH = str(Path(__file__).with_name("launch.py"))
AETHERFLOW = str(Path(sys.executable).with_name("aetherflow"))
HOME = Path(__file__).parents[2] / ".venv-rivals"
"""Where `just bench-setup` installs the others."""
NOT_INSTALLED = "not installed: just bench-setup"
MEMORY_FROM = 10_000
"""Memory is shown from so many jobs on; with fewer it is that of the imports."""

SECONDS_TARGETS = {1_000: "<= 0.4 s", 10_000: "<= 2.5 s"}
MEGABYTES_TARGETS = {100_000: "<= 300 MB"}
HUEY_TARGETS = {10_000: "<= 0.6x", 100_000: "<= 0.6x"}


class Cost(NamedTuple):
    """What a command cost: its seconds with those of the CPU, and the most memory that it had at once."""

    seconds: Seconds
    megabytes: float


class Contestant(NamedTuple):
    """What does the jobs.

    Attributes:
        name: with its version and what is peculiar to it.
        run: does so many jobs.
        most_jobs: above so many it takes too long to be measured.
        why_not: why it cannot be measured; empty if it can.
        targets: for our share of its time, by the number of jobs.
    """

    name: str
    run: Callable[[int], Cost]
    most_jobs: int = sys.maxsize
    why_not: str = ""
    targets: dict[int, str] = {}  # noqa: RUF012 - of a tuple, which nobody changes


def against_rivals(
    folder: Path, rounds: int, *, sizes: Sequence[int], home: Path
) -> Iterator[Row | NotMeasured]:
    """So many jobs of one step: time and memory, against each of the others; the time per job as it grows."""
    ours = Contestant("AetherFlow", partial(own_cost, folder))
    others = list(_others(folder, home))
    per_job: dict[int, Median] = {}
    for jobs in sizes:
        taking_part = [one for one in others if not one.why_not and jobs <= one.most_jobs]
        for one in (ours, *taking_part):
            one.run(1)  # compiles, and fills the caches of the system
        costs = in_turn([partial(one.run, jobs) for one in (ours, *taking_part)], rounds)
        seconds = [Median([cost.seconds for cost in of_one]) for of_one in costs]
        megabytes = [Median([cost.megabytes for cost in of_one]) for of_one in costs]
        per_job[jobs] = Median([1e6 * one / jobs for one in seconds[0].rounds])
        for one in others:
            what = f"{jobs:,} jobs of one step, YAML to exit"
            if one not in taking_part:
                yield NotMeasured(
                    what, one.name, one.why_not or f"takes too long above {one.most_jobs:,} jobs"
                )
                continue
            place = 1 + taking_part.index(one)
            target = one.targets.get(jobs, "")
            yield Row(what, one.name, seconds[0], seconds[place], target)
            if jobs >= MEMORY_FROM:
                memory = MEGABYTES_TARGETS.get(jobs, "") if one is others[0] else ""
                yield Row(
                    f"  memory of {jobs:,} jobs", one.name, megabytes[0], megabytes[place], memory, "MB"
                )
    for jobs in sizes[1:]:
        first = sizes[0]
        what, against = f"time per job, {jobs:,} jobs", f"the same, {first:,} jobs"
        yield Row(what, against, per_job[jobs], per_job[first], "<= 1x", "us")


def _others(folder: Path, home: Path) -> Iterator[Contestant]:
    """Yield the floor by hand, then the others; those that are not installed as well."""
    python, doit = str(home / "bin" / "python"), str(home / "bin" / "doit")
    floor = [sys.executable, str(PROGRAMS / "asyncio_jobs.py")]
    yield Contestant(
        "asyncio and a SQLite writer, by hand",
        lambda jobs: cost([*floor, str(jobs)], folder, "floor.sqlite"),
        targets=SECONDS_TARGETS,
    )
    huey, missing = _installed(home, "huey")
    program = [python, str(PROGRAMS / "huey_jobs.py")]
    yield Contestant(
        f"{huey}, SQLite as it is (FULL)",
        lambda jobs: cost([*program, str(jobs), "default", "1"], folder, "huey.db"),
        why_not=missing,
        targets=HUEY_TARGETS,
    )
    yield Contestant(
        f"{huey}, fsync=False",
        lambda jobs: cost([*program, str(jobs), "off", "1"], folder, "huey.db"),
        why_not=missing,
    )
    name, missing = _installed(home, "doit")
    dodo = [doit, "-f", str(PROGRAMS / "dodo.py"), "-d", str(folder)]
    yield Contestant(
        f"{name}, stores nothing before the end",
        lambda jobs: cost(dodo, folder, "doit.db", JOBS=str(jobs)),
        why_not=missing,
    )
    name, missing = _installed(home, "luigi")
    luigi = [python, str(PROGRAMS / "luigi_jobs.py")]
    yield Contestant(
        f"{name}, stores nothing",
        lambda jobs: cost([*luigi, str(jobs)], folder),
        most_jobs=1_000,
        why_not=missing,
    )


def huey_programs(folder: Path, home: Path, program: str, parallel: int) -> Contestant:
    """Return huey with threads that start a program."""
    name, missing = _installed(home, "huey")
    words = [str(home / "bin" / "python"), str(PROGRAMS / "huey_jobs.py")]
    return Contestant(
        f"{name}, fsync=False",
        lambda jobs: cost([*words, str(jobs), "off", str(parallel), program], folder, "huey.db"),
        why_not=missing,
    )


def cost(command: Sequence[str], folder: Path, store: str = "", **variables: str) -> Cost:
    """Run a command in a folder, without what an earlier one stored; return what it cost.

    Raises:
        subprocess.CalledProcessError: it did not end with 0.
    """
    if store:
        for stale in folder.glob(f"{store}*"):
            stale.unlink()
    env = environment() | variables
    launched = [sys.executable, "-I", "-S", LAUNCH, *command]
    done = subprocess.run(launched, check=True, cwd=folder, env=env, stdout=subprocess.PIPE)
    seconds, cpu, megabytes = map(float, done.stdout.split())
    return Cost(Seconds(seconds, cpu), megabytes)


def own_cost(folder: Path, jobs: int) -> Cost:
    """Run a flow of so many jobs with `aetherflow run`, on a new database; return what it cost."""
    name = f"flow_{jobs}"
    path = folder / f"{name}.yaml"
    if not path.exists():
        check_flow(folder, name, jobs)
    return cost([AETHERFLOW, "run", str(path)], folder, f"{name}.sqlite")


def _installed(home: Path, package: str) -> tuple[str, str]:
    """Return the name of a package with its version, and why it cannot be measured, if it cannot."""
    for found in home.glob(f"lib/python*/site-packages/{package}-*.dist-info"):
        return found.name.removesuffix(".dist-info").replace("-", " "), ""
    return package, NOT_INSTALLED
