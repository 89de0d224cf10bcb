"""The observer `otel`: exports the trace of a run, and if that is asked for, its log records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.sdk.version import __version__ as sdk_version

from aetherflow import ObservedRun, Outbox, __version__
from aetherflow_otel.exporting import LogOutbox, SpanOutbox, log_outboxes, span_outboxes
from aetherflow_otel.log_records import log_record
from aetherflow_otel.otel_variables import OtelVariables, Sampler
from aetherflow_otel.run_spans import RunSpans


class OtelObserver:
    """Exports one execution of a run; what has been exported is not kept.

    Args:
        run: the run.

    Raises:
        ConfigError: an `OTEL_*` variable has a value that is not allowed.

    Attributes:
        takes_output: whether the lines of programs are exported too: as log records.
    """

    def __init__(self, run: ObservedRun) -> None:
        variables = OtelVariables(run.env)
        self._spans: list[SpanOutbox] = []
        self._logs: list[LogOutbox] = []
        self._scope = InstrumentationScope("aetherflow", __version__)
        self._resource = Resource(
            {
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": sdk_version,
                "service.version": __version__,
                **variables.resource(),
                "cicd.pipeline.name": run.flow_id,
                "cicd.pipeline.run.id": run.run_id,
            }
        )
        self._builder = RunSpans(self._resource, self._scope)
        self._sampler = variables.sampler()
        self._is_sampled = True
        self._warned: set[str] = set()
        if not variables.is_disabled:
            self._spans, self._logs = span_outboxes(variables), log_outboxes(variables)
        self.takes_output = bool(self._logs)

    def take(self, records: Sequence[Mapping[str, Any]]) -> str | None:
        """Export the spans that have ended, and the records as log records."""
        spans = []
        for record in records:
            if record["event"] in ("run_started", "run_resumed"):
                self._is_sampled = _is_sampled(self._sampler, record)
            spans += self._builder.take(record)
        self._send_spans(spans)
        if self._logs:
            logs = [log_record(record, self._resource, self._scope) for record in records]
            for outbox in self._logs:
                outbox.put(logs)
        return self._first_failure()

    def close(self, deadline_seconds: float) -> str | None:
        """Export what is left."""
        end = time.monotonic() + deadline_seconds
        self._send_spans(self._builder.left())
        for outbox in self._outboxes:
            outbox.end()
        lost = []
        for what, outboxes in (("spans", self._spans), ("log records", self._logs)):
            for outbox in outboxes:
                outbox.finish(end)
                lost.append(outbox.loss(what))
        return "; ".join(filter(None, lost)) or None

    @property
    def _outboxes(self) -> list[Outbox[Any]]:
        return [*self._spans, *self._logs]

    def _send_spans(self, spans: Sequence[Any]) -> None:
        if self._is_sampled and spans:
            for outbox in self._spans:
                outbox.put(spans)

    def _first_failure(self) -> str | None:
        """Return why something is lost, once for each place."""
        failing = [one for one in self._outboxes if one.lost and one.place not in self._warned]
        self._warned |= {one.place for one in failing}
        why = "; ".join(f"{one.place}: {one.reason}" for one in failing)
        return f"OpenTelemetry data is lost: {why}" if why else None


def _is_sampled(sampler: Sampler, record: Mapping[str, Any]) -> bool:
    outer = record.get("traceparent", "")
    if outer and sampler.follows_parent:
        return bool(int(outer[-2:], 16) & 1)
    decision = (
        TraceIdRatioBased(sampler.ratio).should_sample(None, int(record["trace_id"], 16), "run").decision
    )
    return decision is Decision.RECORD_AND_SAMPLE
