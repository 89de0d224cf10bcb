"""Every class of event has a record and words; the exact lines of both are in `snapshots/events.txt`.

A block of that file is an event as JSON, its lines for people, and its record. AETHERFLOW_SNAPSHOTS=write
rewrites the last two; look at the difference before it is committed.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta, timezone
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.events import run_events as all_events
from aetherflow.events.run_events import Event, JobStarted, StepFinished
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_text import render_text
from aetherflow.observe.line_writer import json_line
from tests.observe.demo_run import AT

SNAPSHOTS = Path(__file__).parent / "snapshots" / "events.txt"


def concrete_events() -> set[type[Event]]:
    """Return every class of event that happens."""
    return {
        found
        for found in vars(all_events).values()
        if isinstance(found, type) and issubclass(found, Event) and not found.__subclasses__()
    }


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, concrete_events()))
CASES: list[tuple[Event, str]] = [
    (_decoder.decode(block.partition("\n")[0]), block)
    for block in SNAPSHOTS.read_text(encoding="utf-8").split("\n\n")
]
IDS = [f"{type(event).__name__}-{number}" for number, (event, _) in enumerate(CASES)]


def record(event: Event) -> dict[str, Any]:
    """Return the record of an event whose run is not known."""
    return Recorder().record(event)


def shown(event: Event) -> str:
    """Return the block of an event: itself, its lines for people, and its record."""
    return f"{json_line(event).decode()}{render_text(event)}\n{Recorder().line(event).decode()}"


def test_the_cases_cover_every_class_of_event() -> None:
    assert {type(event) for event, _ in CASES} == concrete_events()


@pytest.mark.skipif("AETHERFLOW_SNAPSHOTS" not in os.environ, reason="only when the snapshots are to change")
def test_the_snapshots_are_written() -> None:
    SNAPSHOTS.write_text("\n".join(shown(event) for event, _ in CASES), encoding="utf-8")


@pytest.mark.parametrize(("event", "block"), CASES, ids=IDS)
def test_an_event_reads_and_is_recorded_exactly_so(event: Event, block: str) -> None:
    assert shown(event).rstrip("\n") == block.rstrip("\n")


@pytest.mark.parametrize(("event", "_block"), CASES, ids=IDS)
def test_a_record_is_one_line_and_carries_every_id_of_its_event(event: Event, _block: str) -> None:
    line = json_line(record(event)).decode()

    assert line.count("\n") == 1
    shown = json.loads(line)
    for name in ("flow_id", "run_id", "job_id", "step_id", "step_type"):
        assert shown.get(name, "") == getattr(event, name, "")


@pytest.mark.parametrize(("event", "_block"), CASES, ids=IDS)
def test_the_name_of_a_record_is_the_tag_of_the_event(event: Event, _block: str) -> None:
    tag = msgspec.to_builtins(event)["event"]

    assert record(event)["event"] == {"run_finished": "run_summary"}.get(tag, tag)


def test_outputs_and_items_are_recorded_but_no_fingerprints() -> None:
    step = StepFinished(
        at=AT,
        flow_id="demo",
        run_id="r1",
        job_id="a",
        step_id="b",
        step_type="t",
        status="SUCCESS",
        outputs={"rows": 3},
        job_outputs={"all": 3},
    )
    each = JobStarted(at=AT, flow_id="demo", run_id="r1", job_id="a", items=[1, 2], when="-", for_each="f")

    assert record(step)["outputs"] == {"rows": 3}
    assert record(step)["job_outputs"] == {"all": 3}
    assert record(each)["items"] == [1, 2]
    assert {"when", "for_each"} & record(each).keys() == set()
    assert render_text(step, detail=True) == '22:14:03 INFO  a.b  t SUCCESS in 0.00 s; outputs: {"rows":3}'


def test_a_record_is_in_utc_and_a_line_in_the_given_zone() -> None:
    east = timezone(timedelta(hours=2))
    event = JobStarted(at=AT.astimezone(east), flow_id="demo", run_id="r1", job_id="a")

    assert record(event)["timestamp"] == "2026-01-02T22:14:03Z"
    assert (render_text(event, zone=east) or "").startswith("00:14:03 ")
    assert (render_text(event) or "").startswith("22:14:03 ")
