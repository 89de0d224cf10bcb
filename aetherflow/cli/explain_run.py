"""`aetherflow explain RUN [JOB[.STEP]]`: print what a run, a job or a step did, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from aetherflow import exit_codes
from aetherflow.admin.explain_run import Explained, explain_run
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import ask_state, state_path
from aetherflow.observe.event_text import one_line

WIDTH = 80
MOST_JOBS = 50
"""The jobs of a run with more are shown only if they did not succeed."""
_INDENT = " " * len("  2026-11-29T18:02:08Z  ")


def explain_run_of(name: str, part: str, state: Path | None, flow: Path | None, *, json: bool) -> int:
    """Print what a run did and why, with each of its jobs, or what one part of it did; return the exit code.

    Raises:
        UsageError: there is no such run, job or step.
    """
    facts = ask_state(state_path(state, flow), lambda ask: ask.run_facts(name))
    found = explain_run(facts, part)
    run = facts.history.run
    if json:
        report = {"run_id": run.run_id, "flow_id": run.flow_id, "status": run.status, "explained": found}
        return print_report("explain.run", report)
    for number, one in enumerate(_shown(found)):
        if number:
            print_text("")
        what = f"run {run.run_id} of {run.flow_id}" if one.kind == "run" else f"{one.kind} {one.name}"
        print_text(one_line(f"{what}: {one.status}{f'  ({one.place})' if one.place else ''}"))
        for line in _lines(one):
            print_text(line)
    if left := len(found) - len(_shown(found)):
        print_text(f"\n{left} more jobs succeeded or have not begun: name one to explain it")
    return exit_codes.SUCCESS


def _shown(found: Sequence[Explained]) -> Sequence[Explained]:
    if len(found) <= MOST_JOBS:
        return found
    return [one for one in found if one.kind == "run" or one.status not in ("SUCCESS", "PENDING")][:MOST_JOBS]


def _lines(one: Explained) -> Iterator[str]:
    """Yield the reasons with their times, wrapped; further lines of a sentence are indented."""
    for reason in one.reasons:
        head = f"  {reason.at[:19]}Z  " if reason.at else _INDENT
        words = one_line(reason.sentence)
        yield from textwrap.wrap(
            words, WIDTH, initial_indent=head, subsequent_indent=_INDENT, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
