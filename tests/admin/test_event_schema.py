"""The JSON Schema of records: every kind of event is in it, each field has a meaning, every record fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from aetherflow.admin.event_schema import event_schema, event_types, meanings
from aetherflow.events import run_events, schedule_events
from aetherflow.observe.event_record import Recorder, record_name
from tests.observe.test_every_event_is_shown import CASES
from tests.observe.test_schedule_text import CASES as OF_SCHEDULERS

SCHEMA = event_schema()
CHECK = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
EVENTS = [event for event, _ in CASES] + [event for event, _ in OF_SCHEDULERS]
IDS = [f"{type(event).__name__}-{number}" for number, event in enumerate(EVENTS)]


def test_every_kind_of_event_has_a_definition_in_which_every_field_has_a_meaning() -> None:
    kinds = list(event_types())

    assert {type(event) for event in EVENTS} == set(kinds)
    assert {kind.__module__ for kind in kinds} == {run_events.__name__, schedule_events.__name__}
    for kind in kinds:
        properties = SCHEMA["definitions"][record_name(kind)]["properties"]
        assert all(field.get("description") for field in properties.values()), kind
        assert meanings(kind).keys() == properties.keys()
    assert all(field["description"] for name, field in SCHEMA["properties"].items() if name != "cut")


@pytest.mark.parametrize("event", EVENTS, ids=IDS)
def test_a_record_fits_the_schema(event: run_events.Event) -> None:
    record = json.loads(Recorder().line(event))

    CHECK.validate(record)
    assert "-" not in record.values()
    known = {*SCHEMA["properties"], *SCHEMA["definitions"][record["event"]]["properties"]}
    assert record.keys() <= known


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": "1"},
        {"level": "loud"},
        {"trace_id": "-"},
        {"status": "DONE"},
        {"timestamp": 5},
        {"schema": "x"},
    ],
)
def test_what_is_no_record_does_not_fit(wrong: dict[str, Any]) -> None:
    event = next(event for event in EVENTS if isinstance(event, run_events.StepFinished))

    assert not CHECK.is_valid(Recorder().record(event) | wrong)


def test_the_manual_maps_every_common_field_to_the_names_of_log_tools() -> None:
    page = (Path(run_events.__file__).parents[1] / "manual" / "events.md").read_text(encoding="utf-8")
    mapping = page.partition("## For log tools")[2]

    missing = [name for name in SCHEMA["properties"] if f"`{name}`" not in mapping]
    assert missing == ["sub_seq", "cut"]
