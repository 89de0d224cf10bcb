from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepStarted,
)
from aetherflow.observe.metrics import MetricsObserver
from tests.observe.demo_run import AT

RUN: dict[str, Any] = {"flow_id": "demo", "run_id": "r1"}
STEP: dict[str, Any] = {"job_id": "a", "step_id": "s", "step_type": "t"}
IDS = {"flow_id": "demo", "run_id": "r1"}


def after(seconds: float) -> dict[str, Any]:
    return {**RUN, "at": AT + timedelta(seconds=seconds)}


EVENTS: list[Event] = [
    RunStarted(**after(0), flow_file="f.yaml", owner="me"),
    JobStarted(**after(1), job_id="a"),
    StepStarted(**after(1), **STEP),
    StepOutput(**after(1), **STEP, stream="stdout", text="line"),
    Notice(**after(1), level="info", message="hello"),
    StepFinished(**after(2), **STEP, status="SUCCESS", duration_seconds=1.2345),
    JobFinished(**after(3.5), job_id="a", status="SUCCESS"),
    JobFinished(**after(3.5), job_id="b", status="BLOCKED"),
    RunFinished(
        **after(4),
        status="FAILED",
        duration_seconds=4,
        jobs={"SUCCESS": 1, "BLOCKED": 1},
        steps={"SUCCESS": 1},
    ),
]


class Hooks:
    """Notes every call, and the thread of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)

        def hook(**given: Any) -> None:
            self.threads.add(threading.get_ident())
            self.calls.append((name, given))

        return hook


@pytest.mark.asyncio
async def test_each_hook_gets_its_arguments_in_order_off_the_loop() -> None:
    sink = Hooks()
    observer = MetricsObserver(sink)
    await observer(EVENTS[:4])
    await observer(EVENTS[4:])
    await observer.aclose()
    assert sink.calls == [
        ("on_run_start", IDS),
        ("on_job_start", {**IDS, "job_id": "a"}),
        ("on_step_start", {**IDS, **STEP}),
        ("on_step_end", {**IDS, **STEP, "status": "SUCCESS", "duration_ms": 1234}),
        ("on_job_end", {**IDS, "job_id": "a", "status": "SUCCESS", "duration_ms": 2500}),
        ("on_job_end", {**IDS, "job_id": "b", "status": "BLOCKED", "duration_ms": 0}),
        (
            "on_run_end",
            {
                **IDS,
                "summary": {
                    **IDS,
                    "status": "FAILED",
                    "duration_ms": 4000,
                    "status_counts": {"SUCCESS": 1, "BLOCKED": 1},
                    "step_counts": {"SUCCESS": 1},
                },
            },
        ),
    ]
    assert threading.get_ident() not in sink.threads


@pytest.mark.asyncio
async def test_a_resumed_run_starts_again_and_forgets_what_was_running() -> None:
    sink = Hooks()
    resumed = RunResumed(**after(60), attempt=2, owner="me")
    await MetricsObserver(sink)([EVENTS[1], resumed, EVENTS[6]])
    assert [name for name, _ in sink.calls] == ["on_job_start", "on_run_start", "on_job_end"]
    assert sink.calls[2][1]["duration_ms"] == 0


@pytest.mark.asyncio
async def test_hooks_that_are_not_there_are_not_called() -> None:
    seen: list[str] = []

    class OnlyEnd:
        """A sink with one hook."""

        def on_run_end(self, *, flow_id: str, run_id: str, summary: dict[str, Any]) -> None:
            """Note it."""
            seen.append(f"{flow_id}/{run_id} {summary['status']}")

    await MetricsObserver(OnlyEnd())(EVENTS)
    assert seen == ["demo/r1 FAILED"]


@pytest.mark.asyncio
async def test_a_function_gets_every_event_but_output_as_a_plain_mapping() -> None:
    seen: list[dict[str, Any]] = []
    await MetricsObserver(seen.append)(EVENTS)
    assert [event["event"] for event in seen] == [
        "run_started",
        "job_started",
        "step_started",
        "notice",
        "step_finished",
        "job_finished",
        "job_finished",
        "run_summary",
    ]
    assert seen[4]["duration_seconds"] == 1.2345
    assert seen[0]["timestamp"] == "2026-01-02T22:14:03Z"


@pytest.mark.asyncio
async def test_what_the_sink_raises_goes_to_the_bus() -> None:
    def fail(_event: dict[str, Any]) -> None:
        raise RuntimeError("the gateway is down")

    with pytest.raises(RuntimeError, match="gateway"):
        await MetricsObserver(fail)(EVENTS)
