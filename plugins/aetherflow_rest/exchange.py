"""Send HTTP requests with httpx2: repeat what may be repeated, follow redirects, close what is open."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import anyio
import httpx2

from aetherflow import StepError
from aetherflow_rest.call import Body, Call, no_body
from aetherflow_rest.clients import arguments_at_home, arguments_elsewhere, proxy_for
from aetherflow_rest.failures import NotDone, explained, is_hopeless, not_sent
from aetherflow_rest.redirects import (
    REDIRECTS,
    Origin,
    harmless,
    is_same_server,
    origin_of,
    redirected_method,
    redirected_url,
    shown,
)
from aetherflow_rest.repetition import retry_after_seconds, wait_before
from aetherflow_rest.sent_headers import wrong_header
from aetherflow_rest.settings import RestConfig, RestOptions

T = TypeVar("T")

CLOSE_SECONDS = 5.0
"""How long closing may take; a server that does not answer must not hold a step."""

FAILURES = (httpx2.RequestError, httpx2.StreamError, ssl.SSLError)
"""What httpx2 raises when there is no whole answer."""

_log = logging.getLogger("rest")


class _Hop(NamedTuple):
    """One request of a call: the first, or one that follows a redirect.

    Attributes:
        is_home: whether it goes to the server of the resource, which gets the resource's credentials.
        is_first: whether it goes to the server that the call names, which gets the call's headers and body.
    """

    method: str
    url: str
    body: Body
    is_home: bool
    is_first: bool


class Exchange:
    """The clients of a resource: one for its own server, with credentials, and one for all others."""

    def __init__(self, resource: str, config: RestConfig, options: RestOptions) -> None:
        """Prepare both clients; nothing is connected yet. Reads files, so call it in a worker thread.

        Raises:
            StepError: a file of certificates or the proxy cannot be used.
        """
        self.resource = resource
        self.base_url = (config.base_url or "").rstrip("/")
        self.options = options
        self._proxy = config.proxy or ""
        self._home: Origin | None = origin_of(self.base_url) if self.base_url else None
        elsewhere = arguments_elsewhere(resource, config, options)
        self.client_arguments = arguments_at_home(resource, config, options, elsewhere)
        self.client = httpx2.AsyncClient(**self.client_arguments)
        self._elsewhere = httpx2.AsyncClient(**elsewhere)

    async def send(self, call: Call, consume: Callable[[httpx2.Response], Awaitable[T]]) -> T:
        """Send a request and `consume` its answer, whose body is not read yet; return the result of that.

        Whatever fails is repeated as the resource's options say, if the server has not seen the request
        or may get it twice; `consume` is then called again.

        Raises:
            StepError: there is no answer, or it broke off; or `consume` raised it.
        """
        repetition, never_sent = 0, True
        while True:
            repetition += 1
            trail: list[str] = []
            try:
                async with self._answer(call, trail) as response:
                    wait = self._wait_for_status(call, response, repetition)
                    if wait is None:
                        return await _consumed(response, consume, is_first=never_sent)
                    reason, never_sent = f"status {response.status_code}", False
            except FAILURES as error:
                failure = self._failure(call, trail, error)
                never_sent = never_sent and not_sent(error) and len(trail) == 1
                is_safe = (not_sent(error) or call.may_repeat) and not is_hopeless(error)
                wait = wait_before(repetition, self.options.repetition) if is_safe else None
                if wait is None:
                    raise NotDone.of(failure) if never_sent else failure from error
                reason = failure.message
            _log.info("%s %s is repeated in %g s: %s", call.method, shown(trail[-1]), wait, reason)
            await anyio.sleep(wait)

    @asynccontextmanager
    async def answered(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Send a request once, and give its answer, whose body is not read yet, in a block.

        Raises:
            StepError: there is no answer, or it breaks off in the block.
        """
        trail: list[str] = []
        try:
            async with self._answer(call, trail) as response:
                yield response
        except FAILURES as error:
            raise self._failure(call, trail, error) from error

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self.client.aclose()
            await self._elsewhere.aclose()

    def url_of(self, call: Call) -> str:
        """Return the absolute URL of a call, with its query.

        Raises:
            StepError: it is relative and the resource has no base_url, or one with a query, or it is no web
                address (AF383).
        """
        url = call.url
        if not url.lower().startswith(("http://", "https://")):
            if not self.base_url:
                raise StepError(
                    f"resource {self.resource!r}: the path {url!r} is relative, and there is no base_url",
                    hint="give the resource a base_url, or write the whole address",
                    code="AF383",
                )
            if url and "?" in self.base_url:
                raise StepError(
                    f"resource {self.resource!r}: base_url has a query, so that no path can follow it",
                    hint="write base_url without what follows its ?, and that as params of the step",
                    code="AF383",
                )
            url = (
                f"{self.base_url}/{url.lstrip('/')}" if url[:1] not in {"", "?"} else f"{self.base_url}{url}"
            )
        try:
            whole = httpx2.URL(url)
            return str(whole.copy_merge_params(call.params) if call.params else whole)
        except httpx2.InvalidURL as error:
            raise self._no_address(url, error) from None

    def _wait_for_status(self, call: Call, response: httpx2.Response, repetition: int) -> float | None:
        repeated = self.options.repetition
        status = response.status_code
        if not call.may_repeat or status not in repeated.status_codes or call.is_expected(status):
            return None
        return wait_before(repetition, repeated, retry_after_seconds(response.headers, datetime.now(UTC)))

    @asynccontextmanager
    async def _answer(self, call: Call, trail: list[str]) -> AsyncIterator[httpx2.Response]:
        """Send a request, and those that redirects lead to; note their URLs, and close the answer."""
        response = await self._follow(call, trail)
        try:
            yield response
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await response.aclose()

    async def _follow(self, call: Call, trail: list[str]) -> httpx2.Response:
        url = self.url_of(call)
        home = self._home or origin_of(url)
        first = origin_of(url)
        hop = _Hop(call.method, url, call.body, is_same_server(url, home), True)
        for _ in range(self.options.max_redirects + 1):
            trail.append(hop.url)
            client = self.client if hop.is_home else self._elsewhere
            response = await client.send(self._request(call, hop), stream=True)
            status, location = response.status_code, response.headers.get("location")
            is_followed = self.options.follow_redirects and status in REDIRECTS
            if not is_followed or not location or call.is_expected(status):
                return response
            await response.aclose()
            hop = self._next(call, hop, status, location, home, first)
        raise StepError(
            f"resource {self.resource!r}: {call.method} {shown(url)} was redirected more than "
            f"{self.options.max_redirects} times, at last to {shown(hop.url)}",
            hint="most likely the server redirects in a circle; the limit is options.max_redirects",
            code="AF382",
        )

    def _next(self, call: Call, hop: _Hop, status: int, location: str, home: Origin, first: Origin) -> _Hop:
        """Return the request that a redirect leads to; what has left a server once never counts as there.

        Raises:
            StepError: its body would go to another server (AF382).
        """
        try:
            url = redirected_url(hop.url, location)
            is_web = origin_of(url).scheme in {"http", "https"}
        except ValueError:
            url, is_web = location, False
        if not is_web:
            raise self._no_address(url, "a redirect leads there")
        method = redirected_method(hop.method, status)
        body = hop.body if method == hop.method else no_body
        is_home, is_first = is_same_server(url, home), is_same_server(url, first)
        if body is not no_body and not is_first:
            raise StepError(
                f"resource {self.resource!r}: {hop.method} {shown(hop.url)} is redirected to {shown(url)}, "
                "another server, which must not get its body",
                hint="if that is right, send the request there: correct the path or base_url",
                code="AF382",
                detail={"request": f"{call.method} {shown(hop.url)}", "location": shown(url)},
            )
        return _Hop(method, url, body, hop.is_home and is_home, hop.is_first and is_first)

    def _request(self, call: Call, hop: _Hop) -> httpx2.Request:
        body = hop.body()
        given = call.headers if hop.is_first else harmless(call.headers)
        wrong, hint = wrong_header(given)
        if wrong:
            raise self._not_sendable(hop, wrong, hint)
        client = self.client if hop.is_home else self._elsewhere
        self._elsewhere.cookies.clear()  # cookies know hosts, but no ports and no schemes
        limit: Any = httpx2.USE_CLIENT_DEFAULT if call.timeout is None else call.timeout
        try:
            headers = httpx2.Headers(body.pop("headers", None))
            headers.update(given)
            headers.update(harmless(call.more_headers()))
            return client.build_request(hop.method, hop.url, headers=headers, timeout=limit, **body)
        except httpx2.InvalidURL as error:
            raise self._no_address(hop.url, error) from None
        except (UnicodeEncodeError, TypeError, ValueError) as error:
            raise self._not_sendable(hop, error, "correct its headers, or its body") from None

    def _not_sendable(self, hop: _Hop, reason: object, hint: str) -> StepError:
        return StepError(
            f"resource {self.resource!r}: {hop.method} {shown(hop.url)} cannot be sent: {reason}",
            hint=hint,
            code="AF383",
        )

    def _failure(self, call: Call, trail: list[str], error: Exception) -> StepError:
        what, host = f"{call.method} {shown(trail[-1])}", origin_of(trail[-1])
        proxy = proxy_for(host, self._proxy)
        return explained(self.resource, what, f"{host.host}:{host.port}", error, proxy)

    def _no_address(self, url: str, reason: object) -> StepError:
        return StepError(
            f"resource {self.resource!r}: {shown(url)!r} is no web address: {reason}",
            hint="write a path below base_url, or http(s)://HOST/PATH",
            code="AF383",
        )


async def _consumed(
    response: httpx2.Response, consume: Callable[[httpx2.Response], Awaitable[T]], *, is_first: bool
) -> T:
    """Consume an answer; one that is not the first says nothing about what an earlier request has done."""
    try:
        return await consume(response)
    except NotDone as error:
        if is_first:
            raise
        raise StepError(
            error.message, hint=error.hint, code=error.code, kind=error.kind, detail=error.detail
        ) from error
