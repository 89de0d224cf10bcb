"""Choose the events that a page shows, each with one sentence."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from aetherflow.admin.run_report.event_pass import RunPass
from aetherflow.admin.run_report.masking import Masking
from aetherflow.admin.run_report.short_texts import cut
from aetherflow.cli_hints import events_command
from aetherflow.observe.event_record import Recorder
from aetherflow.web.model import EventLine, EventTable

MESSAGE_CHARACTERS = 500


def event_table(found: RunPass, run_id: str, named_state: Path | str, masking: Masking) -> EventTable:
    """Return the table of the events that were kept."""
    recorder = Recorder()
    lines = []
    for event in found.kept:
        record = recorder.record(event)
        job, step = record.get("job_id", ""), record.get("step_id", "")
        where, message = f"{job}.{step}" if step else job, masking.text(record["message"])
        if where:  # the message begins with it
            message = message.removeprefix(f"{where}: ")
        lines.append(
            EventLine(
                event.seq,
                event.at.astimezone(UTC),
                record["level"],
                record["event"],
                masking.text(where),
                cut(message, MESSAGE_CHARACTERS),
            )
        )
    command = events_command(run_id, named_state)
    if len(lines) == found.total:
        return EventTable(tuple(lines), found.total, "Times are UTC.", command)
    note = (
        f"{len(lines):,} of {found.total:,} events: the first, the last, warnings and errors between them. "
        "Times are UTC."
    )
    return EventTable(tuple(lines), found.total, note, command)
