"""Check when the certificate of a TLS server expires, for the `check` of connectors.

Python decodes only a verified certificate, but the dates also matter if verification fails. So this module
reads them from the bytes of the certificate (DER, X.509: RFC 5280).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import anyio
from anyio.streams.tls import TLSAttribute

from aetherflow.sdk.checks import CheckResult

EXPIRES_SOON = timedelta(days=30)
NAME = "certificate"

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_RENEW = "renew it on the server"


TlsPeer = ssl.SSLObject | ssl.SSLSocket


async def certificate_check(
    host: str, port: int, context: ssl.SSLContext | None = None, *, now: datetime | None = None
) -> CheckResult:
    """Connect to a TLS server and check its certificate: whether it can be verified, and when it expires.

    Args:
        host: the server, which is also the name that the certificate must have.
        port: a port with TLS from the first byte on (no STARTTLS).
        context: how to verify the certificate; default: the certificate authorities of the machine.
        now: the current time; default: the system clock.

    Raises:
        OSError: the server does not answer, or does not use TLS.
    """
    context = context or ssl.create_default_context()
    try:
        peer = await _peer_of(host, port, context)
    except ssl.SSLCertVerificationError as error:
        lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        lenient.check_hostname = False
        lenient.verify_mode = ssl.CERT_NONE  # safe: this connection only reads the dates and sends no data
        seen = peer_certificate_check(await _peer_of(host, port, lenient), now=now)
        if seen.state == "error":
            return seen
        reason = error.verify_message.removesuffix(".")
        hint = "trust its authority, or use the name that the certificate has"
        return CheckResult(NAME, "error", f"it cannot be verified: {reason}; {seen.message}", hint)
    return peer_certificate_check(peer, now=now)


def peer_certificate_check(peer: TlsPeer, *, now: datetime | None = None) -> CheckResult:
    """Check when the server's certificate of an open TLS connection expires."""
    raw = peer.getpeercert(True)
    if not isinstance(raw, bytes):
        return CheckResult(NAME, "warning", "the server shows no certificate")
    try:
        begins, ends = validity(raw)
    except (ValueError, IndexError, StopIteration):
        return CheckResult(NAME, "warning", "the dates of the certificate cannot be read")
    now = now or datetime.now(UTC)
    if now > ends:
        return CheckResult(NAME, "error", f"expired on {ends:%Y-%m-%d}", _RENEW)
    if now < begins:
        return CheckResult(
            NAME, "error", f"valid only from {begins:%Y-%m-%d} on", "check the clocks of both sides"
        )
    days = (ends - now).days
    message = f"valid until {ends:%Y-%m-%d}, {days} more day{'' if days == 1 else 's'}"
    if ends - now < EXPIRES_SOON:
        return CheckResult(NAME, "warning", message, _RENEW)
    return CheckResult(NAME, "ok", message)


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Return the first and the last moment at which a certificate is valid.

    Raises:
        ValueError: the bytes are not a certificate.
    """
    whole = next(_values(certificate))[1]
    fields = _values(next(_values(whole))[1])
    tag, _ = next(fields)
    skipped = 3 if tag == _VERSION else 2  # serial number, algorithm, issuer; the version may be left out
    for _ in range(skipped):
        next(fields)
    tag, dates = next(fields)
    if tag != _SEQUENCE:
        raise ValueError("the certificate has no validity period")
    begins, ends = (_time(tag, text) for tag, text in _values(dates))
    return begins, ends


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each DER value in the bytes."""
    at = 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, start = int.from_bytes(data[start : start + count]), start + count
        if start + size > len(data):
            raise ValueError("a value is cut off")
        yield tag, data[start : start + size]
        at = start + size


def _time(tag: int, text: bytes) -> datetime:
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("the certificate has an invalid time")
    digits = text.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 1950 to 2049
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


async def _peer_of(host: str, port: int, context: ssl.SSLContext) -> TlsPeer:
    stream = await anyio.connect_tcp(
        host, port, ssl_context=context, tls_hostname=host, tls_standard_compatible=False
    )
    async with stream:
        return stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - this is no Django
