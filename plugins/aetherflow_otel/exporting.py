"""Make the exporters of a run: OTLP over HTTP, or the console, each with its outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    ConsoleLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from aetherflow import Outbox
from aetherflow_otel.library_log import noting
from aetherflow_otel.otel_variables import OtelVariables, Otlp

T = TypeVar("T")
Send = Callable[[Sequence[T], Callable[[str], None]], bool]

SpanOutbox = Outbox[ReadableSpan]
LogOutbox = Outbox[ReadableLogRecord]
CONSOLE = "the console"


def span_outboxes(variables: OtelVariables) -> list[SpanOutbox]:
    """Return where spans go.

    Raises:
        ConfigError: a variable has a value that is not allowed.
    """
    made: list[SpanOutbox] = []
    for name in variables.exporters("traces"):
        exporter: SpanExporter = ConsoleSpanExporter()
        place = CONSOLE
        if name == "otlp":
            otlp = variables.otlp("traces")
            exporter, place = OTLPSpanExporter(otlp.endpoint, **_options(otlp)), otlp.endpoint
        batching = variables.batching("traces")._asdict()
        send = _sender(exporter.export, SpanExportResult.SUCCESS)
        made.append(Outbox(send, place=place, stop=exporter.shutdown, **batching))
    return made


def log_outboxes(variables: OtelVariables) -> list[LogOutbox]:
    """Return where log records go.

    Raises:
        ConfigError: a variable has a value that is not allowed.
    """
    made: list[LogOutbox] = []
    for name in variables.exporters("logs"):
        exporter: LogRecordExporter = ConsoleLogRecordExporter()
        place = CONSOLE
        if name == "otlp":
            otlp = variables.otlp("logs")
            exporter, place = OTLPLogExporter(otlp.endpoint, **_options(otlp)), otlp.endpoint
        batching = variables.batching("logs")._asdict()
        send = _sender(exporter.export, LogRecordExportResult.SUCCESS)
        made.append(Outbox(send, place=place, stop=exporter.shutdown, **batching))
    return made


def _sender(export: Callable[[Sequence[T]], object], success: object) -> Send[T]:
    """Return what sends a batch by an exporter, which answers with `success` if it has arrived."""

    def send(batch: Sequence[T], note: Callable[[str], None]) -> bool:
        with noting(note):
            return export(batch) is success

    return send


def _options(otlp: Otlp) -> dict[str, Any]:
    """Return the arguments of an exporter: all of them, as it reads `os.environ` for one that is missing."""
    return {
        "headers": dict(otlp.headers),
        "timeout": otlp.timeout_seconds,
        "compression": Compression(otlp.compression),
        "certificate_file": otlp.certificate or None,
        "client_certificate_file": otlp.client_certificate or None,
        "client_key_file": otlp.client_key or None,
    }
