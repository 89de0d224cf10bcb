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
from aetherflow.events.stale_readers import readers_to_run, shown, stale_text
from aetherflow.observe.event_text import INDENT, indented, one_line, render_text

MOST_FAILURES = 20
"""How many failures a summary lists; `runs show` lists the others."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step or a job that failed.

    Attributes:
        job_id: the job, or the instance of a job with `for_each`.
        step_id: the step; absent if the job itself failed.
        step_type: the type of the step.
        error: its code, message, hint ...; absent if another failure of the list has the same.
        reason: why, without an error.
    """

    job_id: str
    step_id: str = ""
    step_type: str = ""
    error: ErrorInfo | None = None
    reason: str = ""

    @property
    def where(self) -> str:
        """The place for people: `load.read (db_load)`, or the job."""
        return f"{self.job_id}.{self.step_id} ({self.step_type})" if self.step_id else self.job_id


class Digest(msgspec.Struct, frozen=True):
    """What the summary of a run needs from its earlier events; `more` failures are not in the list."""

    state: str = ""
    logs: str = ""
    secrets: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    more: int = 0


def digested(digest: Digest, event: Event) -> Digest:
    """Return the digest with one more event in it."""
    match event:
        case RunStarted() | RunResumed():
            return Digest()
        case RunPersisted():
            return msgspec.structs.replace(
                digest, state=event.state, logs=event.logs, secrets=tuple(event.secrets)
            )
        case StepFinished(status="FAILED"):
            failure = Failure(event.job_id, event.step_id, event.step_type, event.error, event.reason)
            return _with(digest, failure)
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
    if event.stale:
        lines.append(f"{INDENT}stale:  {one_line(stale_text(event.stale))}")
        lines.append(f"{INDENT}repeat: {one_line(repeat_command(event, digest))}")
    if command := resume_command(event, digest):
        lines.append(f"{INDENT}resume: {one_line(command)}")
    return "\n".join(lines)


def resume_command(event: RunFinished, digest: Digest) -> str:
    """Return the command that resumes a run which did not succeed; empty for one that did."""
    if event.status == "SUCCESS":
        return ""
    return retry_command(event.run_id, digest.state, digest.secrets)


def repeat_command(event: RunFinished, digest: Digest) -> str:
    """Return the command that makes the stale results of a run again; empty if it has none."""
    if not event.stale:
        return ""
    readers = map(shown, readers_to_run(event.stale))
    return retry_command(event.run_id, digest.state, digest.secrets, readers)


def _is_reported(digest: Digest, event: JobFinished) -> bool:
    """Whether the error of the job is reported already, by one of its steps."""
    same_job = [failure for failure in digest.failures if failure.job_id == event.job_id]
    if event.error is None:
        return bool(same_job)
    return any(failure.error and failure.error.message == event.error.message for failure in same_job)


def _of_job(digest: Digest, event: JobFinished) -> Failure:
    """Return why a job failed; if an instance of a `for_each` job has reported the error, only the reason."""
    is_known = event.reason and any(failure.error == event.error for failure in digest.failures)
    return Failure(event.job_id, error=None if is_known else event.error, reason=event.reason)


def _with(digest: Digest, failure: Failure) -> Digest:
    if len(digest.failures) >= MOST_FAILURES:
        return msgspec.structs.replace(digest, more=digest.more + 1)
    return msgspec.structs.replace(digest, failures=(*digest.failures, failure))
