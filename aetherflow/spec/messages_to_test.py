"""Read the messages of a flow or a scheduler file as a flow that sends each of them now. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.flow import FlowFile, FlowMeta, JobSpec, NotifySpec, ParamSpec
from aetherflow.spec.messages import address_of, message_resource, message_step, wrong_keys
from aetherflow.spec.on_late import OnLateDocument
from aetherflow.spec.schedule import ScheduleFile

EVENT = "test_event"
"""The parameter of such a flow that says what the messages report."""

OWN = "own"
"""Each message reports the first thing that it is on for."""


def flow_to_test(spec: FlowFile | ScheduleFile, document: Document, event: str) -> tuple[FlowFile, Document]:
    """Return a flow with a job for each message that reports the event, and the document for diagnostics."""
    is_flow = isinstance(spec, FlowFile)
    jobs, resources = list[JobSpec](), dict(spec.resources)
    places, addresses = list[tuple[NodePath, ...]](), dict[str, NodePath]()
    for number, (entry, place) in enumerate(_entries(spec), 1):
        is_wrong = any(wrong_keys(entry, spec.resources, is_in_flow=is_flow))
        if is_wrong or event not in (OWN, *entry.on):
            continue
        name = address_of(number)
        if (resource := message_resource(entry)) is not None:
            resources[name], addresses[name] = resource, (*place, "url")
        step = message_step(entry, number, name)
        jobs.append(JobSpec(id=f"message-{number}", steps=[step], timeout_seconds=entry.timeout_seconds))
        places.append((place, place))
    meta = FlowMeta(id=_id(spec), params={EVENT: ParamSpec(default=OWN)})
    flow = FlowFile(version=1, flow=meta, jobs=jobs, resources=resources)
    return flow, OnLateDocument.of(document, places, addresses)


def _id(spec: FlowFile | ScheduleFile) -> str:
    return spec.flow.id if isinstance(spec, FlowFile) else spec.id or "scheduler"


def _entries(spec: FlowFile | ScheduleFile) -> Iterator[tuple[NotifySpec, NodePath]]:
    """Yield the entries of `notify` with their places: of a scheduler file first those of all items."""
    if isinstance(spec, FlowFile):
        yield from ((entry, ("flow", "notify", n)) for n, entry in enumerate(spec.flow.notify))
        return
    yield from ((entry, ("notify", n)) for n, entry in enumerate(spec.notify))
    for number, item in enumerate(spec.items):
        yield from ((entry, ("items", number, "notify", n)) for n, entry in enumerate(item.notify or []))
