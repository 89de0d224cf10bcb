"""Certificates of a real TLS server on loopback, issued by a certificate authority of the test's own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from aetherflow.sdk.tls_check import certificate_check, peer_certificate_check, validity

pytestmark = pytest.mark.asyncio

HOST = "127.0.0.1"
NOW = datetime.now(UTC).replace(microsecond=0)
AUTHORITY = trustme.CA()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    return context


@asynccontextmanager
async def serving(*names: str, ends: datetime, begins: datetime | None = None) -> AsyncIterator[int]:
    """Serve TLS with a certificate for these names; give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begins = begins or ends - timedelta(days=365)
    AUTHORITY.issue_cert(*names, not_after=ends, not_before=begins).configure_cert(context)

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(greet, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("days", "state", "message"),
    [
        (100, "ok", "valid until {date}, 100 more days"),
        (30, "ok", "valid until {date}, 30 more days"),
        (29, "warning", "valid until {date}, 29 more days"),
        (1, "warning", "valid until {date}, 1 more day"),
        (0, "warning", "valid until {date}, 0 more days"),
    ],
)
async def test_a_good_certificate_and_one_that_expires_soon(days: int, state: str, message: str) -> None:
    ends = NOW + timedelta(days=days, hours=1)
    async with serving(HOST, ends=ends) as port:
        check = await certificate_check(HOST, port, trusting(), now=NOW)
    assert (check.subject, check.state) == ("certificate", state)
    assert check.message == message.format(date=f"{ends:%Y-%m-%d}")
    assert bool(check.hint) is (state != "ok")


async def test_an_expired_certificate_is_reported_with_its_day_though_it_does_not_verify() -> None:
    ends = NOW - timedelta(days=3)
    async with serving(HOST, ends=ends) as port:
        check = await certificate_check(HOST, port, trusting())
    assert (check.state, check.message) == ("error", f"expired on {ends:%Y-%m-%d}")
    assert check.hint == "renew it on the server"


async def test_one_that_is_not_valid_yet() -> None:
    begins = NOW + timedelta(days=2)
    async with serving(HOST, ends=NOW + timedelta(days=90), begins=begins) as port:
        check = await certificate_check(HOST, port, trusting(), now=NOW)
    assert (check.state, check.message) == ("error", f"valid only from {begins:%Y-%m-%d} on")


async def test_one_of_an_unknown_authority_and_one_of_another_name() -> None:
    async with serving(HOST, ends=NOW + timedelta(days=90)) as port:
        unknown = await certificate_check(HOST, port)
    async with serving("elsewhere.example", ends=NOW + timedelta(days=90)) as port:
        other = await certificate_check(HOST, port, trusting())
    assert (unknown.state, other.state) == ("error", "error")
    assert unknown.message.startswith("it cannot be verified: unable to get local issuer certificate; valid")
    assert other.message.startswith("it cannot be verified: IP address mismatch")


async def test_the_tls_object_of_a_connection_that_is_there_already() -> None:
    ends = NOW + timedelta(days=10, hours=1)
    async with serving(HOST, ends=ends) as port:
        _, writer = await asyncio.open_connection(HOST, port, ssl=trusting())
        check = peer_certificate_check(writer.get_extra_info("ssl_object"), now=NOW)
        writer.close()
    assert (check.state, check.message) == ("warning", f"valid until {ends:%Y-%m-%d}, 10 more days")


async def test_the_dates_are_those_that_python_reads_of_a_verified_certificate() -> None:
    ends = NOW + timedelta(days=40_000)  # after 2049 the form of the time is another
    async with serving(HOST, ends=ends, begins=NOW - timedelta(days=1)) as port:
        _, writer = await asyncio.open_connection(HOST, port, ssl=trusting())
        peer = writer.get_extra_info("ssl_object")
        begins, found = validity(peer.getpeercert(True))
        reported = peer.getpeercert()
        writer.close()
    assert found == ends == datetime.fromtimestamp(ssl.cert_time_to_seconds(reported["notAfter"]), UTC)
    assert begins == datetime.fromtimestamp(ssl.cert_time_to_seconds(reported["notBefore"]), UTC)


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x82\xff\xff", b"\x30\x03\x02\x01\x05", b"no certificate"]
)
async def test_what_is_no_certificate_is_a_warning(data: bytes) -> None:
    class Peer:
        """A peer that shows these bytes."""

        def getpeercert(self, _binary: object) -> bytes:
            return data

    check = peer_certificate_check(Peer())  # type: ignore[arg-type]  # only this method is used
    assert (check.state, check.message) == ("warning", "the dates of the certificate cannot be read")


async def test_nobody_there_is_an_error_of_the_system() -> None:
    async with serving(HOST, ends=NOW + timedelta(days=1)) as port:
        pass
    with pytest.raises(OSError, match=r"."):
        await certificate_check(HOST, port, trusting())
