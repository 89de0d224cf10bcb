"""Read the ends of the logs of a run: of steps that failed first, until the page has enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut
from aetherflow.admin.step_logs import StepLog, seek_last_lines
from aetherflow.events.nested_steps import outer_step
from aetherflow.observe.event_text import one_line
from aetherflow.web.model import Logs, LogTail

MOST_LOGS = 120
MOST_BYTES = 1_500_000
"""All logs of a page together."""
TAIL_LINES = 200
TAIL_BYTES = 48 * 1024
LINE_CHARACTERS = 2000
OPEN_AT_FIRST = 1

_FAILED = ("FAILED", "INTERRUPTED", "CANCELLED", "RUNNING")

Attempts = Mapping[tuple[str, str, int], str]
"""How each attempt of a step ended, by job, step and attempt."""


class Tail(msgspec.Struct, frozen=True):
    """The last lines of a file; `is_cut`: there are others before them, or longer ones."""

    lines: tuple[str, ...]
    is_cut: bool


def read_tail(path: Path, most_lines: int, masking: Masking) -> Tail:
    """Return the last lines of a log, without control characters and secrets. Blocking.

    What a program has overwritten in its line (a carriage return) is left out.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        seek_last_lines(file, most_lines)
        start = file.tell()
        data = file.read(TAIL_BYTES + 1)
        while len(data) > TAIL_BYTES:  # long lines: only what fits, from the end
            start += max(path.stat().st_size - start - TAIL_BYTES, 1)
            file.seek(start)
            data = file.read(TAIL_BYTES + 1)
    is_cut = start > 0
    lines = []
    for raw in masking.redactor.bytes(data).decode(errors="replace").removesuffix("\n").split("\n"):
        shown = one_line(raw.rstrip("\r").rpartition("\r")[2])
        is_cut = is_cut or len(shown) > LINE_CHARACTERS
        lines.append(cut(masking.text(shown), LINE_CHARACTERS))
    return Tail(tuple(lines) if data else (), is_cut)


def log_tails(
    found: Sequence[StepLog],
    statuses: Attempts,
    folder: Path,
    command: str,
    masking: Masking,
) -> Logs:
    """Return the ends of the logs: those of steps that failed first, then as they were written. Blocking.

    Args:
        found: all logs of the run.
        statuses: how the attempts ended.
        folder: where the logs are.
        command: the command that prints all of them.
        masking: what must not be seen.
    """
    numbered = list(enumerate(found))
    ranked = sorted(
        numbered, key=lambda one: _status(one[1], statuses) not in _FAILED
    )  # stable: failed first
    shown: dict[int, LogTail] = {}
    room = MOST_BYTES
    for number, log in ranked:
        if len(shown) >= MOST_LOGS or room <= 0:
            break
        if not log.size_bytes:
            continue
        try:
            tail = read_tail(log.path, TAIL_LINES, masking)
        except OSError as error:
            tail = Tail((f"it cannot be read: {error.strerror or error}",), is_cut=True)
        room -= sum(map(len, tail.lines))
        status = _status(log, statuses)
        shown[number] = LogTail(
            anchor_of(number),
            masking.text(f"{log.job_id}.{log.step_id}"),
            log.attempt,
            status,
            str(log.path),
            log.size_bytes,
            tail.lines,
            tail.is_cut,
            is_open=status == "FAILED" and sum(one.is_open for one in shown.values()) < OPEN_AT_FIRST,
        )
    written = sum(1 for log in found if log.size_bytes)
    tails = tuple(shown.values())
    return Logs(tails, written, _note(tails, written, folder), command if written else "")


def anchor_of(number: int) -> str:
    """Return the anchor of the log with this number."""
    return f"log-{number}"


def log_anchors(found: Iterable[StepLog], statuses: Attempts, shown: Logs) -> dict[tuple[str, str], str]:
    """Return the anchor of the newest log of each step that is shown."""
    there = {one.anchor for one in shown.tails}
    return {
        (log.job_id, _step_of(log, statuses)): anchor
        for number, log in enumerate(found)
        if (anchor := anchor_of(number)) in there
    }


def _step_of(log: StepLog, statuses: Attempts) -> str:
    """Return the step whose attempt wrote a log; a step inside another one has no end of its own."""
    return outer_step(log.step_id, lambda name: (log.job_id, name, log.attempt) in statuses)


def _status(log: StepLog, statuses: Attempts) -> str:
    return statuses.get((log.job_id, _step_of(log, statuses), log.attempt), "PENDING")


def _note(tails: Sequence[LogTail], written: int, folder: Path) -> str:
    if not written:
        return "No step wrote a log."
    some = f"{len(tails):,} of {written:,} logs, those of failed steps first. "
    last = f"Of each log the last {TAIL_LINES} lines are shown, at most {TAIL_BYTES // 1024} KiB. "
    return (some if len(tails) < written else "") + last + f"They are in {folder}."
