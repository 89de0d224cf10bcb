"""Try a sample of mutants, several at once: does a test fail?"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import msgspec

from tests.mutations.choice import tests_of
from tests.mutations.source_edits import Mutant, mutants_of
from tests.mutations.workplace import Workplace

Fate = Literal["noticed", "hangs", "survived"]

LEAST_SECONDS = 20.0
SLACK = 5.0
"""A test may take so many times as long as the longest did without a change, and `LEAST_SECONDS` more."""


class Trial(msgspec.Struct, frozen=True):
    """A mutant and what the tests made of it; that they hang counts as noticed."""

    mutant: Mutant
    source: bytes
    """The text of the file without the change."""
    fate: Fate
    output: str
    """The summary of the tests that failed; empty for a survivor."""


class Project(msgspec.Struct, frozen=True):
    """Where things are."""

    root: Path
    package: Path
    """The package that tests are kept for by the names of its packages, below the root."""
    paths: tuple[str, ...]
    """The folders of `sys.path`, below the root."""
    pytest_options: tuple[str, ...] = ()


def sample(project: Project, files: Sequence[Path], count: int, seed: int) -> list[Mutant]:
    """Return so many mutants of the files, drawn at random; all of them if there are fewer."""
    mutants: list[Mutant] = []
    for path in files:
        mutants += mutants_of(path.relative_to(project.root).as_posix(), path.read_bytes())
    return random.Random(seed).sample(mutants, min(count, len(mutants)))  # noqa: S311  a seed repeats it


def trials(project: Project, mutants: Sequence[Mutant], workers: int) -> Iterator[Trial]:
    """Try each mutant; return each as soon as its fate is known. Trials that are cut off are a sample too.

    Raises:
        SystemExit: the tests fail without any change.
    """
    stages = {file: _stages(project, file) for file in {mutant.file for mutant in mutants}}
    with ExitStack() as stack:
        free: SimpleQueue[Workplace] = SimpleQueue()
        places = []
        for _ in range(min(workers, len(mutants))):
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True)
            )
            places.append(Workplace(project.root, Path(folder), project.paths))
            free.put(places[-1])
        if not places:
            return
        files = sorted({test for both in stages.values() for stage in both for test in stage})
        seconds = places[0].durations(files, project.pytest_options) if files else {}

        noticed = {file: Counter[str]() for file in stages}

        def attempt(mutant: Mutant) -> Trial:
            place = free.get()
            known = [test for test, _ in noticed[mutant.file].most_common(1)]
            try:
                stages_of_it = [known, *stages[mutant.file]]
                trial = _try(place, mutant, stages_of_it, seconds, project.pytest_options)
                noticed[mutant.file].update(test for test in files if test in trial.output)
                return trial
            finally:
                free.put(place)

        executor = stack.enter_context(ThreadPoolExecutor(len(places)))
        waiting = [executor.submit(attempt, mutant) for mutant in mutants]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            for place in places:
                place.stop()


def _stages(project: Project, file: str) -> list[list[str]]:
    """Return the test files of a source: the nearest, then the others."""
    both = tests_of(project.root, project.package, project.root / file)
    return [[test.relative_to(project.root).as_posix() for test in tests] for tests in both]


def _try(
    place: Workplace,
    mutant: Mutant,
    stages: list[list[str]],
    seconds: dict[str, list[float]],
    options: Sequence[str],
) -> Trial:
    """Run the tests of a mutant, fast files of each stage first, until one fails."""
    source = (place.root / mutant.file).read_bytes()
    with place.changed(mutant.file, mutant.apply(source)):
        for stage in stages:
            tests = sorted(stage, key=lambda test: sum(seconds[test]))
            if not tests:
                continue
            longest = max((second for test in tests for second in seconds[test]), default=0.0)
            outcome, output = place.run(tests, LEAST_SECONDS + SLACK * longest, "-x", *options)
            if outcome != "passed":
                return Trial(mutant, source, "hangs" if outcome == "hangs" else "noticed", output)
    return Trial(mutant, source, "survived", "")
