"""Render the end of a run for people: what failed and why, the command that resumes it, how it ended.

`summary_lines` is the whole; the log, the live tree and messages about a run use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo

from aetherflow.cli_hints import retry_command, show_command
from aetherflow.events.run_events import RunFinished
from aetherflow.events.stale_readers import job_of, names_to_run, stale_text
from aetherflow.observe.event_text import counts, head, one_line, sentence, shortened
from aetherflow.observe.run_failures import Digest, Failure

FAILURE_LINES = 16
"""How many lines of one failure are shown: its message with the last lines of output, and its hint."""

LINE_CHARACTERS = 1000
"""How much of a line of an error is shown."""


def render_summary(
    event: RunFinished, digest: Digest, *, zone: tzinfo | None = UTC, dated: bool = False
) -> str:
    """Return the summary as lines of a log: each begins with the time, the level and the run."""
    start = f"{head(event, zone, dated=dated)}{run_of(event)}  "
    *more, _ = summary_lines(event, digest)
    return "\n".join(start + line for line in [*more, _headline(event)])


def summary_lines(event: RunFinished, digest: Digest) -> list[str]:
    """Return the summary of a run as lines for people; the last one says how it ended."""
    return [*_details(event, digest), headline(event)]


def headline(event: RunFinished) -> str:
    """Return in one line how a run ended, how long it took, and how many jobs and steps ended how.

    Jobs are counted as the flow has them; the instances of those with `for_each` are counted beside them.
    """
    return f"{run_of(event)}  {_headline(event)}"


def failure_lines(failure: Failure) -> list[str]:
    """Return a failure as lines: where and why; then the last lines of output, and what to do."""
    lines, hint = [failure.reason or "no reason given"], ""
    if failure.error is not None:
        lines = f"{failure.error.code}: {failure.error.message}".splitlines()
        hint = failure.error.hint
    if len(lines) > FAILURE_LINES:
        lines = [*lines[: FAILURE_LINES - 1], f"... {len(lines) - FAILURE_LINES + 1} more lines"]
    if hint:
        lines += [f"hint: {line}" for line in hint.splitlines()]
    first, *more = (shortened(one_line(line), LINE_CHARACTERS) for line in lines)
    if failure.count > 1:
        more.insert(0, _items(failure))
    return [f"failed: {_where(failure)}: {first}", *(f"  {line}" for line in more)]


def resume_command(event: RunFinished, digest: Digest) -> str:
    """Return the command that resumes a run which did not succeed; empty for one that did."""
    if event.status == "SUCCESS":
        return ""
    return _retry(event, digest, event.resume_from)


def repeat_command(event: RunFinished, digest: Digest) -> str:
    """Return the command that makes the stale results of a run again; empty if it has none."""
    if not event.stale:
        return ""
    return _retry(event, digest, names_to_run(event.stale))


def _retry(event: RunFinished, digest: Digest, begin_at: Iterable[str]) -> str:
    state, executor = digest.named_state, digest.executor
    return retry_command(event.run_id, state, digest.secrets, begin_at, executor=executor)


def run_of(event: RunFinished) -> str:
    """Return which run of which flow, in words."""
    return one_line(f"run {event.run_id} of {event.flow_id}")


def _details(event: RunFinished, digest: Digest) -> Iterator[str]:
    for failure in digest.failures:
        yield from failure_lines(failure)
    if digest.more:
        command = show_command(event.run_id, digest.named_state)
        yield one_line(f"failed: {digest.more} more; all: {command}")
    if event.stale:
        yield one_line(f"stale:  {stale_text(event.stale)}")
        yield one_line(f"repeat: {repeat_command(event, digest)}")
    if command := resume_command(event, digest):
        yield one_line(f"resume: {command}")


def _headline(event: RunFinished) -> str:
    words = sentence(event) or ""
    ended = words.removeprefix(run_of(event)).strip()
    jobs = {status: number - event.instances.get(status, 0) for status, number in event.jobs.items()}
    instances = f"; instances: {counts(event.instances)}" if event.instances else ""
    return f"{ended}; jobs: {counts(jobs)}{instances}; steps: {counts(event.steps)}"


def _where(failure: Failure) -> str:
    """Return the place of a failure: `load[3].copy (external.process) at flow.yaml:12, item a.csv`."""
    job_id = failure.job_id if failure.count == 1 else job_of(failure.job_id)
    name = f"{job_id}.{failure.step_id} ({failure.step_type})" if failure.step_id else job_id
    place = f" at {failure.place}" if failure.place else ""
    item = f", item {failure.item}" if failure.item and failure.count == 1 else ""
    return one_line(f"{name}{place}{item}")


def _items(failure: Failure) -> str:
    """Return how many instances failed in this way, and the items of the first ones."""
    number = f"{failure.count} of {failure.of} items" if failure.of else f"{failure.count} items"
    more = ", ..." if failure.count > len(failure.items) else ""
    return one_line(f"{number}: {', '.join(failure.items)}{more}")
