"""Render the live tree: lines of text with a style, never more than fit on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from aetherflow.observe.event_text import HOUR, MINUTE, counts, duration, one_line
from aetherflow.observe.run_tree import JobView, RunTree, StepView

GLYPHS = {"RUNNING": "●", "SUCCESS": "✓", "FAILED": "✗", "SKIPPED": "-", "BLOCKED": "■", "CANCELLED": "○"}
STYLES = {
    "RUNNING": "bold",
    "SUCCESS": "green",
    "FAILED": "red",
    "SKIPPED": "dim",
    "BLOCKED": "yellow",
    "CANCELLED": "yellow",
}


class Line(NamedTuple):
    """A line of the picture and its style, as rich names it."""

    text: str
    style: str = ""


def frame(tree: RunTree, now: datetime, height: int) -> list[Line]:
    """Return at most `height` lines: the whole tree if it fits, else what runs and what failed.

    The total is always the last line.
    """
    total = _total(tree, now)
    room = max(height - 1, 0)
    head = Line(f"{one_line(tree.flow_id)}  run {one_line(tree.run_id)}", "bold")
    whole = [head, *_whole(tree, now)]
    if len(whole) <= room and not tree.forgotten:
        return [*whole, total]
    brief = [head, *_brief(tree, now)]
    if len(brief) > room:
        hidden = len(brief) - max(room - 1, 0)
        brief = [*brief[: max(room - 1, 0)], Line(f"  ... {hidden} more lines", "dim")][:room]
    return [*brief, total]


def clock(seconds: float) -> str:
    """Return elapsed time as a stop watch shows it: `0:05`, `12:34`, `1:02:03`."""
    minutes, rest = divmod(max(int(seconds), 0), MINUTE)
    hours, minutes = divmod(minutes, HOUR // MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _whole(tree: RunTree, now: datetime) -> Iterator[Line]:
    for job_id, job in tree.jobs.items():
        yield _job(job_id, job, now)
        for step_id, step in job.steps.items():
            yield from _step(step_id, step, now)


def _brief(tree: RunTree, now: datetime) -> Iterator[Line]:
    """Yield running jobs with their current step, then failed jobs with the step that failed."""
    for status in ("RUNNING", "FAILED"):
        for job_id, job in tree.jobs.items():
            if job.status == status:
                yield _job(job_id, job, now)
                for step_id, step in job.steps.items():
                    if step.status == status:
                        yield from _step(step_id, step, now)


def _job(job_id: str, job: JobView, now: datetime) -> Line:
    progress = ""
    if job.status == "RUNNING":
        time = clock((now - job.started).total_seconds())
        if job.items is not None:
            progress = f"{job.items} items" if job.done is None else f"{job.done} of {job.items} items"
    elif job.steps:
        time = duration(job.seconds)
    else:
        time = job.status
    # The step below says why it failed; the job says it only if no step does.
    why = "" if any(step.status == job.status for step in job.steps.values()) else job.why
    name = f"{GLYPHS[job.status]} {one_line(job_id)}"
    return Line(_joined(name, one_line(job.item), time, progress, why), STYLES[job.status])


def _step(step_id: str, step: StepView, now: datetime) -> Iterator[Line]:
    running = step.status == "RUNNING"
    time = clock((now - step.started).total_seconds()) if running else duration(step.seconds)
    attempt = f"attempt {step.attempt}" if step.attempt > 1 else ""
    name = f"  {GLYPHS[step.status]} {one_line(step_id)}"
    yield Line(_joined(name, one_line(step.step_type), time, attempt, step.why), STYLES[step.status])
    if running and step.line:
        yield Line(f"      {step.line}", "dim")


def _total(tree: RunTree, now: datetime) -> Line:
    elapsed = ((tree.ended or now) - tree.started).total_seconds() if tree.started else 0
    running = sum(job.status == "RUNNING" for job in tree.jobs.values())
    numbers = {"running": running} if tree.ended is None else {}
    return Line(f"{clock(elapsed)}  {counts(numbers | tree.counts)}", STYLES[tree.status])


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
