"""Events become metrics: what is counted, under which labels, and how the text is read again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aetherflow.errors import ErrorInfo, MissingExtra
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepRetrying,
)
from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringLate,
    FiringMissed,
    FiringScheduled,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleUpcoming,
    UpcomingItem,
)
from aetherflow.observe import metric_definitions as m
from aetherflow.observe.metric_fold import MetricsFold
from aetherflow.observe.metric_text import Exposition, read_families
from aetherflow.observe.metric_values import MetricValues

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
RUN: dict[str, Any] = {"flow_id": "demo", "run_id": "r1"}
STEP: dict[str, Any] = {**RUN, "job_id": "a", "step_id": "s", "step_type": "t"}
ITEM: dict[str, Any] = {"scheduler": "night", "item_id": "load", "scheduled_at": AT}
OF_RUN: dict[str, Any] = {"run_id": "r1", "flow_id": "demo"}


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


async def folded(*events: Event, values: MetricValues | None = None) -> dict[tuple[str, ...], float]:
    """Return the samples of the text, by name and label values, without those that are 0."""
    fold = MetricsFold(values)
    for event in events:
        await fold([event])
    return samples(fold.values)


def samples(values: MetricValues) -> dict[tuple[str, ...], float]:
    text, _ = Exposition().text(values.families())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.value
    }


def without_buckets(found: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {key: value for key, value in found.items() if not key[0].endswith("_bucket")}


def started(run_id: str = "r1", *, at: float = 0, scheduled: bool = False, flow: str = "demo") -> RunStarted:
    return RunStarted(
        at=after(at),
        flow_id=flow,
        run_id=run_id,
        flow_file="f.yaml",
        owner="me",
        scheduled_at="2026-01-02T03:00:00Z" if scheduled else "",
    )


@pytest.mark.asyncio
async def test_a_run_is_counted_with_its_jobs_steps_and_retries() -> None:
    error = ErrorInfo("AF732", "no")
    found = await folded(
        started(),
        StepRetrying(at=after(1), **STEP, wait_seconds=1, error=error),
        StepOutput(at=after(1), **STEP, stream="stdout", text="line"),
        StepFinished(at=after(2), **STEP, status="FAILED", duration_seconds=2, attempt=2),
        StepFinished(at=after(2), **{**STEP, "step_id": "u"}, status="SKIPPED"),
        JobFinished(at=after(2), **RUN, job_id="a", status="FAILED"),
        JobFinished(at=after(2), **RUN, job_id="b", status="BLOCKED"),
        RunFinished(at=after(4), **RUN, status="FAILED", duration_seconds=4),
        RunResumed(at=after(5), **RUN, attempt=2, owner="me"),
        RunFinished(at=after(6), **RUN, status="SUCCESS", duration_seconds=1),
        RunResumed(at=after(7), **RUN, attempt=3, owner="me", origin="serve"),
    )
    assert without_buckets(found) == {
        ("aetherflow_runs_total", "demo", "FAILED"): 1,
        ("aetherflow_runs_total", "demo", "SUCCESS"): 1,
        ("aetherflow_runs_started_total", "demo"): 3,
        ("aetherflow_runs_resumed_total", "person", "demo"): 1,
        ("aetherflow_runs_resumed_total", "server", "demo"): 1,
        ("aetherflow_run_duration_seconds_count", "demo"): 2,
        ("aetherflow_run_duration_seconds_sum", "demo"): 5,
        ("aetherflow_jobs_total", "demo", "FAILED"): 1,
        ("aetherflow_jobs_total", "demo", "BLOCKED"): 1,
        ("aetherflow_steps_total", "demo", "FAILED"): 1,
        ("aetherflow_steps_total", "demo", "SKIPPED"): 1,
        ("aetherflow_step_retries_total", "demo", "t"): 1,
        ("aetherflow_step_duration_seconds_count", "FAILED", "t"): 1,
        ("aetherflow_step_duration_seconds_sum", "FAILED", "t"): 2,
        ("aetherflow_flow_last_run_timestamp_seconds", "demo"): after(6).timestamp(),
        ("aetherflow_flow_last_success_timestamp_seconds", "demo"): after(6).timestamp(),
        ("aetherflow_flow_last_run_successful", "demo"): 1,
    }


@pytest.mark.asyncio
async def test_a_counter_of_ends_is_there_before_the_first_end() -> None:
    fold = MetricsFold()
    await fold([started()])
    assert [fold.values.number(m.RUNS, "demo", status) for status in ("SUCCESS", "FAILED")] == [0, 0]


@pytest.mark.asyncio
async def test_ticks_are_counted_by_what_became_of_them() -> None:
    upcoming = (UpcomingItem("load", None),)
    more = (UpcomingItem("send", None),)
    fold = MetricsFold()
    await fold(
        [
            ScheduleLoaded(at=AT, scheduler="night", file="s", item_count=2, upcoming=upcoming),
            ScheduleUpcoming(at=AT, scheduler="night", file="s", first=2, listed=2, upcoming=more),
            FiringMissed(at=AT, **ITEM, outcome="MISSED", reason="late", ticks=3),
            FiringMissed(at=AT, **ITEM, outcome="SKIPPED", reason="paused", is_planned=True),
            FiringFinished(at=after(9), **ITEM, outcome="FAILED"),
            FiringFinished(at=after(10), **ITEM, outcome="SUCCESS"),
            FiringLate(at=AT, **ITEM, alert="late_end", reason="slow", ticks=2),
            ScheduleInvalid(at=AT, scheduler="night", file="s", problem="wrong"),
        ]
    )
    assert fold.values.number(m.FIRINGS, "night", "send", "FAILED") == 0
    assert fold.values.number(m.RELOAD_OK, "night") == 0
    assert samples(fold.values) == {
        ("aetherflow_firings_total", "load", "MISSED", "night"): 3,
        ("aetherflow_firings_total", "load", "PAUSED", "night"): 1,
        ("aetherflow_firings_total", "load", "FAILED", "night"): 1,
        ("aetherflow_firings_total", "load", "SUCCESS", "night"): 1,
        ("aetherflow_firings_late_total", "late_end", "load", "night"): 2,
        ("aetherflow_item_last_success_timestamp_seconds", "load", "night"): after(10).timestamp(),
        ("aetherflow_schedule_last_reload_success_timestamp_seconds", "night"): AT.timestamp(),
    }
    removal = ScheduleLoaded(at=AT, scheduler="night", file="s", item_count=1, removed=("load",))
    await fold([removal])
    assert fold.values.number(m.ITEM_LAST_SUCCESS, "night", "load") is None
    assert fold.values.number(m.RELOAD_OK, "night") == 1


SCHEDULED = FiringScheduled(at=after(2), **ITEM, **OF_RUN, outcome="QUEUED", late_seconds=2.0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "events",
    [[SCHEDULED, started(at=7, scheduled=True)], [started(at=7, scheduled=True), SCHEDULED]],
    ids=["tick first", "run first"],
)
async def test_the_delay_of_a_tick_is_the_time_from_when_it_was_due_to_the_beginning_of_its_run(
    events: Sequence[Event],
) -> None:
    found = await folded(*events)
    assert found["aetherflow_schedule_delay_seconds_sum", "night"] == 7
    assert found["aetherflow_schedule_delay_seconds_bucket", "15.0", "night"] == 1
    assert ("aetherflow_schedule_delay_seconds_bucket", "5.0", "night") not in found


@pytest.mark.asyncio
@pytest.mark.parametrize("cause", ["catch_up", "manual", "backfill"])
async def test_what_runs_after_its_time_on_purpose_has_no_delay(cause: Any) -> None:
    event = FiringScheduled(at=after(2), **ITEM, **OF_RUN, outcome="QUEUED", cause=cause, late_seconds=9e5)
    found = await folded(event, started(at=7, scheduled=True))
    assert not any(name.startswith("aetherflow_schedule_delay") for name, *_ in found)


@pytest.mark.asyncio
async def test_too_many_flows_share_one_label_value() -> None:
    values = MetricValues(most_values=2)
    events = [
        event
        for flow in "abcd"
        for event in (
            started(flow=flow),
            RunFinished(at=AT, flow_id=flow, run_id="r", status="SUCCESS", duration_seconds=1),
        )
    ]
    found = await folded(*events, values=values)
    assert {key[1:]: value for key, value in found.items() if key[0] == "aetherflow_runs_total"} == {
        ("a", "SUCCESS"): 1,
        ("b", "SUCCESS"): 1,
        ("_other", "SUCCESS"): 2,
    }
    flows = {key[1] for key in found if key[0] == "aetherflow_flow_last_success_timestamp_seconds"}
    assert flows == {"a", "b"}, "one time for many flows would hide those that fail"
    assert found["aetherflow_metrics_label_overflow_total", "flow"] > 0


def test_the_text_is_read_as_it_was_written() -> None:
    values = MetricValues()
    values.add(m.RUNS, 'a"b\\c\nd', "SUCCESS", number=3)
    values.set(m.LAST_RUN, "f", number=1.5)
    for seconds in (0.01, 0.011, 21600, 1e9):
        values.observe(m.STEP_DURATION, "t", "SUCCESS", seconds=seconds)
    text, content_type = Exposition().text(values.families())
    assert content_type.startswith("text/plain; version=0.0.4")
    again = MetricValues()
    for family in read_families(text.decode()):
        again.merge(family)
    assert list(again.families()) == list(values.families())
    (family,) = (one for one in again.families() if one.histograms)
    assert family.histograms["t", "SUCCESS"].counts == [1, 1, *[0] * 11, 1, 1], "a bound is in its bucket"


def test_a_histogram_with_other_buckets_and_what_is_not_ours_are_left_out() -> None:
    text = (
        "# TYPE aetherflow_run_duration_seconds histogram\n"
        'aetherflow_run_duration_seconds_bucket{flow="f",le="2.0"} 1\n'
        'aetherflow_run_duration_seconds_bucket{flow="f",le="+Inf"} 1\n'
        "# TYPE node_load1 gauge\nnode_load1 0.5\n"
        '# TYPE aetherflow_jobs_total counter\naetherflow_jobs_total{flow="f"} 1\n'
    )
    values = MetricValues()
    for family in read_families(text):
        values.merge(family)
    assert list(values.families()) == []
    with pytest.raises(ValueError, match=r"\S"):
        read_families("aetherflow_jobs_total{flow\n")


def test_a_library_that_is_missing_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match="prometheus_client") as missing:
        Exposition()
    assert missing.value.hint == "pip install 'aetherflow[metrics]'"


def test_a_label_that_is_no_utf_8_is_written_with_escapes() -> None:
    values = MetricValues()
    values.set(m.ITEMS, "caf\udce9.yaml", number=1)
    assert rb'scheduler="caf\\udce9.yaml"' in Exposition().text(values.families())[0]


def test_the_names_follow_the_conventions_of_prometheus() -> None:
    names = [metric.name for metric in m.METRICS]
    assert len(set(names)) == len(names)
    for metric in m.METRICS:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric
        assert (metric.kind == "histogram") == bool(metric.buckets), metric
        assert metric.kind != "histogram" or metric.name.endswith("_seconds"), metric
        assert not {"run_id", "job", "step", "le"} & set(metric.labels), metric
        assert metric.help.endswith("."), metric
        assert list(metric.buckets) == sorted(metric.buckets), metric
