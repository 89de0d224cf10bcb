"""The words of the live tree: counts, times, and why something waits or is slow. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from math import ceil

from aetherflow.observe.event_text import one_line
from aetherflow.observe.run_tree import RunTree
from aetherflow.observe.step_pace import about
from aetherflow.observe.tree_views import Fan, JobView, StepView, Wait, WaitKind

LEAST_EXPECTED_SECONDS = 2.0
"""A shorter time is not worth an expectation."""

LEAST_ENDED = 5
"""From so many ended instances on their rate shows how long the others need."""

SLOW = 1.5
"""From so many times the usual duration on, the usual one is named as such."""


def expectation(elapsed: float, usual: float | None) -> str:
    """Return what follows the elapsed time: `of about 4 min`, or `(usually 4 min)` once that is long over."""
    if usual is None or usual < LEAST_EXPECTED_SECONDS:
        return ""
    return f"of about {about(usual)}" if elapsed <= usual * SLOW else f"(usually {about(usual)})"


def run_counts(tree: RunTree) -> str:
    """Return how far the run is: `3 of 12 jobs, 1 failed, 2 running`."""
    done = tree.before + tree.counts.total()
    total = max(tree.total, done + len(tree.running))
    parts = [f"{done:,} of {total:,} job{'' if total == 1 else 's'}"]
    numbers = {"failed": tree.counts["FAILED"], "running": len(tree.running)}
    numbers |= {status.lower(): tree.counts[status] for status in ("BLOCKED", "SKIPPED", "CANCELLED")}
    return ", ".join(parts + [f"{number:,} {name}" for name, number in numbers.items() if number])


def fan_counts(fan: Fan, *, is_short: bool = False) -> str:
    """Return how far a mapped job is: `283/300, 28 failed, 12 running, 5 waiting for pool warehouse`."""
    waiting = {key: number for key, number in fan.waits.items() if number > 0}
    numbers = {
        "failed": fan.ended["FAILED"],
        "skipped": fan.ended["SKIPPED"],
        "cancelled": fan.ended["CANCELLED"],
        "running": len(fan.running) - sum(waiting.values()),
    }
    parts = [f"{fan.before + fan.ended.total():,}/{fan.total:,}"]
    parts += [f"{number:,} {name}" for name, number in numbers.items() if number > 0]
    for (kind, name), number in sorted(waiting.items()):
        what = " to retry" if kind is WaitKind.RETRY else f" for {_awaited(kind, name)}"
        parts.append(f"{number:,} waiting{'' if is_short else what}")
    return ", ".join(parts)


def fan_left(fan: Fan, now: datetime) -> str:
    """Return how long the instances that are left need, at the rate until now; empty if that is unknown."""
    ended = fan.ended.total()
    left = fan.total - fan.before - ended
    if fan.begun is None or ended < LEAST_ENDED or left <= 0:
        return ""
    seconds = (now - fan.begun).total_seconds() * left / ended
    return f"about {about(seconds)} left" if seconds >= LEAST_EXPECTED_SECONDS else ""


def step_words(step: StepView, now: datetime, working: AbstractSet[str]) -> str:
    """Return what a step does: why it waits, how far it is, the last line of its program, how it ended."""
    if step.wait is not None:
        return waiting(step.wait, now, working)
    if step.status != "RUNNING":
        return one_line(step.why)
    parts = [step.pace.text(now)] if step.pace else []
    if text := step.text.strip():
        parts.append(f"| {text}")
    return one_line("  ".join(parts))


def waiting(wait: Wait, now: datetime, working: AbstractSet[str]) -> str:
    """Return why a step waits; a wait with an end counts down.

    Of the holders, steps of the run that work no longer (`working` are those that do) are left out. The queue
    has moved then, so how many were ahead is left out too.
    """
    if wait.until is None:
        holders = [name for name, is_of_run in wait.held_by if not is_of_run or name in working]
        held = f", held by {one_line('; '.join(holders))}" if holders else ""
        has_moved = len(holders) < len(wait.held_by)
        ahead = f", {wait.ahead} ahead" if wait.ahead and not has_moved else ""
        return f"waits for {_awaited(wait.kind, wait.name)}{ahead}{held}"
    words = one_line(wait.words)
    left = ceil(max((wait.until - now).total_seconds(), 0.0))
    return f"retry in {about(left)}: {words}" if left else f"retry now: {words}"


def _awaited(kind: WaitKind, name: str) -> str:
    return f"{'a worker of' if kind is WaitKind.WORKER else kind} {one_line(name)}"


def ended_words(job: JobView) -> Iterator[str]:
    """Yield how a job ended that did not succeed, unless one of its steps says it."""
    if job.status in ("SKIPPED", "BLOCKED", "CANCELLED"):
        yield job.status.lower()
    if (
        job.why
        and not (job.fan and job.fan.failed)
        and not any(step.status == job.status for step in job.steps.values())
    ):
        yield one_line(job.why)
