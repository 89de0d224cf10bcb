"""Gather what failed in a run from its events: each distinct failure once. Pure."""

from __future__ import annotations

import re

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events.occasions import is_message
from aetherflow.events.planned_jobs import PlannedJob
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepEvent,
    StepFinished,
)
from aetherflow.events.stale_readers import job_of

MOST_FAILURES = 20
"""How many distinct failures a summary lists; `runs show` lists the others."""

MOST_ITEMS = 5
"""How many items of instances that failed in the same way are named."""

LONG_WORD = 3
"""Shorter words of an item are compared with whole words only: they are parts of too many others."""

_BETWEEN_WORDS = re.compile(r"""([\s'"/\\=:,;()\[\]{}]+)""")
_NUMBER = re.compile(r"\d")


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step or a job that failed; instances of a `for_each` that failed in the same way are one failure.

    Attributes:
        job_id: the job, or the instance of a job with `for_each`: the first one of several.
        step_id: the step; absent if the job itself failed.
        step_type: the type of the step.
        item: the item of the instance, in few characters.
        place: where the step or the job is in the flow file: `flow.yaml:12`; absent if unknown.
        count: how many instances failed in this way; absent if it is one.
        items: the items of the first of several instances.
        of: how many instances the job has.
        error: its code, message, hint ...
        reason: why, without an error.
    """

    job_id: str
    step_id: str = ""
    step_type: str = ""
    item: str = ""
    place: str = ""
    count: int = 1
    items: tuple[str, ...] = ()
    of: int = 0
    error: ErrorInfo | None = None
    reason: str = ""


class Digest(msgspec.Struct, frozen=True):
    """What the summary of a run needs from its earlier events.

    Attributes:
        state: the state database.
        is_usual_state: whether a command that names no database finds this one.
        logs: the folder of the step logs.
        secrets: the parameters that a resume must be given again.
        failures: what failed, each distinct failure once.
        more: how many failures are not in the list.
        flow_file: the flow file, as the user named it.
        executor: what `--executor` named.
        plan: the jobs of the flow, with their lines.
        items: the item of each instance that runs.
        sizes: of each job with `for_each` how many instances it has.
        reported: the running jobs of which a step, or an instance, has failed: their end is the same failure.
        patterns: of each failure what instances that fail in the same way have in common.
    """

    state: str = ""
    is_usual_state: bool = False
    logs: str = ""
    secrets: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    more: int = 0
    flow_file: str = ""
    executor: str = ""
    plan: list[PlannedJob] = []
    items: dict[str, str] = {}
    sizes: dict[str, int] = {}
    reported: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    @property
    def named_state(self) -> str:
        """The database that commands about the run must name; empty if they find it."""
        return "" if self.is_usual_state else self.state


def log_file(logs: str, event: StepEvent) -> str:
    """Return the log file of a step, in the folder of the logs of its run."""
    return f"{logs}/{event.job_id}/{event.step_id}.{event.attempt}.log"


def digested(digest: Digest, event: Event) -> Digest:
    """Return the digest with one more event in it."""
    match event:
        case RunStarted() | RunResumed():
            return Digest(flow_file=event.flow_file, executor=event.executor, plan=event.plan)
        case RunPersisted():
            return msgspec.structs.replace(
                digest,
                state=event.state,
                is_usual_state=event.is_usual_state,
                logs=event.logs,
                secrets=tuple(event.secrets),
            )
        case JobStarted():
            return _with_start(digest, event)
        case StepFinished(status="FAILED"):
            reported = digest.reported | {event.job_id, job_of(event.job_id)}
            failure = Failure(
                event.job_id, event.step_id, event.step_type, error=event.error, reason=event.reason
            )
            return _with(msgspec.structs.replace(digest, reported=reported), failure)
        case JobFinished(status="CANCELLED") if is_message(event.job_id):
            reason = f"the message was cut off, it may not have been sent: {event.reason}"
            return _with(digest, Failure(event.job_id, reason=reason))
        case JobFinished():
            return _with_end(digest, event)
        case _:
            return digest


def _with_start(digest: Digest, event: JobStarted) -> Digest:
    if event.items is not None:
        return msgspec.structs.replace(digest, sizes=digest.sizes | {event.job_id: len(event.items)})
    if event.item:
        return msgspec.structs.replace(digest, items=digest.items | {event.job_id: event.item})
    return digest


def _with_end(digest: Digest, event: JobFinished) -> Digest:
    if event.status == "FAILED" and not _is_reported(digest, event):
        if "[" in event.job_id:
            digest = msgspec.structs.replace(digest, reported=digest.reported | {job_of(event.job_id)})
        digest = _with(digest, Failure(event.job_id, error=event.error, reason=event.reason))
    gone = {event.job_id}
    if event.job_id in digest.reported:
        digest = msgspec.structs.replace(digest, reported=digest.reported - gone)
    if event.job_id in digest.items:
        items = {job_id: item for job_id, item in digest.items.items() if job_id not in gone}
        digest = msgspec.structs.replace(digest, items=items)
    return digest


def _is_reported(digest: Digest, event: JobFinished) -> bool:
    """Whether the failure of a job is that of a step or an instance of it.

    With a reason, a step or an instance has reported the error; without, it is an error of the job itself.
    """
    return event.job_id in digest.reported and (bool(event.reason) or _has_message(digest, event.error))


def _has_message(digest: Digest, error: ErrorInfo | None) -> bool:
    return error is None or any(
        failure.error and failure.error.message == error.message for failure in digest.failures
    )


def _with(digest: Digest, failure: Failure) -> Digest:
    """Return the digest with one more failure, counted with those that differ only in their items."""
    item = digest.items.get(failure.job_id, "")
    pattern = pattern_of(failure, item)
    if pattern in digest.patterns:
        at = digest.patterns.index(pattern)
        failures = [*digest.failures]
        failures[at] = _counted(failures[at], failure.job_id, item)
        return msgspec.structs.replace(digest, failures=tuple(failures))
    if len(digest.failures) >= MOST_FAILURES:
        return msgspec.structs.replace(digest, more=digest.more + 1)
    job_id = job_of(failure.job_id)
    failure = msgspec.structs.replace(
        failure, item=item, place=_place(digest, job_id, failure.step_id), of=digest.sizes.get(job_id, 0)
    )
    return msgspec.structs.replace(
        digest, failures=(*digest.failures, failure), patterns=(*digest.patterns, pattern)
    )


def _counted(known: Failure, job_id: str, item: str) -> Failure:
    """Return a failure with one more instance that failed in the same way."""
    first = known.items or (known.item or known.job_id,)
    items = first if len(first) >= MOST_ITEMS else (*first, item or job_id)
    return msgspec.structs.replace(known, count=known.count + 1, items=items)


def _place(digest: Digest, job_id: str, step_id: str) -> str:
    """Return the place of a step, else of its job; looked for only when something failed."""
    for job in digest.plan:
        if job.id == job_id:
            line = next((step.line for step in job.steps if step.id == step_id), 0) or job.line
            return f"{digest.flow_file}:{line}" if line else ""
    return ""


def pattern_of(failure: Failure, item: str) -> str:
    """Return what failures of instances have in common: the text without words of the item and numbers."""
    error = failure.error
    code, text, exit_code = "", failure.reason, None
    if error is not None:
        code, text, exit_code = error.code, error.message, error.detail.get("exit_code")
    if "[" in failure.job_id:
        own = {*_BETWEEN_WORDS.split(item)}
        for word in sorted((item, *own), key=len, reverse=True):
            if len(word) >= LONG_WORD:  # it may be a part of a name: `tables/WORD.csv`
                text = text.replace(word, "*")
        words = ("*" if word in own or _NUMBER.search(word) else word for word in _BETWEEN_WORDS.split(text))
        text = "".join(words)
    return f"{job_of(failure.job_id)}/{failure.step_id}/{code}/{exit_code}/{text}"
