from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.engine.state import RunState, fold
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.store.journal import _write_rows
from aetherflow.store.projection import project, timestamp
from aetherflow.store.state_schema import MIGRATIONS
from tests.sizes import examples
from tests.store.histories import RUN, histories, splits
from tests.store.real_parts import T0
from tests.store.tables import tables_of

JOB_ENDS = {"SUCCESS", "FAILED", "SKIPPED", "BLOCKED", "CANCELLED"}


def tables_after(batches: list[list[e.Event]]) -> dict[str, list[dict[str, Any]]]:
    """Project the batches into an empty database and return its rows."""
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.executescript("".join(MIGRATIONS))
    raw.execute("BEGIN")
    for batch in batches:
        _write_rows(raw, project(batch))
    tables = tables_of(raw)
    raw.close()
    return tables


def json_of(value: Any) -> str:
    """Return the text that the state keeps of a value."""
    return msgspec.json.encode(value).decode()


def told_by(state: RunState) -> dict[str, Any]:
    """Return what the state says of the things that the rows say too."""
    return {
        "run": (state.phase, state.attempt),
        "jobs": {
            job_id: (
                job.status,
                json_of(job.outputs) if job.status in JOB_ENDS else None,
                json_of(job.error) if job.error else None,
                job.reason or None,
            )
            for job_id, job in state.jobs.items()
        },
        "steps": {
            (job_id, step_id): (
                step.status,
                step.attempt,
                step.step_type,
                json_of(step.outputs) if step.status in JOB_ENDS else None,
                json_of(step.error) if step.error else None,
            )
            for job_id, job in state.jobs.items()
            for step_id, step in job.steps.items()
        },
    }


def told_by_rows(tables: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the same of the rows."""
    (run,) = tables["run_state"]
    return {
        "run": (run["status"], run["attempt"]),
        "jobs": {
            row["job_id"]: (row["status"], row["outputs"], row["error"], row["reason"])
            for row in tables["job_state"]
        },
        "steps": {
            (row["job_id"], row["step_id"]): (
                row["status"],
                row["attempt"],
                row["step_type"],
                row["outputs"],
                row["error"],
            )
            for row in tables["step_state"]
        },
    }


@examples(36)
@given(st.data())
def test_any_split_into_batches_leads_to_the_same_rows(data: st.DataObject) -> None:
    events = data.draw(histories())
    assert tables_after(data.draw(splits(events))) == tables_after([[event] for event in events])


@examples(36)
@given(histories())
def test_the_rows_say_what_the_fold_says(events: list[e.Event]) -> None:
    assert told_by_rows(tables_after([events])) == told_by(fold(events))


def event(kind: type[e.Event], second: int, **fields: Any) -> e.Event:
    """Return an event of the run, so many seconds after its beginning."""
    return kind(at=T0 + timedelta(seconds=second), flow_id="flow", run_id=RUN, **fields)


STEP = {"job_id": "j", "step_id": "s", "step_type": "t"}
ERROR = ErrorInfo(code="AF700", message="no")
BEGINNING = [
    event(e.RunStarted, 0, flow_file="f.yaml", owner="one", params={"day": "2026-01-01"}),
    event(e.JobStarted, 1, job_id="j"),
    event(e.StepStarted, 2, **STEP),
]


def test_a_step_that_waits_for_its_next_attempt_says_so() -> None:
    retrying = event(e.StepRetrying, 3, **STEP, attempt=1, wait_seconds=2.5, error=ERROR)
    (row,) = tables_after([[*BEGINNING, retrying]])["step_state"]
    assert row == {
        "run_id": RUN,
        "job_id": "j",
        "step_id": "s",
        "flow_id": "flow",
        "step_type": "t",
        "status": "PENDING",
        "attempt": 1,
        "started_at": "2026-01-01T00:00:02.000000Z",
        "finished_at": None,
        "outputs": None,
        "error": '{"code":"AF700","message":"no"}',
        "reason": "waits 2.5 s before attempt 2",
        "marks": None,
    }


def test_a_run_keeps_its_beginning_and_forgets_its_end_when_it_is_resumed() -> None:
    finished = event(e.RunFinished, 9, status="FAILED", duration_seconds=9.0, reason="a job failed")
    (row,) = tables_after([[*BEGINNING, finished]])["run_state"]
    assert (row["status"], row["reason"]) == ("FAILED", "a job failed")
    assert row["finished_at"] == "2026-01-01T00:00:09.000000Z"
    resumed = event(e.RunResumed, 20, attempt=2, owner="two")
    tables = tables_after([[*BEGINNING, finished, resumed]])
    assert tables["run_state"] == [
        {
            "run_id": RUN,
            "flow_id": "flow",
            "flow_file": "f.yaml",
            "status": "RUNNING",
            "attempt": 2,
            "started_at": "2026-01-01T00:00:00.000000Z",
            "finished_at": None,
            "params": '{"day":"2026-01-01"}',
            "reason": "",
            "owner": "two",
        }
    ]
    assert [row["status"] for row in tables["job_state"] + tables["step_state"]] == ["PENDING", "PENDING"]


def test_a_job_that_is_run_again_forgets_only_what_is_run_again() -> None:
    second = {"job_id": "j", "step_id": "z", "step_type": "t"}
    done = [
        *BEGINNING,
        event(e.StepFinished, 3, **STEP, status="SUCCESS", outputs={"n": 1}),
        event(e.StepStarted, 4, **second),
        event(e.StepFinished, 5, **second, status="SUCCESS"),
        event(e.JobFinished, 6, job_id="j", status="SUCCESS"),
        event(e.RunFinished, 7, status="SUCCESS", duration_seconds=7.0),
    ]
    kept = tables_after([[*done, event(e.RunResumed, 20, attempt=2, owner="two")]])
    assert [row["status"] for row in kept["job_state"] + kept["step_state"]] == ["SUCCESS"] * 3
    again = tables_after([[*done, event(e.RunResumed, 20, attempt=2, owner="two", rerun=["j/z"])]])
    assert [(row["step_id"], row["status"], row["outputs"]) for row in again["step_state"]] == [
        ("s", "SUCCESS", '{"n":1}'),
        ("z", "PENDING", None),
    ]
    assert [row["status"] for row in again["job_state"]] == ["PENDING"]


def test_an_event_that_is_no_history_is_refused() -> None:
    with pytest.raises(TypeError, match="Notice"):
        project([event(e.Notice, 1, level="info", message="hello")])


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)), st.data())  # noqa: DTZ001 - hypothesis wants the limit naive
def test_timestamps_compare_as_the_times_they_show(first: datetime, data: st.DataObject) -> None:
    near = st.timedeltas(-timedelta(seconds=2), timedelta(seconds=2))
    try:
        second = first + data.draw(near)
    except OverflowError:
        return
    assert (timestamp(first) < timestamp(second)) == (first < second)
    assert datetime.fromisoformat(timestamp(first)) == first


@pytest.mark.parametrize("kind", e.Journalled.__args__)
def test_every_event_of_a_history_can_be_projected(kind: type[e.Event]) -> None:
    values = {
        "event": kind.__struct_config__.tag,
        "at": "2026-01-01T00:00:00Z",
        "flow_id": "flow",
        "run_id": RUN,
        **STEP,
        "status": "FAILED",
        "attempt": 1,
        "owner": "me",
        "flow_file": "f.yaml",
        "reason": "because",
        "duration_seconds": 1,
        "pool": "warehouse",
        "slots": 1,
        "size": 2,
        "wait_seconds": 1,
        "key": "upload a.csv",
        "lock": "stock",
        "executor": "dask",
        "worker": "worker-1",
        "host": "etl2",
        "held_by": ["run n1"] if kind is e.StepWaiting else "flow night, run n1, step a.s",
        "error": {"code": "AF700", "message": "no"},
    }
    tables_after([[msgspec.convert(values, kind)]])
