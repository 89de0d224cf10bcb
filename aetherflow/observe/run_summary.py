"""Render the end of a run for people: how it ended, what failed, and the command that resumes it."""

from __future__ import annotations

from datetime import UTC, tzinfo

import msgspec

from aetherflow.cli_hints import retry_command, show_command
from aetherflow.errors import ErrorInfo
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepFinished,
)
from aetherflow.observe.event_text import INDENT, indented, one_line, render_text

MOST_FAILURES = 20
"""How many failures a summary lists; `runs show` lists the others."""


class Failure(msgspec.Struct, frozen=True):
    """A step or a job that failed. Its error was shown when it failed, and is not shown again."""

    job_id: str
    where: str
    error: ErrorInfo | None
    reason: str = ""


class Digest(msgspec.Struct, frozen=True):
    """What the summary of a run needs from its earlier events."""

    state: str = ""
    secrets: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    more: bool = False


def digested(digest: Digest, event: Event) -> Digest:
    """Return the digest with one more event in it."""
    match event:
        case RunStarted() | RunResumed():
            return Digest()
        case RunPersisted():
            return msgspec.structs.replace(digest, state=event.state, secrets=tuple(event.secrets))
        case StepFinished(status="FAILED"):
            where = f"{event.job_id}.{event.step_id} ({event.step_type})"
            return _with(digest, Failure(event.job_id, where, event.error, event.reason))
        case JobFinished(status="FAILED") if not _is_reported(digest, event):
            return _with(digest, _of_job(digest, event))
        case _:
            return digest


def render_summary(
    event: RunFinished, digest: Digest, *, zone: tzinfo | None = UTC, dated: bool = False
) -> str:
    """Return the last record of a run for people, a short block of lines."""
    lines = [render_text(event, zone=zone, dated=dated) or ""]
    for failure in digest.failures:
        why = f"{failure.error.code}, see above" if failure.error else failure.reason or "no reason given"
        lines.append(f"{INDENT}failed: {one_line(failure.where)}: {indented(why)}")
    if digest.more:
        lines.append(f"{INDENT}and more: {one_line(show_command(event.run_id, digest.state))}")
    if command := resume_command(event, digest):
        lines.append(f"{INDENT}resume: {one_line(command)}")
    return "\n".join(lines)


def resume_command(event: RunFinished, digest: Digest) -> str:
    """Return the command that resumes a run which did not succeed; empty for one that did."""
    if event.status == "SUCCESS":
        return ""
    return retry_command(event.run_id, digest.state, digest.secrets)


def _is_reported(digest: Digest, event: JobFinished) -> bool:
    """Whether the error of the job is reported already, by one of its steps."""
    same_job = [failure for failure in digest.failures if failure.job_id == event.job_id]
    if event.error is None:
        return bool(same_job)
    return any(failure.error and failure.error.message == event.error.message for failure in same_job)


def _of_job(digest: Digest, event: JobFinished) -> Failure:
    """Return why a job failed; if an instance of a `for_each` job has reported the error, only the reason."""
    is_known = event.reason and any(failure.error == event.error for failure in digest.failures)
    return Failure(event.job_id, event.job_id, None if is_known else event.error, event.reason)


def _with(digest: Digest, failure: Failure) -> Digest:
    if len(digest.failures) >= MOST_FAILURES:
        return msgspec.structs.replace(digest, more=True)
    return msgspec.structs.replace(digest, failures=(*digest.failures, failure))
