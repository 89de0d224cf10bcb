"""Mask secrets in the transient events of steps, before any observer sees them. May import `redaction`."""

from __future__ import annotations

from msgspec.structs import replace

from aetherflow.events.run_events import Event, Notice, StepOutput, StepProgress
from aetherflow.redaction import Redactor


def masked(event: Event, redactor: Redactor) -> Event:
    """Return the event without the secrets that the text of a step's author may hold."""
    match event:
        case Notice():
            return replace(event, message=redactor.text(event.message))
        case StepOutput():
            return replace(event, text=redactor.text(event.text))
        case StepProgress():
            return replace(event, note=redactor.text(event.note), unit=redactor.text(event.unit))
        case _:
            return event
