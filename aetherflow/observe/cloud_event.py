"""Wrap the record of an event as a CloudEvent (CloudEvents 1.0, JSON). Imports the record's type only."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from aetherflow.observe.event_record import EventRecord


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of a CloudEvent; `data` follows, the record.

    Attributes:
        specversion: the version of CloudEvents.
        id: the run and the place of the event in it: `RUN/SEQ`, `RUN/SEQ.SUB_SEQ`; of a server its time and
            its number.
        source: `/aetherflow/flows/FLOW` or `/aetherflow/schedulers/SCHEDULER`.
        type: `aetherflow.` and the kind of event.
        subject: the job or step it is about: `JOB`, `JOB/STEP`.
        time: when it happened.
        datacontenttype: what `data` is.
        traceparent: trace and span, as W3C Trace Context writes them.
    """

    specversion: str
    id: str
    source: str
    type: str
    subject: str = ""
    time: str
    datacontenttype: str
    traceparent: str = ""


def cloud_event(head: EventRecord, line: bytes) -> bytes:
    """Return the line of a CloudEvent, given the common fields of a record and its line."""
    time = head.timestamp.isoformat().replace("+00:00", "Z")
    place = f"{head.seq}.{head.sub_seq}" if head.sub_seq else str(head.seq)
    subject = f"{head.job_id}/{head.step_id}" if head.step_id else head.job_id
    source = f"flows/{_quoted(head.flow_id)}"
    if head.scheduler or not head.flow_id:
        place, source = f"{time}.{head.sub_seq}", f"schedulers/{_quoted(head.scheduler)}"
    envelope = Envelope(
        specversion="1.0",
        id=f"{head.run_id}/{place}" if head.run_id else place,
        source=f"/aetherflow/{source}",
        type=f"aetherflow.{head.event}",
        subject=subject,
        time=time,
        datacontenttype="application/json",
        traceparent=f"00-{head.trace_id}-{head.span_id}-01" if head.trace_id else "",
    )
    return msgspec.json.encode(envelope)[:-1] + b',"data":' + line.rstrip(b"\n") + b"}\n"


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="backslashreplace")
