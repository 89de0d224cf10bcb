"""Make the jobs and steps of the timeline, of a large run those that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aetherflow.admin.error_words import error_line, error_text
from aetherflow.admin.run_history import RunHistory
from aetherflow.admin.run_report.distinct_failures import Anchors
from aetherflow.admin.run_report.event_pass import RunPass
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut
from aetherflow.admin.run_tree import NOT_BEGUN, JobNode, StepNode
from aetherflow.admin.wait_words import place_words, refused_words, wait_words
from aetherflow.observe.event_text import counts, duration
from aetherflow.plan.hooks import is_hook
from aetherflow.sdk.effects import NOT_DONE
from aetherflow.store.queries import EffectRow
from aetherflow.store.stored_times import seconds_between
from aetherflow.web.model import JobEntry, Span, StepEntry, Timeline

MOST_JOBS = 300
MOST_INSTANCES = 40
"""Of a job with more instances only some are shown: those that did not succeed, then the first."""
NOTABLE_INSTANCES = 30
FIRST_INSTANCES = 10
MOST_STEPS = 60
"""Of one job."""
MOST_ROWS = 2500
"""Of the whole page; beyond that jobs have no steps, but those that failed have theirs."""
OPEN_AT_FIRST = 4
NOTABLE_WAIT = 1.0
ERROR_CHARACTERS = 3000
_QUIET = ("SUCCESS", "SKIPPED", NOT_BEGUN)


def shown_jobs(nodes: Sequence[JobNode]) -> list[JobNode]:
    """Return the jobs that the page shows, in plan order."""
    if len(nodes) <= MOST_JOBS:
        return list(nodes)
    first = [node for node in nodes if node.row.status not in _QUIET][:MOST_JOBS]
    chosen = {node.row.job_id for node in first}
    for node in nodes:
        if len(chosen) >= MOST_JOBS:
            break
        chosen.add(node.row.job_id)
    return [node for node in nodes if node.row.job_id in chosen]


def shown_instances(node: JobNode) -> list[JobNode]:
    """Return the instances of a job that the page shows, in the order of their items."""
    if len(node.instances) <= MOST_INSTANCES:
        return node.instances
    notable = [one for one in node.instances if one.row.status not in _QUIET][:NOTABLE_INSTANCES]
    chosen = {one.row.job_id for one in (*notable, *node.instances[:FIRST_INSTANCES])}
    return [one for one in node.instances if one.row.job_id in chosen]


def anchors_of(nodes: Sequence[JobNode]) -> dict[str, str]:
    """Return the anchor of each job and instance that the page shows."""
    shown = [one for node in shown_jobs(nodes) for one in (node, *shown_instances(node))]
    return {node.row.job_id: f"job-{number}" for number, node in enumerate(shown)}


class Entries:
    """Makes the entries of one run; `whole` is the command that shows all of it."""

    def __init__(
        self, history: RunHistory, found: RunPass, anchors: Anchors, masking: Masking, whole: str
    ) -> None:
        self._history, self._found, self._anchors, self._masking = history, found, anchors, masking
        self._whole = whole
        self._open = self._rows = 0

    def timeline(self, nodes: Sequence[JobNode]) -> Timeline:
        """Return the jobs with their times."""
        shown = shown_jobs(nodes)
        jobs = tuple(self._job(node) for node in shown)
        return Timeline(tuple(self._found.executions), jobs, self._hidden(nodes, shown, "jobs"))

    def _job(self, node: JobNode) -> JobEntry:
        row, masking = node.row, self._masking
        is_bad = row.status in ("FAILED", "INTERRUPTED", "RUNNING")
        is_open = is_bad and self._open < OPEN_AT_FIRST and len(node.instances) <= MOST_INSTANCES
        self._open += is_open
        self._rows += 1
        steps = self._steps(node, is_bad=is_bad)
        shown = shown_instances(node)
        resumed_at = self._history.resumed_at
        return JobEntry(
            id=masking.text(row.job_id),
            anchor=self._anchors.jobs.get(row.job_id, ""),
            status=row.status,
            seconds=seconds_between(row.started_at, row.finished_at or self._until(row.status)),
            line=node.plan.line if not node.row.item else 0,
            item=masking.text(row.item),
            spans=() if node.instances else tuple(self._spans(node)),
            activity=tuple(span for one in node.instances for span in self._attempts(one)),
            parts=dict(Counter(one.row.status for one in node.instances)),
            steps=steps,
            instances=tuple(self._job(one) for one in shown),
            hidden=self._hidden(node.instances, shown, "instances") or self._left_out(node, steps),
            reason=masking.text(row.reason or ""),
            error=_error(row.error, masking) if row.error and not row.reason else "",
            notes=tuple(map(masking.text, self._notes(node))),
            outputs=masking.json(row.outputs) if row.outputs and not node.instances else "",
            is_open=is_open,
            is_hook=is_hook(row.job_id),
            is_kept=bool(resumed_at and row.finished_at and row.finished_at < resumed_at),
        )

    def _spans(self, node: JobNode) -> list[Span]:
        """Return the times of a job: of its steps, and its wait for a free place before."""
        spans = self._attempts(node)
        if node.waited_seconds >= NOTABLE_WAIT and not self._was_kept(node):
            start, end = (
                datetime.fromisoformat(node.ready_at),
                datetime.fromisoformat(str(node.row.started_at)),
            )
            title = f"{duration(node.waited_seconds)}: waited for a free place"
            spans.insert(0, Span(start, end, "wait", NOT_BEGUN, title))
        if not spans and node.row.started_at:
            end_at = (
                node.row.finished_at or max(self._found.executions, key=lambda one: one.end).end.isoformat()
            )
            start, end = datetime.fromisoformat(node.row.started_at), datetime.fromisoformat(end_at)
            spans.append(
                Span(
                    start,
                    max(end, start),
                    "attempt",
                    node.row.status,
                    f"{node.row.job_id}: {node.row.status}",
                )
            )
        return spans

    def _until(self, status: str) -> str | None:
        """Return the time up to which something runs; None if it does not run."""
        return self._found.executions[-1].end.isoformat() if status == "RUNNING" else None

    def _was_kept(self, node: JobNode) -> bool:
        resumed_at = self._history.resumed_at
        return bool(resumed_at and (node.row.started_at or "") < resumed_at)

    def _attempts(self, node: JobNode) -> list[Span]:
        job = node.row.job_id
        return [span for step in node.steps for span in self._found.spans.get((job, step.row.step_id), ())]

    def _notes(self, node: JobNode) -> list[str]:
        notes = []
        if node.row.saw:
            notes.append(f"Its condition held: {node.row.saw.removeprefix('when: ')}.")
        if node.waited_seconds >= NOTABLE_WAIT and not self._was_kept(node):
            after = f" after {node.waited_for} had ended" if node.waited_for else ""
            notes.append(f"It waited {duration(node.waited_seconds)} for a free place{after}.")
        return notes

    def _steps(self, node: JobNode, *, is_bad: bool) -> tuple[StepEntry, ...]:
        shown = node.steps
        if len(shown) > MOST_STEPS:
            bad = [step for step in shown if step.row.status not in _QUIET]
            chosen = {step.row.step_id for step in (*bad[:MOST_STEPS], *shown[:MOST_STEPS])}
            shown = [step for step in shown if step.row.step_id in chosen]
        if self._rows + len(shown) > MOST_ROWS:
            shown = shown if is_bad and self._rows <= 2 * MOST_ROWS else []
        self._rows += len(shown)
        return tuple(self._step(node.row.job_id, step) for step in shown)

    def _step(self, job_id: str, node: StepNode) -> StepEntry:
        row, masking = node.row, self._masking
        return StepEntry(
            id=masking.text(row.step_id),
            type=row.step_type,
            status=row.status,
            seconds=seconds_between(row.started_at, row.finished_at or self._until(row.status)),
            line=node.line,
            spans=tuple(self._found.spans.get((job_id, row.step_id), ())),
            reason=masking.text(row.reason or ""),
            error=_error(row.error, masking) if row.error else "",
            hint=masking.text(str((row.error or {}).get("hint", ""))),
            attempt=row.attempt,
            notes=tuple(map(masking.text, _notes(node))),
            outputs=masking.json(row.outputs) if row.outputs else "",
            log=self._anchors.logs.get((job_id, row.step_id), ""),
        )

    def _hidden(self, nodes: Sequence[JobNode], shown: Sequence[JobNode], what: str) -> str:
        """Return in words which nodes are not shown; empty if none."""
        left = Counter(node.row.status for node in nodes) - Counter(node.row.status for node in shown)
        if not left:
            return ""
        return f"… {sum(left.values()):,} more {what}: {counts(left)}. `{self._whole}` shows them."

    def _left_out(self, node: JobNode, steps: Sequence[StepEntry]) -> str:
        left = len(node.steps) - len(steps)
        return f"… {left:,} more steps. `{self._whole}` shows them." if left else ""


def _notes(node: StepNode) -> list[str]:
    """Return the waits of a step, its repeated attempts, its marks and its effects, a sentence each."""
    notes = [f"It {wait_words(wait, goes_on=wait in node.waits_for)}." for wait in node.waits]
    if node.place and (node.place.begun_at or node.awaits_worker):
        verb = "waits for" if node.awaits_worker else "runs on" if node.row.status == "RUNNING" else "ran on"
        notes.append(f"It {verb} {place_words(node.place)}.")
    for one in node.retries:
        why = error_line(one.error)
        notes.append(
            f"Attempt {one.attempt} failed; the next followed after {duration(one.wait_seconds)}: {why}"
        )
    for late in node.refused:
        words = refused_words(late)
        notes.append(f"{words[0].upper()}{words[1:]}.")
    notes += [f"Mark {name}: {use}" for name, use in node.row.marks.items()]
    return notes + _effects(node.effects)


def _effects(effects: Sequence[EffectRow]) -> list[str]:
    unknown = [one for one in effects if one.confirmed_at is None]
    notes = [f"Not confirmed, so it may have happened or not: {one.key}" for one in unknown[:5]]
    if len(unknown) > len(notes):
        notes.append(f"{len(unknown) - len(notes)} more are not confirmed.")
    done = [one for one in effects if one.confirmed_at is not None and not one.result.get(NOT_DONE)]
    if done:
        more = f", and {len(done) - 1:,} more" if len(done) > 1 else ""
        notes.append(f"Done: {done[0].key}{more}")
    return notes


def _error(error: Mapping[str, Any], masking: Masking) -> str:
    return cut(masking.text(error_text(error)), ERROR_CHARACTERS)
