"""Say what a resume decided for each step, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aetherflow.events.run_events import RunResumed
from aetherflow.observe.event_text import one_line
from aetherflow.store.projection import timestamp

KINDS = {
    "keep": "kept",
    "reattach": "continues, as a worker still has it",
    "rerun": "runs again",
    "stale": "stale",
    "end_interrupted": "does not run again",
    "changed": "kept although the flow defines it differently now",
    "never_run": "not run, its job had already ended",
    "upgraded": "kept although the version of its step type has changed",
    "exclude": "not run",
    "remove": "no longer in the flow",
}


MOST_SHOWN = 10
"""Of more steps of a kind, these are shown, without --all."""


def resume_lines(resume: RunResumed, *, everything: bool) -> Iterator[str]:
    """Yield what a resume decided for each step, and why, by kind."""
    yield f"  resumed {timestamp(resume.at)} (attempt {resume.attempt}) by {resume.owner}"
    yield from decision_lines(resume.decisions, resume.decision_counts, everything=everything)


def decision_lines(
    decisions: Mapping[str, Sequence[str]], numbers: Mapping[str, int], *, everything: bool = True
) -> Iterator[str]:
    """Yield what a resume does about each step, by kind; `numbers` says how many there are of each."""
    for kind, entries in decisions.items():
        first = entries if everything else entries[:MOST_SHOWN]
        more = numbers.get(kind, len(entries)) - len(first)
        shown = ", ".join(map(one_line, first))
        yield f"    {KINDS.get(kind, kind)}: {shown}{f' and {more} more' if more > 0 else ''}"
