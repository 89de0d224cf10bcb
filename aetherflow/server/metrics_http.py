"""Answer a few GET requests over HTTP/1.1, one for each connection, for a scraper.

It is no web server: a request has a limited size and time, and of too many connections the oldest one is
closed, so that idle or hostile clients keep neither the event loop nor other clients waiting.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus

import anyio
import msgspec
from anyio.abc import SocketListener, SocketStream

from aetherflow.worker_threads import WorkerThreads

REQUEST_SECONDS = 10.0
"""How long a connection may last in all; Prometheus gives up after the same time by default."""

LARGEST_HEAD = 16 * 1024
"""How many bytes a request and its headers may have."""

MOST_CONNECTIONS = 16

RETRY_SECONDS = 0.05
"""How long to wait when no connection can be accepted, as the process has too many open files."""

_threads = WorkerThreads("compressed metrics", 1)


class Request(msgspec.Struct, frozen=True):
    """A request; the names of the headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """What a request gets."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Respond = Callable[[Request], Awaitable[Answer]]


async def serve_http(listeners: Sequence[SocketListener], respond: Respond) -> None:
    """Answer the requests of all connections, until cancelled; `respond` raises nothing."""
    scopes: list[anyio.CancelScope] = []  # of the connections, the oldest one first
    async with anyio.create_task_group() as tasks:

        async def converse(stream: SocketStream) -> None:
            with anyio.move_on_after(REQUEST_SECONDS) as scope, suppress(*_GONE):
                scopes.append(scope)
                try:
                    async with stream:
                        await _converse(stream, respond)
                finally:
                    scopes.remove(scope)

        async def accept(listener: SocketListener) -> None:
            while True:
                try:
                    stream = await listener.accept()
                except OSError:  # too many open files, or the client has gone: the next one may be accepted
                    await anyio.sleep(RETRY_SECONDS)
                    continue
                if len(scopes) >= MOST_CONNECTIONS:
                    scopes[0].cancel()
                tasks.start_soon(converse, stream)

        for listener in listeners:
            tasks.start_soon(accept, listener)


_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)
"""The client has closed its connection, or this side has."""


async def _converse(stream: SocketStream, respond: Respond) -> None:
    request = await _request(stream)
    if isinstance(request, HTTPStatus):
        answer = Answer(f"{request.phrase}\n".encode(), status=request)
        await stream.send(_encoded(answer, {}))
        return
    if request.method not in ("GET", "HEAD"):
        answer = Answer(b"GET or HEAD\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
    else:
        answer = await respond(request)
    headers, body = {}, answer.body
    if "gzip" in request.headers.get("accept-encoding", "") and len(body) > 1000:  # noqa: PLR2004 - bytes
        body = await _threads.run(partial(gzip.compress, body, 5))
        headers["Content-Encoding"] = "gzip"
    answer = msgspec.structs.replace(answer, body=body)
    await stream.send(_encoded(answer, headers, with_body=request.method != "HEAD"))


async def _request(stream: SocketStream) -> Request | HTTPStatus:
    """Read a request up to the end of its headers; return a status if it is none.

    Raises:
        EndOfStream: the client has sent none.
    """
    head = b""
    while b"\r\n\r\n" not in head:
        if len(head) > LARGEST_HEAD:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        head += await stream.receive(LARGEST_HEAD)
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - RFC 9112, 3
        return HTTPStatus.BAD_REQUEST
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            return HTTPStatus.BAD_REQUEST
        key = name.strip().lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return Request(parts[0], parts[1].partition("?")[0], headers)


def _encoded(answer: Answer, headers: Mapping[str, str], *, with_body: bool = True) -> bytes:
    lines = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Connection": "close",
        "X-Content-Type-Options": "nosniff",
        **({"Allow": "GET, HEAD"} if answer.status == HTTPStatus.METHOD_NOT_ALLOWED else {}),
        **headers,
    }
    head = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
    head += [f"{name}: {value}" for name, value in lines.items()]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (answer.body if with_body else b"")
