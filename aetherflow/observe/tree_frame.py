"""Render the live tree: lines of text with a style, never more than fit on the screen, nor wider. Pure.

Failures come first, then what runs, then what has ended, then what is to come. If that does not fit, what is
to come becomes one line, then what has ended, then the instances and the steps get fewer lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from itertools import chain, islice, zip_longest
from typing import NamedTuple

from rich.cells import cell_len

from aetherflow.events.planned_jobs import HOOK, PlannedJob, is_hook
from aetherflow.observe.event_text import duration, one_line
from aetherflow.observe.run_tree import RunTree
from aetherflow.observe.time_words import clock
from aetherflow.observe.tree_line import GAP, LEAST_NAME, Line, Part, cut, fitted, shortened
from aetherflow.observe.tree_views import Fan, JobView, StepView
from aetherflow.observe.tree_words import (
    ended_words,
    expectation,
    fan_counts,
    fan_left,
    run_counts,
    step_words,
)

GLYPHS = {
    "RUNNING": "●",
    "PENDING": "○",
    "SUCCESS": "✓",
    "FAILED": "✗",
    "SKIPPED": "-",
    "BLOCKED": "■",
    "CANCELLED": "■",
}
STYLES = {
    "RUNNING": "",
    "PENDING": "yellow",
    "SUCCESS": "green",
    "FAILED": "red",
    "SKIPPED": "dim",
    "BLOCKED": "yellow",
    "CANCELLED": "yellow",
}

FAILED_SHOWN = 5
"""How many failed instances of a mapped job are shown: its own line counts them all."""

WAITING_SHOWN = 3
"""How many instances that wait are shown."""

TYPE, LEFT = 2, 1
"""Ranks of the parts that a narrow line leaves out, the first of them first."""

_Make = Callable[[], Line]


class _Entry(NamedTuple):
    """A job: its own line, and lines below it, the most important first, each with its place among them."""

    head: _Make
    below: Sequence[tuple[int, _Make]] = ()


class Canvas(NamedTuple):
    """What the lines depend on: the time, how wide they may be, and which steps work (`job.step`)."""

    now: datetime
    width: int
    working: AbstractSet[str]


def frame(tree: RunTree, now: datetime, height: int, width: int) -> list[Line]:
    """Return at most `height` lines of at most `width` columns. The total is always the last one."""
    canvas = Canvas(now, width, tree.working)
    total = _total(tree, canvas)
    room = height - 2
    if room < 0:
        return [total]
    title = cut(f"{one_line(tree.flow_id)}  run {one_line(tree.run_id)}", width)
    return [Line(title, "bold"), *_jobs(tree, canvas, room), total]


def _jobs(tree: RunTree, canvas: Canvas, room: int) -> list[Line]:
    """Return the lines between the first and the last one."""
    failed, running = _entries(tree, canvas, room)
    ended = [partial(_job, id_, job, tree, canvas) for id_, job in _ended(tree)]
    ended_count = tree.counts.total() - tree.counts["FAILED"] + tree.before + len(ended) - len(tree.ended)
    pending = [partial(_pending, job, tree, canvas) for job in islice(tree.pending.values(), room + 1)]
    wanted = sum(1 + len(entry.below) for entry in (*failed, *running))
    if len(pending) > 1 and wanted + len(ended) + len(pending) > room:
        pending = [partial(_folded_pending, tree, canvas)]
    if ended_count > len(ended) or (len(ended) > 1 and wanted + len(ended) + len(pending) > room):
        ended = [partial(_folded_ended, ended_count, canvas)]
    rest = [*ended, *pending]
    if not failed and not running:
        return [make() for make in rest[:room]]
    rest = rest[: max(room - len(failed) - len(running), room // 3)]
    open_count = tree.counts["FAILED"] + len(tree.running) + sum(map(_is_open, tree.hooks.values()))
    lines = _fill(failed, running, room - len(rest), open_count, canvas)
    return [*lines, *(make() for make in rest)]


def _entries(tree: RunTree, canvas: Canvas, room: int) -> tuple[list[_Entry], list[_Entry]]:
    """Return the jobs in which something failed, and the others that run; more of them than there is room."""
    open_hooks = {id_: job for id_, job in tree.hooks.items() if _is_open(job)}
    running = {**tree.running, **open_hooks}
    bad = {id_: job for id_, job in running.items() if job.status == "FAILED" or (job.fan and job.fan.failed)}
    good = ((id_, job) for id_, job in running.items() if id_ not in bad)
    both = islice(chain(bad.items(), tree.failed.items()), room + 1), islice(good, room + 1)
    failed, others = ([_entry(id_, job, tree, canvas) for id_, job in jobs] for jobs in both)
    return failed, others


def _ended(tree: RunTree) -> list[tuple[str, JobView]]:
    hooks = [(id_, job) for id_, job in tree.hooks.items() if not _is_open(job)]
    return [*tree.ended.items(), *hooks]


def _is_open(job: JobView) -> bool:
    """Whether a job runs or failed."""
    return job.status in ("RUNNING", "FAILED")


def _fill(
    failed: Sequence[_Entry], running: Sequence[_Entry], room: int, count: int, canvas: Canvas
) -> list[Line]:
    """Return the lines of `count` jobs in the room that there is: a line of each, then those below them."""
    entries = [*failed, *running]
    if len(entries) > room:
        room -= 1
        some = max(room // 2, room - len(running))
        shown = [*failed[:some], *running[: room - min(some, len(failed))]]
        lines = [entry.head() for entry in shown]
        if room >= 0:
            words = f"  ... {count - len(shown):,} more that failed or run"
            lines.append(Line(cut(words, canvas.width), "dim"))
        return lines
    counts = [0] * len(entries)
    left = room - len(entries)
    while left > 0 and any(count < len(entry.below) for count, entry in zip(counts, entries, strict=True)):
        for number, entry in enumerate(entries):
            if left > 0 and counts[number] < len(entry.below):
                counts[number] += 1
                left -= 1
    lines = []
    for number, entry in enumerate(entries):
        lines.append(entry.head())
        lines += [make() for _, make in sorted(entry.below[: counts[number]], key=lambda one: one[0])]
    return lines


def _entry(job_id: str, job: JobView, tree: RunTree, canvas: Canvas) -> _Entry:
    below: list[tuple[int, _Make]] = []
    if job.fan is not None:
        failed = islice(job.fan.failed.items(), FAILED_SHOWN)
        bad = [partial(_instance, id_, one, canvas) for id_, one in failed]
        good = [partial(_instance, id_, one, canvas) for id_, one in _open_instances(job.fan)]
        pairs = zip_longest(enumerate(bad), enumerate(good, len(bad)))
        below = [one for pair in pairs for one in pair if one is not None]
    elif not _is_merged(job):
        steps = [(id_, step) for id_, step in job.steps.items() if step.status not in ("SUCCESS", "SKIPPED")]
        usual = tree.expected.steps
        below = list(
            enumerate(partial(_step, id_, one, canvas, usual.get(f"{job_id}.{id_}")) for id_, one in steps)
        )
    return _Entry(partial(_job, job_id, job, tree, canvas), below)


def _open_instances(fan: Fan) -> Iterator[tuple[str, JobView]]:
    """Yield the instances that work, and then the first ones that wait: their number is in the line above."""
    yield from ((id_, one) for id_, one in fan.running.items() if one.wait is None)
    yield from islice(((id_, one) for id_, one in fan.running.items() if one.wait), WAITING_SHOWN)


def _is_merged(job: JobView) -> bool:
    """Whether a job and its step are one line."""
    return job.fan is None and (job.step_count or len(job.steps)) <= 1


def _job(job_id: str, job: JobView, tree: RunTree, canvas: Canvas) -> Line:
    hook = "hook " if is_hook(job_id) else ""
    return _line("", f"{hook}{job_id.removeprefix(HOOK)}", job, canvas, tree.expected.jobs.get(job_id))


def _instance(job_id: str, job: JobView, canvas: Canvas) -> Line:
    return _line("    ", job_id, job, canvas)


def _line(indent: str, job_id: str, job: JobView, canvas: Canvas, usual: float | None = None) -> Line:
    """Return the line of a job or an instance; that of one step is in it."""
    status, style = job.status, STYLES[job.status]
    parts = [Part(shortened(one_line(job.item), max(canvas.width // 4, LEAST_NAME)))]
    step = _current(job)
    if job.fan is not None:
        parts.append(Part(fan_counts(job.fan), short=fan_counts(job.fan, is_short=True)))
        style = STYLES["FAILED"] if job.fan.failed else style
    elif step is not None and (_is_merged(job) or indent):
        parts += [Part(one_line(step.step_type), TYPE), Part(one_line(step.place), LEFT)]
        if status == "RUNNING" and step.wait is not None:
            status, style = "PENDING", STYLES["PENDING"]
    left = fan_left(job.fan, canvas.now) if job.fan is not None and job.status == "RUNNING" else ""
    parts += _times(job, canvas.now, None if left else usual)
    if left:
        parts.append(Part(left, LEFT))
    elif job.fan is None and not _is_merged(job) and not indent and job.status == "RUNNING":
        done = sum(one.status in ("SUCCESS", "SKIPPED") for one in job.steps.values())
        parts.append(Part(f"{done}/{job.step_count} steps" if job.step_count else "", LEFT))
    if step is not None and (_is_merged(job) or indent):
        parts += [Part(_attempt(step), LEFT), Part(step_words(step, canvas.now, canvas.working))]
    parts += map(Part, ended_words(job))
    return Line(fitted(f"{indent}{GLYPHS[status]} {one_line(job_id)}", parts, canvas.width), style)


def _current(job: JobView) -> StepView | None:
    """Return the step that runs, waits or failed; else the last one."""
    found = None
    for found in job.steps.values():
        if found.status in ("RUNNING", "PENDING", "FAILED"):
            break
    return found


def _times(job: JobView, now: datetime, usual: float | None) -> Iterator[Part]:
    if job.status == "RUNNING":
        elapsed = (now - job.started).total_seconds()
        yield _time(elapsed, usual)
    elif job.steps or job.fan:
        yield Part(duration(job.seconds), LEFT if job.status == "FAILED" else 0)


def _time(elapsed: float, usual: float | None) -> Part:
    """Return the time that has passed, and the usual one if that is known: `1:20 of about 4 min`."""
    short = clock(elapsed)
    return Part(f"{short} {expectation(elapsed, usual)}".rstrip(), short=short)


def _step(step_id: str, step: StepView, canvas: Canvas, usual: float | None) -> Line:
    status = "PENDING" if step.wait is not None else step.status
    running = step.status in ("RUNNING", "PENDING")
    elapsed = (canvas.now - step.started).total_seconds()
    parts = [
        Part(one_line(step.step_type), TYPE),
        Part(one_line(step.place), LEFT),
        _time(elapsed, usual) if running else Part(duration(step.seconds)),
        Part(_attempt(step), LEFT),
    ]
    name = f"    {GLYPHS[status]} {one_line(step_id)}"
    return Line(
        fitted(name, [*parts, Part(step_words(step, canvas.now, canvas.working))], canvas.width),
        STYLES[status],
    )


def _attempt(step: StepView) -> str:
    return f"attempt {step.attempt}" if step.attempt > 1 and step.status == "RUNNING" else ""


def _pending(job: PlannedJob, tree: RunTree, canvas: Canvas) -> Line:
    before = [one for one in (*job.needs, *job.after) if one in tree.running or one in tree.pending]
    why = f"waits for {', '.join(map(one_line, before))}" if before else ""
    return Line(fitted(f"· {one_line(job.id)}", [Part(why)], canvas.width), "dim")


def _folded_pending(tree: RunTree, canvas: Canvas) -> Line:
    following = one_line(next(iter(tree.pending)))
    words = f"· {len(tree.pending):,} jobs to come, next: {following}"
    return Line(cut(words, canvas.width), "dim")


def _folded_ended(count: int, canvas: Canvas) -> Line:
    words = f"✓ {count:,} job{'' if count == 1 else 's'} ended without a failure"
    return Line(cut(words, canvas.width), "dim")


def _total(tree: RunTree, canvas: Canvas) -> Line:
    elapsed = ((tree.ended_at or canvas.now) - tree.started).total_seconds() if tree.started else 0.0
    time = _time(elapsed, tree.expected.run if tree.ended_at is None else None)
    counts = Part(run_counts(tree))
    if len(time.text) + len(GAP) + cell_len(counts.text) > canvas.width:
        time = Part(time.short)
    return Line(fitted(time.text, [counts], canvas.width), STYLES[tree.ending or tree.status] or "bold")
