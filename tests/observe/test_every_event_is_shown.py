"""Every class of event has a record and words; the exact lines of both are here."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as all_events
from aetherflow.events.run_events import (
    CancelRequested,
    EffectConfirmed,
    EffectIntended,
    Event,
    HooksStarted,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.observe.line_writer import json_line
from aetherflow.observe.record import record
from aetherflow.observe.text import render_text

AT = datetime(2026, 1, 2, 22, 14, 3, tzinfo=UTC)
BOOM = ErrorInfo(code="AF700", message="no such table: sales", hint="create it first")

CASES: list[tuple[Event, str, str]] = [
    (
        RunStarted(at=AT, flow_id="demo", run_id="r1", flow_file="flows/demo.yaml", owner="host:1"),
        "22:14:03 INFO  run r1 of demo  started at 2026-01-02T22:14:03Z: flows/demo.yaml",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"run_started","flow_id":"demo",'
            '"run_id":"r1","flow_file":"flows/demo.yaml","owner":"host:1"}'
        ),
    ),
    (
        RunStarted(
            at=AT,
            flow_id="demo",
            run_id="r1",
            flow_file="demo.yaml",
            owner="host:1",
            params={"day": "2026-01-01"},
            selected_job="pull",
            definition="a long fingerprint",
        ),
        (
            "22:14:03 INFO  run r1 of demo  started at 2026-01-02T22:14:03Z: demo.yaml, job pull only, "
            'params {"day":"2026-01-01"}'
        ),
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"run_started","flow_id":"demo",'
            '"run_id":"r1","flow_file":"demo.yaml","owner":"host:1","params":{"day":"2026-01-01"},'
            '"selected_job":"pull"}'
        ),
    ),
    (
        RunResumed(at=AT, flow_id="demo", run_id="r1", attempt=2, owner="host:1", rerun=["a", "b.c"]),
        "22:14:03 INFO  run r1 of demo  goes on at 2026-01-02T22:14:03Z, attempt 2, to be done again: a, b.c",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"run_resumed","flow_id":"demo",'
            '"run_id":"r1","attempt":2,"owner":"host:1","rerun":["a","b.c"]}'
        ),
    ),
    (
        RunPersisted(at=AT, flow_id="demo", run_id="r1", state="/var/s.sqlite", secrets=["token"]),
        "22:14:03 DEBUG run r1 of demo  is kept in /var/s.sqlite",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"debug","event":"run_persisted","flow_id":"demo",'
            '"run_id":"r1","state":"/var/s.sqlite","secrets":["token"]}'
        ),
    ),
    (
        CancelRequested(at=AT, flow_id="demo", run_id="r1", reason="SIGINT"),
        "22:14:03 WARN  run r1 of demo  asked to stop: SIGINT",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"cancel_requested",'
            '"flow_id":"demo",'
            '"run_id":"r1","reason":"SIGINT","cause":"request"}'
        ),
    ),
    (
        CancelRequested(at=AT, flow_id="demo", run_id="r1", reason="limit 60 s", cause="timeout"),
        "22:14:03 WARN  run r1 of demo  out of time: limit 60 s",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"cancel_requested",'
            '"flow_id":"demo",'
            '"run_id":"r1","reason":"limit 60 s","cause":"timeout"}'
        ),
    ),
    (
        CancelRequested(at=AT, flow_id="demo", run_id="r1", reason="job a failed", cause="fail_fast"),
        "22:14:03 WARN  run r1 of demo  stops at the first failure: job a failed",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"cancel_requested",'
            '"flow_id":"demo",'
            '"run_id":"r1","reason":"job a failed","cause":"fail_fast"}'
        ),
    ),
    (
        HooksStarted(at=AT, flow_id="demo", run_id="r1", status="FAILED"),
        "22:14:03 INFO  run r1 of demo  ends FAILED, its ending steps follow",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"hooks_started",'
            '"flow_id":"demo","run_id":"r1","status":"FAILED"}'
        ),
    ),
    (
        RunFinished(
            at=AT,
            flow_id="demo",
            run_id="r1",
            status="SUCCESS",
            duration_seconds=125.4,
            jobs={"SUCCESS": 2, "SKIPPED": 1},
        ),
        (
            "22:14:03 INFO  run r1 of demo  SUCCESS in 2 min 05 s\n"
            "               jobs:  2 SUCCESS, 1 SKIPPED\n"
            "               steps: none"
        ),
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"run_summary",'
            '"flow_id":"demo","run_id":"r1",'
            '"status":"SUCCESS","duration_seconds":125.4,"jobs":{"SUCCESS":2,"SKIPPED":1},"steps":{}}'
        ),
    ),
    (
        JobStarted(at=AT, flow_id="demo", run_id="r1", job_id="extract"),
        "22:14:03 INFO  extract  started",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"job_started",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract"}'
        ),
    ),
    (
        JobStarted(at=AT, flow_id="demo", run_id="r1", job_id="each", items=["a", "b"]),
        "22:14:03 INFO  each  started, 2 items",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"job_started",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"each"}'
        ),
    ),
    (
        JobFinished(at=AT, flow_id="demo", run_id="r1", job_id="extract", status="SUCCESS", outputs={"n": 1}),
        "22:14:03 INFO  extract  SUCCESS",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"job_finished",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","status":"SUCCESS"}'
        ),
    ),
    (
        JobFinished(
            at=AT, flow_id="demo", run_id="r1", job_id="load", status="BLOCKED", reason="extract FAILED"
        ),
        "22:14:03 WARN  load  BLOCKED: extract FAILED",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"job_finished","flow_id":"demo",'
            '"run_id":"r1","job_id":"load","status":"BLOCKED","reason":"extract FAILED"}'
        ),
    ),
    (
        StepWaiting(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="pull",
            step_type="db_extract",
            pool="warehouse",
            slots=2,
            size=4,
            held_by=["other, run r2, load.s"],
            ahead=1,
        ),
        (
            "22:14:03 INFO  extract.pull  db_extract waits for 2 slots of the pool warehouse (4), "
            "held by other, run r2, load.s, 1 ahead"
        ),
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_waiting","flow_id":"demo",'
            '"run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":1,'
            '"pool":"warehouse","slots":2,"size":4,"held_by":["other, run r2, load.s"],"ahead":1}'
        ),
    ),
    (
        StepStarted(
            at=AT, flow_id="demo", run_id="r1", job_id="extract", step_id="pull", step_type="db_extract"
        ),
        "22:14:03 INFO  extract.pull  db_extract started",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_started",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":1}'
        ),
    ),
    (
        StepRetrying(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="pull",
            step_type="db_extract",
            attempt=1,
            wait_seconds=5,
            error=BOOM,
        ),
        (
            "22:14:03 WARN  extract.pull  db_extract attempt 1 failed,"
            " next in 5.00 s: AF700: no such table: sales\n"
            "               hint: create it first"
        ),
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"step_retrying","flow_id":"demo",'
            '"run_id":"r1","job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":1,'
            '"wait_seconds":5,'
            '"error":{"code":"AF700","message":"no such table: sales","hint":"create it first"}}'
        ),
    ),
    (
        StepFinished(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="pull",
            step_type="db_extract",
            status="SUCCESS",
            duration_seconds=0.214,
            outputs={"rows": 3},
            job_outputs={"rows": 3},
        ),
        "22:14:03 INFO  extract.pull  db_extract SUCCESS in 0.21 s",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_finished",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":1,"status":"SUCCESS",'
            '"duration_seconds":0.214}'
        ),
    ),
    (
        StepFinished(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="pull",
            step_type="db_extract",
            status="FAILED",
            attempt=3,
            duration_seconds=3725,
            error=BOOM,
        ),
        (
            "22:14:03 ERROR extract.pull  db_extract FAILED in 1 h 02 min (attempt 3): "
            "AF700: no such table: sales\n"
            "               hint: create it first"
        ),
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"error","event":"step_finished",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":3,"status":"FAILED",'
            '"duration_seconds":3725,'
            '"error":{"code":"AF700","message":"no such table: sales","hint":"create it first"}}'
        ),
    ),
    (
        StepFinished(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="probe",
            step_type="check_items",
            status="SKIPPED",
            reason="0 items, at least 1 wanted",
        ),
        "22:14:03 INFO  extract.probe  check_items SKIPPED in 0.00 s: 0 items, at least 1 wanted",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_finished",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","step_id":"probe","step_type":"check_items","attempt":1,"status":"SKIPPED",'
            '"duration_seconds":0.0,"reason":"0 items, at least 1 wanted"}'
        ),
    ),
    (
        EffectIntended(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="send",
            step_id="up",
            step_type="upload",
            key="upload a.csv",
            detail={"bytes": 3},
        ),
        "22:14:03 DEBUG send.up  intends: upload a.csv",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"debug","event":"effect_intended","flow_id":"demo",'
            '"run_id":"r1","job_id":"send","step_id":"up","step_type":"upload","attempt":1,'
            '"key":"upload a.csv","detail":{"bytes":3}}'
        ),
    ),
    (
        EffectConfirmed(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="send",
            step_id="up",
            step_type="upload",
            attempt=2,
            key="upload a.csv",
            verified=True,
        ),
        "22:14:03 DEBUG send.up  already done: upload a.csv",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"debug","event":"effect_confirmed","flow_id":"demo",'
            '"run_id":"r1","job_id":"send","step_id":"up","step_type":"upload","attempt":2,'
            '"key":"upload a.csv","verified":true}'
        ),
    ),
    (
        StepProgress(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="send",
            step_id="up",
            step_type="upload",
            done=1200,
            total=5000,
            unit="rows",
            note="sales.csv",
            level="info",
        ),
        "22:14:03 INFO  send.up  1,200 of 5,000 rows (24 %), sales.csv",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_progress","flow_id":"demo",'
            '"run_id":"r1","job_id":"send","step_id":"up","step_type":"upload","attempt":1,'
            '"done":1200,"total":5000,"unit":"rows","note":"sales.csv"}'
        ),
    ),
    (
        StepOutput(
            at=AT,
            flow_id="demo",
            run_id="r1",
            job_id="extract",
            step_id="pull",
            step_type="external.process",
            stream="stdout",
            text="\x1b[32mok\x1b[0m\tdone\r\n",
        ),
        "22:14:03 INFO  extract.pull | ok\tdone",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"info","event":"step_output",'
            '"flow_id":"demo","run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"external.process","attempt":1,'
            '"stream":"stdout",'
            '"text":"\\u001b[32mok\\u001b[0m\\tdone\\r\\n"}'
        ),
    ),
    (
        Notice(at=AT, flow_id="demo", run_id="r1", level="warning", message="kept: a, b", code="AF620"),
        "22:14:03 WARN  AF620: kept: a, b",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"warning","event":"notice",'
            '"flow_id":"demo","run_id":"r1",'
            '"message":"kept: a, b","code":"AF620"}'
        ),
    ),
    (
        Notice(
            at=AT,
            flow_id="demo",
            run_id="r1",
            level="debug",
            message="two\nlines",
            job_id="extract",
            step_id="pull",
            step_type="db_extract",
            attempt=1,
        ),
        "22:14:03 DEBUG extract.pull  two\n               lines",
        (
            '{"timestamp":"2026-01-02T22:14:03Z","level":"debug","event":"notice","flow_id":"demo",'
            '"run_id":"r1",'
            '"job_id":"extract","step_id":"pull","step_type":"db_extract","attempt":1,'
            '"message":"two\\nlines"}'
        ),
    ),
]

IDS = [f"{type(event).__name__}-{number}" for number, (event, _, _) in enumerate(CASES)]


def concrete_events() -> set[type[Event]]:
    return {
        found
        for found in vars(all_events).values()
        if isinstance(found, type) and issubclass(found, Event) and not found.__subclasses__()
    }


def test_the_cases_cover_every_class_of_event() -> None:
    assert {type(event) for event, _, _ in CASES} == concrete_events()


@pytest.mark.parametrize(("event", "text", "_line"), CASES, ids=IDS)
def test_an_event_reads_for_people_exactly_so(event: Event, text: str, _line: str) -> None:
    assert render_text(event) == text


@pytest.mark.parametrize(("event", "_text", "line"), CASES, ids=IDS)
def test_an_event_is_recorded_exactly_so(event: Event, _text: str, line: str) -> None:
    assert json_line(record(event)).decode() == line + "\n"


@pytest.mark.parametrize(("event", "_text", "_line"), CASES, ids=IDS)
def test_a_record_is_one_line_and_carries_every_id_of_its_event(event: Event, _text: str, _line: str) -> None:
    line = json_line(record(event)).decode()

    assert line.count("\n") == 1
    told = json.loads(line)
    for name in ("flow_id", "run_id", "job_id", "step_id", "step_type"):
        assert told.get(name, "") == getattr(event, name, "")


@pytest.mark.parametrize(("event", "_text", "_line"), CASES, ids=IDS)
def test_the_name_of_a_record_is_the_tag_of_the_event(event: Event, _text: str, _line: str) -> None:
    tag = msgspec.to_builtins(event)["event"]

    assert record(event)["event"] == {"run_finished": "run_summary"}.get(tag, tag)


def test_outputs_fingerprints_and_items_are_recorded_only_in_detail() -> None:
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
    each = JobStarted(at=AT, flow_id="demo", run_id="r1", job_id="a", items=[1, 2])

    assert record(step, detail=True)["outputs"] == {"rows": 3}
    assert record(step, detail=True)["job_outputs"] == {"all": 3}
    assert record(each, detail=True)["items"] == [1, 2]
    assert {"outputs", "job_outputs"} & record(step).keys() == set()
    assert render_text(step, detail=True) == (
        '22:14:03 INFO  a.b  t SUCCESS in 0.00 s\n               outputs: {"rows":3}'
    )


def test_a_record_tells_utc_and_a_line_the_zone_that_is_asked_for() -> None:
    east = timezone(timedelta(hours=2))
    event = JobStarted(at=AT.astimezone(east), flow_id="demo", run_id="r1", job_id="a")

    assert record(event)["timestamp"] == "2026-01-02T22:14:03Z"
    assert (render_text(event, zone=east) or "").startswith("00:14:03 ")
    assert (render_text(event) or "").startswith("22:14:03 ")
