"""A small real HTTP server for tests, with TLS where wanted; a test programs what it answers.

It runs in threads of its own, so it serves a test in a loop, in threads, or with other processes.

    with HttpServer() as server:
        server.on("/users", Answer(503), Answer(json=[1, 2]))    # one after the other; the last one stays
        server.on("/echo", lambda request: Answer(body=request.body))
        ...                                                      # talk to server.url
        assert [request.path for request in server.requests] == ["/users", "/users"]
"""

from __future__ import annotations

import json as json_module
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """A request that arrived.

    Attributes:
        headers: by their names in lower case.
        size: of the body in bytes; of a body above `KEPT_BYTES` only the size is there.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    size: int

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json_module.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the server sends back.

    Attributes:
        body: sent with its length; an iterable of pieces is sent in chunks.
        json: sent instead of a body, as application/json.
        wait_seconds: how long the server is silent before it answers.
        cut_after: close the connection after so many bytes of the body.
    """

    status: int = 200
    body: bytes | str | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    wait_seconds: float = 0
    cut_after: int | None = None


Program = Answer | Callable[[Request], Answer]

KEPT_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 256 * 1024


class HttpServer:
    """Answers on 127.0.0.1 what it is programmed to; everything else is a 404. Use it in a `with` block.

    Attributes:
        requests: what has arrived, in order.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._programs: dict[tuple[str, str], list[Program]] = {}
        self._lock = threading.Lock()
        self._scheme = "https" if tls else "http"
        self._server = _Server(self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address without a path; certificates are for `localhost`."""
        return f"{self._scheme}://localhost:{self.port}"

    def on(self, path: str, *programs: Program, method: str = "") -> None:
        """Program the answers to a path (without its query): one for each request, and the last one stays."""
        with self._lock:
            self._programs[method, path] = list(programs)

    def answer_to(self, request: Request) -> Answer:
        """Return the programmed answer to a request, and note the request."""
        with self._lock:
            self.requests.append(request)
            for method in (request.method, ""):
                if programs := self._programs.get((method, request.path)):
                    program = programs.pop(0) if len(programs) > 1 else programs[0]
                    break
            else:
                return Answer(404, "there is nothing here")
        return program if isinstance(program, Answer) else program(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, programs: HttpServer, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.programs = programs
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread; the handshake belongs there too."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
            except ssl.SSLError:
                _let_read(secured)
                raise
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what the tests are about."""


def _let_read(end: socket.socket) -> None:
    """Let the client read why it is refused: closing a socket with unread bytes would be a reset."""
    end.settimeout(2)
    socket.socket.shutdown(end, socket.SHUT_WR)
    while socket.socket.recv(end, BLOCK_BYTES):
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        request = self._request()
        self._send(self.server.programs.answer_to(request))

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        size, pieces = 0, []
        for piece in self._pieces():
            size += len(piece)
            if size <= KEPT_BYTES:
                pieces.append(piece)
        return Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            b"".join(pieces) if size <= KEPT_BYTES else b"",
            size,
        )

    def _pieces(self) -> Iterable[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, BLOCK_BYTES))):
            left -= len(piece)
            yield piece

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.wait_seconds)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        body = answer.body
        if answer.json is not None:
            body = json_module.dumps(answer.json)
            headers.setdefault("content-type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.send_response(answer.status)
        is_whole = isinstance(body, bytes)
        if is_whole and "content-length" not in headers:
            headers["content-length"] = str(len(body))  # type: ignore[arg-type]  # it is bytes
        elif not is_whole and "content-length" not in headers:
            headers["transfer-encoding"] = "chunked"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body([body] if isinstance(body, bytes) else body, answer, headers)

    def _send_body(self, pieces: Iterable[bytes], answer: Answer, headers: Mapping[str, str]) -> None:
        sent, limit = 0, answer.cut_after
        for piece in pieces:
            part = piece if limit is None else piece[: limit - sent]
            is_chunk = "transfer-encoding" in headers
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if is_chunk and part else part)
            sent += len(part)
            if sent == limit:
                self.close_connection = True
                return
        if "transfer-encoding" in headers:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""
