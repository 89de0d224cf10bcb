"""Make the exporters of a run: OTLP over HTTP, or the console, each with its outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult

from aetherflow import Outbox
from aetherflow_otel.library_log import noting
from aetherflow_otel.otel_variables import OtelVariables, Otlp, Signal

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

SpanOutbox = Outbox[ReadableSpan]
LogOutbox = Outbox[ReadableLogRecord]
CONSOLE = "the console"


class _Exporter(Protocol[T_contra]):
    """What the exporters of spans and of log records have in common."""

    def export(self, batch: Sequence[T_contra], /) -> object: ...

    def shutdown(self) -> None: ...


def span_outboxes(variables: OtelVariables) -> list[SpanOutbox]:
    """Return where spans go.

    Raises:
        ConfigError: a variable has a value that is not allowed.
    """
    return _outboxes(variables, "traces", ConsoleSpanExporter, OTLPSpanExporter, SpanExportResult.SUCCESS)


def log_outboxes(variables: OtelVariables) -> list[LogOutbox]:
    """Return where log records go.

    Raises:
        ConfigError: a variable has a value that is not allowed.
    """
    return _outboxes(
        variables, "logs", ConsoleLogRecordExporter, OTLPLogExporter, LogRecordExportResult.SUCCESS
    )


def _outboxes(
    variables: OtelVariables,
    signal: Signal,
    console: Callable[[], _Exporter[T]],
    otlp: Callable[..., _Exporter[T]],
    success: object,
) -> list[Outbox[T]]:
    """Return the outboxes of a signal; its exporters answer with `success` if a batch has arrived."""
    made: list[Outbox[T]] = []
    for name in variables.exporters(signal):
        if name == "otlp":
            target = variables.otlp(signal)
            exporter, place = otlp(target.endpoint, **_options(target)), target.endpoint
        else:
            exporter, place = console(), CONSOLE
        batching = variables.batching(signal)._asdict()
        send = partial(_send, exporter, success)
        made.append(Outbox(send, place=place, stop=exporter.shutdown, **batching))
    return made


def _send(
    exporter: _Exporter[T], success: object, batch: Sequence[T], note: Callable[[str], None], /
) -> bool:
    """Send a batch; return whether it has arrived."""
    with noting(note):
        return exporter.export(batch) is success


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
