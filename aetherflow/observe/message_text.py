"""Write what a message about a run says: the subject, the summary, the values for templates. Pure."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from aetherflow.cli_hints import show_command
from aetherflow.events.occasions import Occasion, is_message
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    RunEnd,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepFinished,
)
from aetherflow.language.dates import utc_text
from aetherflow.observe.event_text import one_line, shortened
from aetherflow.observe.run_failures import Digest, Failure, digested
from aetherflow.observe.run_summary import resume_command, summary_lines
from aetherflow.observe.time_words import rough_duration

SUBJECT_CHARACTERS = 200
SHORT_CHARACTERS = 1800
"""How long the short text may be: chat systems take 2,000 characters and more."""

NONE = "none"

LAST_LINES = 2
"""How many lines of a summary are never cut: the command that resumes the run, and how it ended."""

_CUT = "\n... (the run has more to say: see its log)\n"


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message about a run is made of.

    Attributes:
        event: what it reports.
        status: how the jobs of the run ended.
        reason: why, in a sentence; further lines are not in the last line of the summary.
        events: of the run (`ending_events`).
        state: the state database.
        ended_at: when its jobs ended.
        jobs: how many of its jobs ended how; `instances` and `steps` likewise, as `RunFinished` has them.
        item: the item that started the run; empty if none did.
        scheduled_at: the time of its tick.
        finished: the end of the run, if it is over.
        broken_since: for a recovery, when the failure was reported.
    """

    event: Occasion
    flow_id: str
    run_id: str
    status: RunEnd
    reason: str
    events: Sequence[Event]
    state: str
    ended_at: datetime
    jobs: dict[str, int] = {}
    instances: dict[str, int] = {}
    steps: dict[str, int] = {}
    item: str = ""
    scheduled_at: str = ""
    finished: RunFinished | None = None
    broken_since: str = ""


def message_values(facts: MessageFacts, prefix: str = "") -> dict[str, Any]:
    """Return what `notify` is in the templates of a message; `prefix` begins its subject and its text.

    What there is none of is `none`, as an empty text is no value in a template.
    """
    start, digest = _digest(facts)
    seconds = max((facts.ended_at - start.at).total_seconds(), 0.0) if start else 0.0
    finished = facts.finished or RunFinished(
        at=facts.ended_at,
        flow_id=facts.flow_id,
        run_id=facts.run_id,
        status=facts.status,
        reason=facts.reason.partition("\n")[0],
        jobs=facts.jobs,
        instances=facts.instances,
        steps=facts.steps,
        duration_seconds=round(seconds, 3),
    )
    has_ended = bool(facts.events) and facts.event != "late"
    subject = prefix + _subject(facts, digest)
    text = f"{subject}\n\n{_body(facts, finished, digest)}\n"
    return {
        "event": facts.event,
        "subject": subject,
        "text": text,
        "short": shortened_middle(text, SHORT_CHARACTERS),
        "status": facts.status,
        "reason": facts.reason or NONE,
        "failures": [_failure(one) for one in digest.failures],
        "resume": (resume_command(finished, digest) if has_ended else "") or NONE,
        "duration": rough_duration(seconds),
        "duration_seconds": round(seconds, 3),
        "flow": facts.flow_id,
        "run": facts.run_id or NONE,
        "item": facts.item or NONE,
        "scheduled_at": facts.scheduled_at or (utc_text(start.at) if start else NONE),
        "ended_at": utc_text(facts.ended_at),
        "host": platform.node(),
    }


def _body(facts: MessageFacts, finished: RunFinished, digest: Digest) -> str:
    """Return the summary of the run; of one that is late or that could not start, why."""
    if facts.event != "late" and facts.events:
        return "\n".join(summary_lines(finished, digest))
    ticked = f"item {facts.item}, tick {facts.scheduled_at}: " if facts.item else ""
    shown = f"\nlook at it: {show_command(facts.run_id, facts.state)}" if facts.events else ""
    return f"{ticked}{facts.reason}{shown}"


def _digest(facts: MessageFacts) -> tuple[RunStarted | RunResumed | None, Digest]:
    """Return how the run was started or resumed last, and what failed since."""
    start: RunStarted | RunResumed | None = None
    secrets: list[str] = []
    digest = Digest()
    for event in facts.events:
        if isinstance(event, JobStarted | JobFinished | StepFinished) and is_message(event.job_id):
            continue
        digest = digested(digest, event)
        if isinstance(event, RunStarted):
            secrets = event.secrets
        if isinstance(event, RunStarted | RunResumed):
            start = event
            persisted = RunPersisted(
                at=event.at, flow_id=facts.flow_id, run_id=facts.run_id, state=facts.state, secrets=secrets
            )
            digest = digested(digest, persisted)
    return start, digest


def _subject(facts: MessageFacts, digest: Digest) -> str:
    """Return the subject; of a reason of several lines it has the first, as the text has all of them."""
    name = f"{facts.item} ({facts.flow_id})" if facts.item not in ("", facts.flow_id) else facts.flow_id
    match facts.event:
        case "failure":
            why = _first_failure(digest) or facts.reason or "it failed"
            text = f"[FAILED] {name}: {why}"
        case "recovery":
            since = f"SUCCESS after a failure, reported {facts.broken_since}" if facts.broken_since else ""
            text = f"[RECOVERED] {name}: {since or facts.reason or 'SUCCESS after a failure'}"
        case "late":
            text = f"[LATE] {name}: {facts.reason}"
        case "success":
            text = f"[SUCCESS] {name}"
    return shortened(one_line(text.partition("\n")[0]), SUBJECT_CHARACTERS)


def _first_failure(digest: Digest) -> str:
    """Return the first failure in a line: `load.copy: AF732 exit code 1 (and 2 more)`."""
    if not digest.failures:
        return ""
    first, count = digest.failures[0], len(digest.failures) - 1 + digest.more
    where = f"{first.job_id}.{first.step_id}" if first.step_id else first.job_id
    message = first.error.message.partition("\n")[0] if first.error else ""
    why = f"{first.error.code} {message}" if first.error else first.reason
    return f"{where}: {why}" + (f" (and {count} more)" if count else "")


def _failure(failure: Failure) -> dict[str, Any]:
    error = failure.error
    return {
        "job": failure.job_id,
        "step": failure.step_id,
        "place": failure.place,
        "item": failure.item,
        "count": failure.count,
        "code": error.code if error else "",
        "message": error.message if error else failure.reason,
        "hint": error.hint if error else "",
    }


def shortened_middle(text: str, most: int) -> str:
    """Return a text of at most so many characters: its beginning and its last lines."""
    if len(text) <= most:
        return text
    *resume, end = text.rstrip("\n").split("\n")[-LAST_LINES:]
    last = "\n".join([*resume, shortened(end, most // 4)])[-most // 2 :]
    return text[: most - len(last) - len(_CUT)] + _CUT + last
