"""A receiver of OTLP over HTTP, as a collector is one: it keeps what it gets, decoded."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


class OtlpReceiver:
    """What has arrived.

    Attributes:
        bodies: the requests as bytes, decompressed.
        headers: of each request.
        status: with which requests are answered; 0: they are never answered.
        later: with which status all but the first are answered; None: as the first.
        gate: opened at the end, so that no request waits for ever.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.traces: list[ExportTraceServiceRequest] = []
        self.log_requests: list[ExportLogsServiceRequest] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.later: int | None = None
        self.gate = threading.Event()

    @property
    def spans(self) -> list[Any]:
        """The spans, in the order of their arrival."""
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def logs(self) -> list[Any]:
        """The log records, in the order of their arrival."""
        return [
            record
            for request in self.log_requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def named(self, name: str) -> list[Any]:
        """Return the spans of a name, in the order of their start."""
        return sorted((s for s in self.spans if s.name == name), key=lambda s: s.start_time_unix_nano)

    def span(self, name: str) -> Any:
        """Return the one span of a name."""
        (found,) = self.named(name)
        return found

    def resource(self) -> dict[str, Any]:
        """Return the attributes of what sent the first request."""
        return attributes(self.traces[0].resource_spans[0].resource.attributes)

    def take(self, path: str, body: bytes) -> None:
        """Take a request."""
        self.bodies.append(body)
        if path.endswith("/v1/traces"):
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.log_requests.append(ExportLogsServiceRequest.FromString(body))


def attributes(pairs: list[KeyValue]) -> dict[str, Any]:
    """Return attributes as a mapping."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Run a receiver on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if not receiver.status:
                receiver.gate.wait(60)
                self.close_connection = True
                return
            if receiver.status == 200:
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                receiver.headers.append(dict(self.headers))
                receiver.take(self.path, plain)
            self.send_response(receiver.status)
            receiver.status = receiver.later or receiver.status
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = OtlpReceiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.gate.set()
            server.shutdown()
            thread.join()
