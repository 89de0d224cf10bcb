"""Metrics: call the `METRICS` of a user's module as a run proceeds, for Prometheus, StatsD and the like.

An object may have any of these methods; they get keyword arguments:

    on_run_start(flow_id, run_id)
    on_run_end(flow_id, run_id, summary)        summary: {status, duration_ms, status_counts, ...}
    on_job_start(flow_id, run_id, job_id)
    on_job_end(flow_id, run_id, job_id, status, duration_ms)
    on_step_start(flow_id, run_id, job_id, step_id, step_type)
    on_step_end(flow_id, run_id, job_id, step_id, step_type, status, duration_ms)

A function gets every event of the run as a mapping, as `--log-format json` writes it. Calls are made in a
worker thread, one at a time, in order. If a call raises, the run continues without metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepStarted,
)
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.sink import shared_sink


class MetricsObserver:
    """Calls the hooks of a user's object for one run, or a function with every event.

    Args:
        metrics: the user's object; hooks that it does not have are not called.
    """

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics
        self._has_hooks = any(hasattr(metrics, name) for name in _HOOKS)
        self._began: dict[str, datetime] = {}
        self._recorder = Recorder()
        self._sink = shared_sink(metrics)

    async def __call__(self, events: Sequence[Event]) -> None:
        """Call the hooks for a batch of events; an exception of a hook detaches the observer."""
        await self._sink.call(self._call_hooks, events)

    async def aclose(self) -> None:
        """Do nothing: the object belongs to the user."""

    def _call_hooks(self, events: Sequence[Event]) -> None:
        for event in events:
            if not self._has_hooks:
                if not isinstance(event, StepOutput):
                    self._metrics(self._recorder.record(event))
            elif (called := self._hook_of(event)) is not None:
                name, arguments = called
                hook: Callable[..., object] | None = getattr(self._metrics, name, None)
                if hook is not None:
                    hook(flow_id=event.flow_id, run_id=event.run_id, **arguments)

    def _hook_of(self, event: Event) -> tuple[str, Mapping[str, Any]] | None:
        """Return the hook for an event and what it gets beside the ids of the run."""
        match event:
            case RunStarted() | RunResumed():
                self._began.clear()
                return "on_run_start", {}
            case RunFinished():
                return "on_run_end", {"summary": _summary(event)}
            case JobStarted():
                self._began[event.job_id] = event.at
                return "on_job_start", {"job_id": event.job_id}
            case JobFinished():
                began = self._began.pop(event.job_id, event.at)
                duration = _milliseconds((event.at - began).total_seconds())
                return "on_job_end", {"job_id": event.job_id, "status": event.status, "duration_ms": duration}
            case StepStarted():
                return "on_step_start", _step(event)
            case StepFinished():
                duration = _milliseconds(event.duration_seconds)
                return "on_step_end", {**_step(event), "status": event.status, "duration_ms": duration}
            case _:
                return None


_HOOKS = ("on_run_start", "on_run_end", "on_job_start", "on_job_end", "on_step_start", "on_step_end")


def _step(event: StepStarted | StepFinished) -> dict[str, Any]:
    return {"job_id": event.job_id, "step_id": event.step_id, "step_type": event.step_type}


def _summary(event: RunFinished) -> dict[str, Any]:
    return {
        "flow_id": event.flow_id,
        "run_id": event.run_id,
        "status": event.status,
        "duration_ms": _milliseconds(event.duration_seconds),
        "status_counts": dict(event.jobs),
        "step_counts": dict(event.steps),
    }


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
