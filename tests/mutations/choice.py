"""Choose what to mutate (packages, files, what changed since a commit) and which test files look at it."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

CORE = (
    *("engine/decide", "engine/state", "engine/machine", "engine/resume"),
    *("execution/executor", "execution/instance_task", "execution/attempt", "execution/bus"),
    *("store/journal", "store/lease", "store/lease_renewal", "store/run_lease"),
    *("store/named_locks", "store/pool_table", "store/pools", "store/firings"),
    *("scheduler/scheduler", "scheduler/firing_decision", "scheduler/overlap", "scheduler/firing_ends"),
    *("scheduler/standby", "scheduler/server_clocks"),
    "scheduler/followed_runs",
    *("schedule/dst", "schedule/catch_up", "schedule/timetable", "schedule/cron"),
    *("language/condition", "language/comparison", "language/operand"),
)
"""What is mutated if nothing is named: an error here costs a user's data or repeats an effect."""

ALSO = {"execution": ("tests/runs/test_pools_of_runs.py",)}
"""Test files of a package that are elsewhere and do not import what they try."""

TOO_SLOW = {"torture", "benchmarks"}
"""Folders of tests that are run for their own package only."""


def sources(root: Path, package: Path, names: Iterable[str]) -> list[Path]:
    """Return the source files that names mean: `store`, `store/journal`, `aetherflow/store/journal.py`.

    Raises:
        SystemExit: a name means nothing.
    """
    found: list[Path] = []
    for name in names:
        places = [root / name, root / package / name, root / package / f"{name}.py"]
        place = next((place for place in places if place.is_file() or place.is_dir()), None)
        if place is None:
            raise SystemExit(f"There is no {package / name}, {package / name}.py or {name}.")
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return list(dict.fromkeys(found))


def changed(root: Path, package: Path, since: str) -> list[Path]:
    """Return the source files that are not as they were where this branch left another, committed or not."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", root, *arguments], check=True, capture_output=True, text=True
        ).stdout

    base = git("merge-base", since, "HEAD").strip()
    names = [
        *git("diff", "--name-only", "--relative", base, "--", package.as_posix()).splitlines(),
        *git("ls-files", "--others", "--exclude-standard", package.as_posix()).splitlines(),
    ]
    return [root / name for name in sorted(set(names)) if name.endswith(".py") and (root / name).exists()]


def tests_of(root: Path, package: Path, source: Path) -> tuple[list[Path], list[Path]]:
    """Return the test files that may notice a change of a source file: the nearest by imports, the others.

    They are those of its own folder (tests/PACKAGE) that import it, however indirectly, and those elsewhere
    that import it themselves or are named in `ALSO`.
    """
    inside = source.relative_to(root / package)
    folder = root / "tests" / inside.parts[0] if len(inside.parts) > 1 else None
    module = ".".join([*package.parts, *inside.with_suffix("").parts])
    distances: dict[Path, int] = {}
    for test in sorted((root / "tests").rglob("test_*.py")):
        if folder is not None and folder in test.parents:
            distance = _distance(root, test, module)
            if distance is not None:
                distances[test] = distance
        elif module in _imports(test) and test.parent.name not in TOO_SLOW:
            distances[test] = 1
        elif test.relative_to(root).as_posix() in ALSO.get(inside.parts[0], ()):
            distances[test] = 9
    least = min(distances.values(), default=0)
    near = [test for test, distance in distances.items() if distance == least]
    return near, [test for test in distances if test not in near]


def _distance(root: Path, test: Path, module: str) -> int | None:
    """Return over how many imports a test file gets at a module; None if it does not."""
    seen: set[str] = set()
    front = set(_imports(test))
    distance = 1
    while front:
        if module in front:
            return distance
        seen |= front
        paths = [root / Path(*name.split(".")).with_suffix(".py") for name in front]
        front = {name for path in paths if path.exists() for name in _imports(path)} - seen
        distance += 1
    return None


@cache
def _imports(path: Path) -> frozenset[str]:
    """Return all that the imports of a file may mean: of `from a import b`, a and a.b."""

    def names() -> Iterator[str]:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return frozenset(names())
