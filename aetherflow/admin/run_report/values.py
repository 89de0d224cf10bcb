"""Make the tables of values: params, outputs, marks, resumes, stale results, versions."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence

from aetherflow import __version__
from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut, short_time
from aetherflow.admin.run_tree import JobNode
from aetherflow.events.stale_readers import shown
from aetherflow.redaction import holds_mask
from aetherflow.store.projection import timestamp
from aetherflow.web.model import Table

MOST_ROWS = 200
DECISIONS_SHOWN = 5
_DECIDED: Mapping[str, str] = {
    "keep": "kept",
    "reattach": "continued on their workers",
    "rerun": "run again",
    "end_interrupted": "not run again after an interruption",
    "changed": "kept although the flow defines them differently now",
    "never_run": "not run, as their job had ended",
    "upgraded": "kept although the version of their type has changed",
    "exclude": "excluded",
    "remove": "removed from the flow",
}


def params(history: RunHistory, masking: Masking) -> Table:
    """Return the params of a run; secret ones are stored masked."""
    rows = [
        (name, masking.json({name: value})[1:-1].partition(":")[2])
        for name, value in history.run.params.items()
    ]
    note = "A secret is stored as *** only." if any(map(holds_mask, history.run.params.values())) else ""
    return _table(("Param", "Value"), rows, note, "It has none.", (0, 1))


def outputs(nodes: Sequence[JobNode], masking: Masking) -> Table:
    """Return the outputs of jobs; those of instances are in the list of jobs."""
    rows = [
        (node.row.job_id, masking.json(node.row.outputs))
        for node in nodes
        if node.row.outputs and not node.instances
    ]
    return _table(("Job", "Outputs"), rows, "", "No job has any.", (0, 1))


def marks(history: RunHistory, masking: Masking) -> Table:
    """Return the high-water marks that steps used."""
    rows = [
        (name, masking.text(str(use)), f"{step.job_id}.{step.step_id}")
        for step in history.steps
        for name, use in step.marks.items()
    ]
    return _table(("Mark", "How it was used", "Step"), rows, "", "No step used one.", (0, 2))


def resumes(history: RunHistory, masking: Masking) -> Table:
    """Return what each resume decided."""
    rows = []
    for event in history.resumes:
        numbers = event.counts_by_kind.items()
        decided = ", ".join(f"{number:,} {_DECIDED.get(kind, kind)}" for kind, number in numbers)
        again = event.decisions.get("rerun", [])
        named = cut(", ".join(again[:DECISIONS_SHOWN]), 300) + (" …" if len(again) > DECISIONS_SHOWN else "")
        why = f": {named}" if named else ""
        rows.append(
            (
                str(event.attempt),
                short_time(timestamp(event.at)),
                event.owner,
                masking.text(f"{decided}{why}" or "-"),
            )
        )
    return _table(("Attempt", "At", "By", "Steps"), rows, "", "", (2,))


def stale(history: RunHistory) -> Table:
    """Return results that are older than what they had read."""
    rows = [(shown(reader), ", ".join(map(shown, read))) for reader, read in history.stale.items()]
    note = "These results had read others that ran again after them. The command above repeats them."
    return _table(("Result of", "had read"), rows, note, "", (0, 1))


def versions(found: Mapping[str, str]) -> Table:
    """Return the versions of step types as the run recorded them, and those of this program."""
    rows = [(f"step type {name}", version, "in the run") for name, version in sorted(found.items())]
    here = "where the page was made"
    rows += [
        ("AetherFlow", __version__, here),
        (sys.implementation.name.replace("cpython", "Python"), platform.python_version(), here),
        ("operating system", f"{platform.system()} {platform.release()} {platform.machine()}", here),
    ]
    return _table(("What", "Version", "Known from"), rows, "", "", (1,))


def _table(
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    note: str,
    empty: str,
    machine_columns: tuple[int, ...],
) -> Table:
    if len(rows) > MOST_ROWS:
        note = f"The first {MOST_ROWS} of {len(rows):,}. {note}".rstrip()
    return Table(columns, tuple(rows[:MOST_ROWS]), note, empty, machine_columns)
