"""Draw the tables of the state machine as Mermaid diagrams, for the manual. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aetherflow.engine.transitions import JOB_TABLE, RESUMED_JOBS, RESUMED_STEPS, RUN_TABLE, STEP_TABLE, Table
from aetherflow.events.run_events import RunResumed

Edges = dict[tuple[str, str], list[str]]
"""From a status and the one that follows to the names of the events that lead there."""


def state_diagram() -> str:
    """Return Markdown: one Mermaid state diagram each for a run, a job and a step."""
    return "\n\n".join(
        f"{title}:\n\n```mermaid\nstateDiagram-v2\n{lines}\n```"
        for title, lines in (
            ("A run", _drawn(RUN_TABLE, {}, "NEW")),
            ("A job, or an instance of a mapped job", _drawn(JOB_TABLE, RESUMED_JOBS, "PENDING")),
            ("A step", _drawn(STEP_TABLE, RESUMED_STEPS, "PENDING")),
        )
    )


def _drawn(table: Table, resumed: Mapping[str, frozenset[str]], first: str) -> str:
    edges: Edges = {}
    for (status, kind), following in table.items():
        for next_status in sorted(following):
            edges.setdefault((status, next_status), []).append(str(kind.__struct_config__.tag))
    for status, following in resumed.items():
        for next_status in sorted(following - {status}):
            edges.setdefault((status, next_status), []).append(str(RunResumed.__struct_config__.tag))
    return "\n".join((f"    [*] --> {first}", *_lines(edges)))


def _lines(edges: Edges) -> Iterator[str]:
    for (status, next_status), events in edges.items():
        yield f"    {status} --> {next_status}: {', '.join(events)}"
