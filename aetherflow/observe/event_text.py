"""Render an event for people, on one line: `time LEVEL where  what`.

What has several lines, as a traceback, has the time and the level on each of them. A value never starts a
line and never reaches the terminal as a control sequence, so that the output of a program cannot pass for a
record or repaint the screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache, singledispatch
from typing import Any

from msgspec.structs import replace

from aetherflow.errors import ErrorInfo
from aetherflow.events.event_words import (
    RESULT_REFUSED,
    place_text,
    progress_text,
    refused_text,
    waits_for,
    waits_for_lock,
)
from aetherflow.events.marks import MarkUse
from aetherflow.events.run_events import (
    CancelRequested,
    EffectConfirmed,
    EffectIntended,
    Event,
    HooksStarted,
    JobFinished,
    JobStarted,
    LockAwaited,
    LockTaken,
    Notice,
    ResultRefused,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepEvent,
    StepFinished,
    StepOutput,
    StepPlaced,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.observe.event_level import level_of
from aetherflow.observe.line_writer import json_line

MINUTE = 60
HOUR = 60 * MINUTE

_COLOUR = r"\x1b\[[0-?]*[ -/]*[@-~]"  # compiled where the first text has such: many runs print none
_CONTROL = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
"""Control characters but tab, halves of characters, and what changes the order in which others are shown."""

_CAUSE = {
    "request": "cancel requested",
    "timeout": "timed out",
    "fail_fast": "stops at the first failure",
    "stop": "left to the next server",
}
_WORD = {"debug": "DEBUG", "info": "INFO ", "warning": "WARN ", "error": "ERROR"}


def one_line(text: str) -> str:
    """Return the text without colours, all on one line: control characters but tab are shown as escapes.

    So is what reverses the order of others (such as U+202E): it could show another text than there is.
    """
    if text.isprintable():
        return text
    plain = re.sub(_COLOUR, "", text)
    return re.sub(_CONTROL, lambda found: found[0].encode("unicode_escape").decode(), plain)


def safe_lines(text: str, before: str = "") -> str:
    """Return the text with its lines, each free of control characters; further ones are indented."""
    return f"\n{before}  ".join(one_line(line) for line in text.splitlines())


def flat(text: str) -> str:
    """Return a text of several lines on one line."""
    return one_line("; ".join(line.strip() for line in text.splitlines() if line.strip()))


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text that is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def duration(seconds: float) -> str:
    """Return a duration as people write it: `0.21 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < MINUTE and round(seconds, 2) < MINUTE:
        return f"{seconds:.2f} s"
    if round(seconds) < HOUR:
        minutes, rest = divmod(round(seconds), MINUTE)
        return f"{minutes} min {rest:02} s"
    hours, rest = divmod(round(seconds), HOUR)
    return f"{hours} h {rest // MINUTE:02} min"


def counts(numbers: dict[str, int]) -> str:
    """Return counts by status as words: `3 SUCCESS, 1 FAILED`."""
    return ", ".join(f"{number} {status}" for status, number in numbers.items() if number) or "none"


def problem(error: ErrorInfo) -> str:
    """Return an error as `CODE: message` without the further lines of it; the summary of the run has them."""
    return one_line(f"{error.code}: {error.message}".partition("\n")[0])


def moment(at: datetime) -> str:
    """Return a time with its date and offset: `2026-11-29T06:31:02+01:00`, or `Z` for UTC."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def head(event: Event, zone: tzinfo | None, *, dated: bool) -> str:
    """Return how the line of an event begins: its time, with date and offset where `dated`, and its level."""
    return f"{_clock(event.at.replace(microsecond=0), zone, dated=dated)} {_WORD[level_of(event)]} "


@lru_cache(maxsize=16)  # a batch of events is of few seconds
def _clock(at: datetime, zone: tzinfo | None, *, dated: bool) -> str:
    local = at.astimezone(zone)
    return moment(local) if dated else f"{local:%H:%M:%S}"


def render_text(
    event: Event,
    *,
    zone: tzinfo | None = UTC,
    detail: bool = False,
    dated: bool = False,
    before: str = "",
    output: Callable[[StepOutput], str] | None = None,
) -> str | None:
    """Return an event as a line for people, or None if it is not for them.

    Args:
        event: what happened.
        zone: the zone of the time shown; None is the machine's own.
        detail: also show outputs.
        dated: the time is shown with its date and offset.
        before: what each line has before its words.
        output: how to show what a program wrote; None: whole, without its colours.
    """
    if isinstance(event, RunStarted | RunResumed):  # their words have the time too: one zone in a line
        event = replace(event, at=event.at.astimezone(zone))
    if isinstance(event, StepOutput):
        if event.is_unfinished:
            return None
        shown = one_line(event.text.rstrip()) if output is None else output(event)
        return f"{head(event, zone, dated=dated)}{before}{_step(event)} | {shown}".rstrip()
    words = sentence(event)
    if words is None:
        return None
    if detail and isinstance(event, StepFinished | JobFinished) and event.outputs:
        words += f"; outputs: {_json(event.outputs)}"
    start = head(event, zone, dated=dated) + before
    return "\n".join(start + line for line in words.split("\n"))


@singledispatch
def sentence(event: Event) -> str | None:  # noqa: ARG001 - an event without words of its own is not shown
    """Return in words where something happened, and what."""
    return None


@sentence.register
def _(event: RunStarted) -> str:
    only = f", job {one_line(event.selected_job)} only" if event.selected_job else ""
    given = f", params {_json(event.params)}" if event.params else ""
    return f"{_run(event)}  started at {moment(event.at)}: {one_line(event.flow_file)}{only}{given}"


@sentence.register
def _(event: RunResumed) -> str:
    only = f", job {one_line(event.selected_job)} only" if event.selected_job else ""
    again = f", runs again: {one_line(', '.join(event.rerun))}" if event.rerun else ""
    return f"{_run(event)}  resumed at {moment(event.at)}, attempt {event.attempt}{only}{again}"


@sentence.register
def _(event: RunPersisted) -> str:
    return f"{_run(event)}  stored in {one_line(event.state)}"


@sentence.register
def _(event: CancelRequested) -> str:
    return f"{_run(event)}  {_CAUSE[event.cause]}: {flat(event.reason)}"


@sentence.register
def _(event: HooksStarted) -> str:
    return f"{_run(event)}  ends {event.status}{_because(event.reason)}; its hooks run now"


@sentence.register
def _(event: RunFinished) -> str:
    return f"{_run(event)}  {event.status} in {duration(event.duration_seconds)}{_because(event.reason)}"


@sentence.register
def _(event: JobStarted) -> str:
    items = "" if event.items is None else f", {len(event.items)} items"
    item = f": {one_line(event.item)}" if event.item else ""
    return f"{one_line(event.job_id)}  started{items}{item}"


@sentence.register
def _(event: JobFinished) -> str:
    # With a reason, a step has reported the error; without, it is an error of the job itself.
    error = None if event.reason else event.error
    return f"{one_line(event.job_id)}  {event.status}{_because(event.reason, error)}"


@sentence.register
def _(event: StepStarted) -> str:
    given = f", waits for a worker of {one_line(event.executor)}" if event.executor else ""
    return f"{_step(event)}  {one_line(event.step_type)} started{_attempt(event.attempt)}{given}"


@sentence.register
def _(event: StepPlaced) -> str:
    place = one_line(place_text(event.executor, event.worker, event.host))
    how = "still runs on" if event.is_reattached else "runs on"
    return f"{_step(event)}  {one_line(event.step_type)} {how} {place}{_attempt(event.attempt)}"


@sentence.register
def _(event: ResultRefused) -> str:
    what = refused_text(event.attempt, event.executor, event.worker, event.host, event.reason)
    return f"{_step(event)}  {RESULT_REFUSED}: {one_line(what)}"


@sentence.register
def _(event: StepWaiting) -> str:
    return f"{_step(event)}  {one_line(event.step_type)} {one_line(waits_for(event))}"


@sentence.register
def _(event: StepRetrying) -> str:
    return (
        f"{_step(event)}  {one_line(event.step_type)} attempt {event.attempt} failed, "
        f"retry in {duration(event.wait_seconds)}: {problem(event.error)}"
    )


@sentence.register
def _(event: StepFinished) -> str:
    return (
        f"{_step(event)}  {one_line(event.step_type)} {event.status} in {duration(event.duration_seconds)}"
        f"{_attempt(event.attempt)}{_because(event.reason, event.error)}"
        f"{_marks(event.marks) if event.marks else ''}"
    )


def _marks(marks: Mapping[str, MarkUse]) -> str:
    return "".join(f"; mark {one_line(name)}: {one_line(str(use))}" for name, use in marks.items())


@sentence.register
def _(event: LockAwaited) -> str:
    at_most = f", at most {duration(event.wait_seconds)}"
    return f"{_step(event)}  {one_line(event.step_type)} {one_line(waits_for_lock(event))}{at_most}"


@sentence.register
def _(event: LockTaken) -> str:
    waited = duration(event.waited_seconds)
    return f"{_step(event)}  {one_line(event.step_type)} has the lock {one_line(event.lock)} after {waited}"


@sentence.register
def _(event: EffectIntended) -> str:
    return f"{_step(event)}  intends: {one_line(event.key)}"


@sentence.register
def _(event: EffectConfirmed) -> str:
    how = "already done" if event.verified else "done"
    return f"{_step(event)}  {how}: {one_line(event.key)}"


@sentence.register
def _(event: StepProgress) -> str:
    return f"{_step(event)}  {one_line(progress_text(event))}"


@sentence.register
def _(event: Notice) -> str:
    where = f"{_step(event)}  " if event.job_id else ""
    code = f"{one_line(event.code)}: " if event.code else ""
    return f"{where}{code}{safe_lines(event.message, where)}"


def _run(event: Event) -> str:
    return f"run {one_line(event.run_id)} of {one_line(event.flow_id)}"


def _step(event: StepEvent) -> str:
    return one_line(f"{event.job_id}.{event.step_id}" if event.step_id else event.job_id)


def _attempt(number: int) -> str:
    return f" (attempt {number})" if number > 1 else ""


def _because(reason: str, error: ErrorInfo | None = None) -> str:
    if error is not None:
        return f": {problem(error)}"
    return f": {flat(reason)}" if reason else ""


def _json(value: dict[str, Any]) -> str:
    return one_line(json_line(value).decode().rstrip())
