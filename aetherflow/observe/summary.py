"""The end of a run for people: how it ended, what failed and why, and the command that goes on."""

from __future__ import annotations

import shlex
from datetime import UTC, tzinfo

import msgspec

from aetherflow.engine.events import (
    BundleUse,
    Event,
    JobFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
)
from aetherflow.errors import ErrorInfo
from aetherflow.observe.text import INDENT, indented, one_line, problem, render_text

MOST_FAILURES = 20
"""How many failures a summary lists; a person reads the first ones, a query finds the others."""


class Failure(msgspec.Struct, frozen=True):
    """A step or a job that failed, and why."""

    job_id: str
    where: str
    error: ErrorInfo | None
    reason: str = ""


class Digest(msgspec.Struct, frozen=True):
    """What the summary of a run needs from its earlier events."""

    flow_file: str = ""
    selected_job: str = ""
    bundle: BundleUse | None = None
    failures: tuple[Failure, ...] = ()
    more: bool = False


def digested(digest: Digest, event: Event) -> Digest:
    """Return the digest with one more event in it."""
    match event:
        case RunStarted() | RunResumed():
            return Digest(event.flow_file, event.selected_job, event.bundle)
        case StepFinished(status="FAILED"):
            where = f"{event.job_id}.{event.step_id} ({event.step_type})"
            return _with(digest, Failure(event.job_id, where, event.error, event.reason))
        case JobFinished(status="FAILED") if not _is_told(digest, event):
            return _with(digest, Failure(event.job_id, event.job_id, event.error, event.reason))
        case _:
            return digest


def render_summary(event: RunFinished, digest: Digest, *, zone: tzinfo | None = UTC) -> str:
    """Return the last record of a run for people, a short block of lines."""
    lines = [render_text(event, zone=zone) or ""]
    for failure in digest.failures:
        why = problem(failure.error) if failure.error else indented(failure.reason or "no reason given")
        lines.append(f"{INDENT}failed: {one_line(failure.where)}: {why}")
    if digest.more:
        lines.append(f"{INDENT}and more: {_show_command(event.run_id, digest)}")
    if event.status != "SUCCESS":
        lines.append(f"{INDENT}resume: {resume_command(event.run_id, digest)}")
    return "\n".join(lines)


def resume_command(run_id: str, digest: Digest) -> str:
    """Return the command line that goes on with a run."""
    flow_file = shlex.quote(digest.flow_file) if digest.flow_file else "FLOW"
    if digest.bundle is not None:  # its snapshot is not enough: the manifest says what the flow may do
        manifest = shlex.quote(digest.bundle.manifest)
        flow_file = f"{shlex.quote(digest.bundle.flow)} --bundle-manifest {manifest}"
    job = f" --flow-job {shlex.quote(digest.selected_job)}" if digest.selected_job else ""
    return one_line(f"aetherflow run {flow_file} --run-id {shlex.quote(run_id)}{job}")


def _show_command(run_id: str, digest: Digest) -> str:
    """Return the command line that shows all of a run, in the state database that its flow names."""
    flow = f" --flow-yaml {shlex.quote(digest.flow_file)}" if digest.flow_file else ""
    return one_line(f"aetherflow runs show {shlex.quote(run_id)}{flow}")


def _is_told(digest: Digest, event: JobFinished) -> bool:
    """Whether the job failed with what one of its steps failed with, or says nothing new."""
    same_job = [failure for failure in digest.failures if failure.job_id == event.job_id]
    if event.error is None:
        return bool(same_job)
    return any(failure.error and failure.error.message == event.error.message for failure in same_job)


def _with(digest: Digest, failure: Failure) -> Digest:
    if len(digest.failures) >= MOST_FAILURES:
        return msgspec.structs.replace(digest, more=True)
    return msgspec.structs.replace(digest, failures=(*digest.failures, failure))
