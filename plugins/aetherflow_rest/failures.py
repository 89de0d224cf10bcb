"""Explain what went wrong between here and an HTTP server: what happened, and what to do.

AF375 the server cannot be reached, AF376 no secure connection, AF377 the answer did not come, or not whole,
AF382 a redirect is not followed, AF383 the request cannot be made.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Literal, TypeVar

import httpx2

from aetherflow import StepError

E = TypeVar("E", bound=BaseException)

_NO_FAULTS = (
    *(ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError),
    *(ssl.SSLZeroReturnError, ssl.SSLSyscallError),
)


class NotDone(StepError):
    """What a request asks has not happened: no server has seen it, or the first answer refuses it (4xx)."""

    @classmethod
    def of(cls, error: StepError) -> NotDone:
        """Return the same error as one of this class."""
        return cls(error.message, hint=error.hint, code=error.code, kind=error.kind, detail=error.detail)


def not_sent(error: BaseException) -> bool:
    """Whether the server has certainly seen nothing of the request."""
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)


def is_hopeless(error: BaseException) -> bool:
    """Whether a repetition would fail in the same way."""
    wrong = httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.DecodingError
    return isinstance(error, wrong) or _tls_fault(error) is not None


def explained(resource: str, what: str, host: str, error: BaseException, proxy: str = "") -> StepError:
    """Return the error for a request that got no whole answer.

    Args:
        resource: the name of the resource.
        what: the method and the URL without its query.
        host: whom the request was sent to.
        error: what httpx2 raised.
        proxy: host and port of the proxy in between, if there is one.
    """
    message, hint, code = _sentence(what, host, error, proxy)
    kind: Literal["timeout", "connection", "other"] = "other" if is_hopeless(error) else "connection"
    if isinstance(error, httpx2.TimeoutException):
        kind = "timeout"
    detail = {"resource": resource, "request": what}
    return StepError(f"resource {resource!r}: {message}", hint=hint, code=code, kind=kind, detail=detail)


def _sentence(what: str, host: str, error: BaseException, proxy: str) -> tuple[str, str, str]:
    """Return message, hint and code."""
    fault = _tls_fault(error)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return (*_certificate(host, fault), "AF376")
    if fault is not None:
        return (*_handshake(host, fault), "AF376")
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy does not forward {what}: {error}", "check config.proxy, or HTTPS_PROXY", "AF375"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        near, setting = (
            (f"the proxy {proxy}", "config.proxy, or HTTPS_PROXY") if proxy else (host, "base_url")
        )
        return (*_not_connected(near, setting, error), "AF375")
    return (*_of_an_open_connection(what, host, error), "AF377")


def _not_connected(host: str, setting: str, error: BaseException) -> tuple[str, str]:
    """Return message and hint; `host` is whom the connection was for, the server or its proxy."""
    if unknown := _cause(error, socket.gaierror):
        hint = f"check the host name in {setting}, and the DNS of this machine"
        return f"{'the host ' * (setting == 'base_url')}{host} has no address: {unknown.strerror}", hint
    if _cause(error, ConnectionRefusedError):
        hint = f"check host and port of {setting}, and that the server runs"
        return f"{host} refuses connections: nothing listens there", hint
    if isinstance(error, httpx2.ConnectTimeout):
        hint = f"check host and port of {setting} and the firewall; options.timeout is the limit"
        return f"{host} does not answer: no connection in time", hint
    reason = _cause(error, OSError) or error
    return f"{host} cannot be reached: {reason}", f"check {setting} and the network"


def _of_an_open_connection(what: str, host: str, error: BaseException) -> tuple[str, str]:
    match error:
        case httpx2.PoolTimeout():
            hint = "raise options.limits.max_connections, or run fewer steps at once"
            return f"no connection to {host} became free in time", hint
        case httpx2.TimeoutException():
            hint = "raise options.timeout if the server needs that long"
            return f"{host} fell silent: {what} got no further bytes in time", hint
        case httpx2.LocalProtocolError():
            return f"{what} cannot be sent: {error}", "correct its headers, or its body"
        case httpx2.DecodingError():
            hint = "the server, or a proxy, sends it with a wrong Content-Encoding"
            return f"the answer to {what} cannot be decompressed: {error}", hint
        case _:
            broken = _cause(error, OSError)
            reason = str(error) or (broken.strerror if broken and broken.strerror else "it was closed")
            hint = "let the step retry; if it happens each time, look at the server's log"
            return f"the connection to {host} broke in the middle of {what}: {reason}", hint


def _certificate(host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    match error.verify_code:  # X509_V_ERR_* of OpenSSL; all others mean that nobody trusted has signed it
        case 10:
            return f"the certificate of {host} has expired", "renew it on the server"
        case 9:
            return f"the certificate of {host} is not valid yet", "check the clocks of both sides"
        case 62 | 64:
            hint = "use a name in base_url that the certificate has, or give the server another certificate"
            return f"the certificate of {host} is for another host: {error.verify_message}", hint
        case _:
            hint = "name the file of its authority: config.ca"
            return f"the certificate of {host} is not trusted: {error.verify_message}", hint


def _handshake(host: str, error: ssl.SSLError) -> tuple[str, str]:
    reason = (error.reason or str(error)).lower().replace("_", " ")
    if "certificate required" in reason or "handshake failure" in reason:
        hint = "give one by config.client_cert and client_key"
        return f"{host} demands a client certificate: {reason}", hint
    if "wrong version number" in reason or "record layer failure" in reason:
        return f"{host} does not speak TLS at this port", "check the port, or write http:// in base_url"
    return f"no secure connection to {host}: {reason}", "check which versions of TLS the server speaks"


def _tls_fault(error: BaseException) -> ssl.SSLError | None:
    """Return what is wrong with the encryption; a connection that has ended is no such fault."""
    faults = (one for one in _causes(error) if isinstance(one, ssl.SSLError))
    return next((fault for fault in faults if not isinstance(fault, _NO_FAULTS)), None)


def _cause(error: BaseException, kind: type[E]) -> E | None:
    """Return the first error of a kind among an error and what caused it."""
    return next((one for one in _causes(error) if isinstance(one, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [cause for cause in (one.__cause__, one.__context__) if cause is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
