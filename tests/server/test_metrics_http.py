"""The few requests that a scraper makes are answered, also while clients idle, flood or send nonsense."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from aetherflow.errors import UsageError
from aetherflow.server import metrics_http
from aetherflow.server.metrics_address import Address, listening, read_address
from aetherflow.server.metrics_http import Answer, Request, serve_http

pytestmark = pytest.mark.asyncio
BODY = b"metric 1\n" * 1000


async def respond(request: Request) -> Answer:
    return Answer(BODY if request.path == "/metrics" else request.headers.get("x", "").encode())


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve at a free port."""
    with anyio.fail_after(30):
        async with listening(read_address("0")) as found, anyio.create_task_group() as tasks:
            tasks.start_soon(serve_http, found.listeners, respond)
            yield found.address.port
            tasks.cancel_scope.cancel()


async def rest(stream: SocketStream) -> bytes:
    """Return all that comes until the server closes the connection."""
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


async def asked(port: int, request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Send a request; return the status line, the headers and the body of the answer."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        head, _, body = (await rest(stream)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


async def test_a_request_is_answered_and_the_connection_closed() -> None:
    async with serving() as port:
        status, headers, body = await asked(port, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, body) == ("HTTP/1.1 200 OK", BODY)
        assert headers["Content-Length"] == str(len(BODY))
        assert headers["Connection"] == "close"
        _, headers, body = await asked(port, b"GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip, br\r\n\r\n")
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Content-Length"] == str(len(body))
        assert gzip.decompress(body) == BODY
        _, headers, body = await asked(port, b"HEAD /metrics HTTP/1.0\r\n\r\n")
        assert (headers["Content-Length"], body) == (str(len(BODY)), b"")
        assert (await asked(port, b"GET / HTTP/1.1\r\nX: a\r\nx: b\r\n\r\n"))[2] == b"a, b"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"\x16\x03\x01\r\n\r\n", "400 Bad Request"),
        (b"GET /metrics\r\n\r\n", "400 Bad Request"),
        (b"GET / SMTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, "431 Request Header Fields Too Large"),
    ],
    ids=["method", "tls", "no version", "other protocol", "no colon", "huge"],
)
async def test_what_is_no_request_for_it_gets_an_error(request_text: bytes, status: str) -> None:
    async with serving() as port:
        assert (await asked(port, request_text))[0] == f"HTTP/1.1 {status}"


async def test_idle_and_slow_clients_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as port:
        idle = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(metrics_http.MOST_CONNECTIONS + 5)]
        for stream in idle:
            await _send_some(stream)
        status, _, body = await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert (status, body) == ("HTTP/1.1 200 OK", BODY)
        assert await rest(idle[0]) == b"", "the oldest were closed"
        monkeypatch.setattr(metrics_http, "REQUEST_SECONDS", 0.05)
        slow = await anyio.connect_tcp("127.0.0.1", port)
        await slow.send(b"GET /met")
        assert await rest(slow) == b""
        for stream in [*idle, slow]:
            await stream.aclose()


async def _send_some(stream: SocketStream) -> None:
    try:
        await stream.send(b"GET /met")
    except anyio.BrokenResourceError:
        return  # it was closed for a newer one


async def test_a_client_that_goes_away_harms_nobody() -> None:
    async with serving() as port:
        for request in (b"", b"GET /metrics HTTP/1.1\r\n\r\n"):
            gone = await anyio.connect_tcp("127.0.0.1", port)
            if request:
                await gone.send(request)
            await gone.aclose()
        assert (await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n"))[2] == BODY


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", Address("127.0.0.1", 9464)),
        (":9464", Address("127.0.0.1", 9464)),
        ("0", Address("127.0.0.1", 0)),
        ("[::]:9464", Address("::", 9464)),
        ("[::1]:9464", Address("::1", 9464)),
        ("worker1.example:80", Address("worker1.example", 80)),
    ],
)
async def test_an_address_is_a_port_or_a_host_and_a_port(text: str, address: Address) -> None:
    assert read_address(text) == address
    assert read_address(str(address)) == address


@pytest.mark.parametrize("text", ["nine", "70000", "::1", "http://x:1", "a b:1", "x:", "-1", "[x]:1"])
async def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address for metrics"):
        read_address(text)


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    async with listening(read_address("0")) as found:
        assert found.is_local
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{found.address.port}: Address already in use"):
            async with listening(found.address):
                pass
    with pytest.raises(UsageError, match=r"metrics cannot be served at no\.such\.host\.invalid:1"):
        async with listening(read_address("no.such.host.invalid:1")):
            pass
    async with listening(read_address("0.0.0.0:0")) as found:
        assert not found.is_local
