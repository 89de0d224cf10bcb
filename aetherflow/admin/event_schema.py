"""Build the JSON Schema of the records of events, from the Structs that they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events, schedule_events
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.lineage import Dataset, Statement
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.events.run_events import Event, RunFinished, StoredItems
from aetherflow.events.schedule_events import LeftFiring, UpcomingItem
from aetherflow.observe.event_record import Cut, EventRecord, own_fields, record_name
from aetherflow.observe.run_failures import Failure
from aetherflow.spec.json_schema import DRAFT, Schema, case, described

SUMMARY_FIELDS: dict[str, tuple[Any, str]] = {
    "failures": (list[Failure], "What failed, each distinct failure once: the first 20."),
    "more_failures": (int, "How many more failures there are."),
    "resume": (str, "The command that resumes the run, if it did not succeed."),
    "repeat": (str, "The command that makes the stale results of the run again, if it has any."),
}
"""What a `run_summary` has beside the fields of its event: types and meanings."""


_COMMON = {
    "added": "the items that are new.",
    "alert": "what is late.",
    "bundle": "the bundle that the flow comes from: its id, fingerprint, manifest and flow.",
    "cause": "what led to it.",
    "changed": "the items that are different.",
    "code": "the code that `explain-code` explains; absent if there is none.",
    "directory": "the working directory of the process.",
    "error": "code, message, kind, hint and detail of the error.",
    "file": "the scheduler file.",
    "flow_file": "the flow file, as it was given.",
    "is_first": "whether the file is loaded for the first time.",
    "item_count": "how many items the file has.",
    "items": "the items of the job; a file with them, if they are large.",
    "job_outputs": "what the step adds to the outputs of its job.",
    "key": "the effect, as `effect_intended` names it.",
    "origin": "`serve`: a server executes the run; absent: a person's command.",
    "outcome": "what became of the tick.",
    "outputs": "the outputs; of a large value a reference to its file.",
    "owner": "the process that executes the run.",
    "params": "the parameters; secrets are `***`.",
    "pool": "the pool.",
    "previous_server": "the server that had the firing.",
    "problem": "what is wrong in the file.",
    "removed": "the items that are gone.",
    "scheduled_at": "the time of the tick.",
    "selected_job": "the only job to run, with those it waits for.",
    "size": "how many slots the pool has.",
    "status": "how it ended.",
    "steps": "how many steps, by status.",
    "stream": "where the program wrote the line.",
    "ticks": "how many ticks it is about.",
    "upcoming": "the items, and when each fires next.",
    "wait_seconds": "how long until the next attempt.",
}
"""What fields mean of which the docstring of the event says nothing."""


_INNER = (
    BundleUse,
    Dataset,
    ErrorInfo,
    Failure,
    LeftFiring,
    Mark,
    MarkUse,
    Statement,
    StoredItems,
    UpcomingItem,
)
"""The Structs in events."""


def event_types() -> Iterator[type[Event]]:
    """Iterate over every kind of event, those of runs first."""
    for module in (run_events, schedule_events):
        for found in list(vars(module).values()):
            is_here = isinstance(found, type) and found.__module__ == module.__name__
            if is_here and issubclass(found, Event) and not found.__subclasses__():
                yield found


def own_struct(kind: type[Event]) -> type[msgspec.Struct]:
    """Return a Struct with the fields that the records of a kind of event have of their own."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    wanted: list[tuple[str, Any, Any]] = [(name, fields[name].type, None) for name in own_fields(kind)]
    if kind is RunFinished:
        wanted += [(name, type_, None) for name, (type_, _) in SUMMARY_FIELDS.items()]
    return msgspec.defstruct(record_name(kind), wanted, kw_only=True)


def meanings(kind: type[Event]) -> dict[str, str]:
    """Return what the fields that a kind of event has of its own mean."""
    _, found = described(kind)
    more = {name: about for name, (_, about) in SUMMARY_FIELDS.items()} if kind is RunFinished else {}
    common = {name: _COMMON[name] for name in own_fields(kind) if name not in found}
    return {name: (found | common)[name] for name in own_fields(kind)} | more


def event_schema() -> Schema:
    """Return the JSON Schema (draft-07) of a record, of whatever kind of event."""
    kinds = list(event_types())
    structs = [own_struct(kind) for kind in kinds]
    _, definitions = msgspec.json.schema_components(
        [EventRecord, Cut, *structs], ref_template="#/definitions/{name}"
    )
    for kind in kinds:
        own = definitions[record_name(kind)]
        own["description"] = " ".join(described(kind)[0].split())
        _describe(own, meanings(kind))
    record = definitions.pop("EventRecord")
    _describe(record, described(EventRecord)[1])
    _describe(definitions["Cut"], described(Cut)[1])
    for struct in _INNER:
        about = described(struct)[1]
        named = {field.encode_name: about[field.name] for field in msgspec.structs.fields(struct)}
        _describe(definitions[struct.__name__], named)
    record["properties"]["timestamp"]["format"] = "date-time"
    record["properties"]["cut"] = {"$ref": "#/definitions/Cut"}
    for length, name in ((32, "trace_id"), (16, "span_id")):
        record["properties"][name]["pattern"] = f"^[0-9a-f]{{{length}}}$"
    cases = [case("event", [name], {"$ref": f"#/definitions/{name}"}) for name in map(record_name, kinds)]
    return {
        "$schema": DRAFT,
        "title": "AetherFlow event record",
        **{key: value for key, value in record.items() if key != "title"},
        "allOf": cases,
        "definitions": definitions,
    }


def _describe(schema: Schema, about: dict[str, str]) -> None:
    """Put descriptions of fields into a schema; what is beside a reference is not read in draft-07."""
    for name, field in schema["properties"].items():
        field.pop("default", None)  # what does not apply is absent, and has no default
        if name in about:
            words = field.setdefault("description", about[name])
            if "$ref" in field:
                schema["properties"][name] = {"allOf": [{"$ref": field["$ref"]}], "description": words}
