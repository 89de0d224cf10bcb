"""Flows of any size, written for a measurement."""

from __future__ import annotations

from pathlib import Path

CHECK = "type: check_items, inputs: {items: [x]}"
"""A step that does next to nothing."""


def flow(
    folder: Path,
    name: str,
    jobs: int,
    steps: int,
    step: str,
    head: str = "",
    *,
    items: int = 0,
    synchronous: str = "full",
    work: Path | None = None,
) -> Path:
    """Write a flow of so many jobs of so many equal steps, with a state database of its own.

    With `items`, each job is a `for_each` over so many. The folders of the jobs are in `work`.
    """
    state, work = folder / f"{name}.sqlite", work or folder / "work"
    stored = f"{{path: {state}, synchronous: {synchronous}}}"
    keys = f"id: {name}, state: {stored}, workspace: {{root: {work}}}{head}"
    lines = ["version: 1", f"flow: {{{keys}}}", "jobs:"]
    for job in range(jobs):
        lines += [f"  - id: j{job}"]
        lines += [f"    for_each: {list(range(items))}"] if items else []
        lines += ["    steps:"]
        lines += [f"      - {{id: s{number}, {step}}}" for number in range(steps)]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def check_flow(folder: Path, name: str, jobs: int) -> Path:
    """Write a flow of so many jobs of one step that does next to nothing."""
    return flow(folder, name, jobs, 1, CHECK)
