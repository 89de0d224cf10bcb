"""The connector `rest:httpx`: an HTTP server, called with httpx2."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from aetherflow import (
    CheckResult,
    Connector,
    MissingExtra,
    Resource,
    StepContext,
    StepError,
    connector,
    peer_certificate_check,
    run_blocking,
)
from aetherflow_rest.call import Call, no_body
from aetherflow_rest.repetition import IDEMPOTENT
from aetherflow_rest.settings import RestConfig, RestOptions, check_config, default_headers

if TYPE_CHECKING:
    import httpx2

    from aetherflow_rest.exchange import Exchange

T = TypeVar("T")

CHECK_SECONDS = 10.0
NOT_VERIFIED = "verify_ssl is false, so the certificate of the server is not checked"
NOTHING_THERE = frozenset({404, 405})
UNAUTHORIZED, FORBIDDEN, SERVER_ERRORS = 401, 403, 500


@connector("rest:httpx")
class RestConnector(Connector):
    """Calls an HTTP server; connections are reused by all steps of a run."""

    config_type: ClassVar[type[RestConfig]] = RestConfig
    options_type: ClassVar[type[RestOptions]] = RestOptions
    path_keys: ClassVar[tuple[str, ...]] = ("ca", "client_cert", "client_key")
    packages: ClassVar[tuple[str, ...]] = ("httpx2",)
    kind: ClassVar[str] = "rest"
    driver: ClassVar[str] = "httpx"

    def __init__(self, resource: Resource) -> None:
        """Remember how to call the server; `open` prepares that.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            StepError: a setting cannot be used.
        """
        self.name = resource.name
        self.config, self.options = resource.config, resource.options
        self._config = resource.config_as(RestConfig)
        self._options = resource.options_as(RestOptions)
        check_config(resource.name, self._config)
        if self._options.verify_ssl is False:
            self.cautions = (f"resource {self.name!r}: {NOT_VERIFIED}",)
        self._exchange: Exchange | None = None
        self._client: httpx2.Client | None = None

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Read the certificates; the first request connects, and reports what is wrong with the network.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: httpx2 is not installed.
            StepError: the base_url, the proxy or a file of certificates cannot be used.
        """
        made = cls(resource)
        await made._open()
        return made

    async def send(self, call: Call, consume: Callable[[httpx2.Response], Awaitable[T]]) -> T:
        """Send a request and `consume` its answer while it arrives; see `Exchange.send`.

        Raises:
            StepError: there is no answer, or it broke off; or `consume` raised it.
        """
        return await (await self._open()).send(call, consume)

    @asynccontextmanager
    async def answered(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """Send a request once, and give its answer in a block; see `Exchange.answered`.

        Raises:
            StepError: there is no answer, or it breaks off in the block.
        """
        async with (await self._open()).answered(call) as response:
            yield response

    async def address(self, call: Call) -> str:
        """Return the absolute URL of a request, with its query.

        Raises:
            StepError: it is no web address, or relative without a base_url.
        """
        return (await self._open()).url_of(call)

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        files: Any = None,
        content: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of each wait for the server, not of the whole
    ) -> httpx2.Response:
        """Send a request and return its answer, read into memory; its status is not judged.

        Raises:
            StepError: there is no whole answer (kind "connection" or "timeout").
        """
        given = {"json": json, "data": data, "files": files, "content": content}
        body = {key: value for key, value in given.items() if value is not None}
        is_whole = files is None and isinstance(content, str | bytes | None)

        async def read(response: httpx2.Response) -> httpx2.Response:
            await response.aread()
            return response

        may_repeat = method.upper() in IDEMPOTENT and is_whole
        made = Call(
            method.upper(), url, params, headers or {}, body.copy if body else no_body, may_repeat, timeout
        )
        return await self.send(made, read)

    async def get(self, url: str, **arguments: Any) -> httpx2.Response:
        """Send a GET; see `request`."""
        return await self.request("GET", url, **arguments)

    async def post(self, url: str, **arguments: Any) -> httpx2.Response:
        """Send a POST; see `request`."""
        return await self.request("POST", url, **arguments)

    async def put(self, url: str, **arguments: Any) -> httpx2.Response:
        """Send a PUT; see `request`."""
        return await self.request("PUT", url, **arguments)

    async def delete(self, url: str, **arguments: Any) -> httpx2.Response:
        """Send a DELETE; see `request`."""
        return await self.request("DELETE", url, **arguments)

    def base_url(self) -> str:
        """Return what paths are appended to, without a `/` at its end."""
        return (self._config.base_url or "").rstrip("/")

    def headers(self) -> dict[str, str]:
        """Return the headers of every request; they hold the credentials."""
        return default_headers(self._config)

    async def async_client(self) -> httpx2.AsyncClient:
        """Return the client of httpx2 that the requests are sent with."""
        return (await self._open()).client

    async def client(self) -> httpx2.Client:
        """Return a client of httpx2 for code in a thread; it has the same settings, and no repetition."""
        if self._client is None:
            import httpx2  # noqa: PLC0415 - an optional dependency

            arguments = (await self._open()).client_arguments
            self._client = self._client or httpx2.Client(**arguments)
        return self._client

    async def check(self) -> list[CheckResult]:
        """Send a HEAD to base_url, and judge the answer, the certificate and the settings.

        Raises:
            StepError: there is no answer.
        """
        checks = self._setting_checks()
        if not self.base_url():
            return [*checks, CheckResult("connection", "ok", "there is no base_url that could be tried")]

        async def judge(response: httpx2.Response) -> list[CheckResult]:
            stream = response.extensions.get("network_stream")
            peer = stream.get_extra_info("ssl_object") if stream is not None else None
            certificate = [peer_certificate_check(peer)] if peer is not None else []
            return [self._answer_check(response.status_code), *certificate]

        seen = Call("HEAD", "", may_repeat=True, timeout=CHECK_SECONDS, is_expected=lambda _status: True)
        return [*await self.send(seen, judge), *checks]

    async def aclose(self) -> None:
        """Close all connections."""
        exchange, client = self._exchange, self._client
        self._exchange = self._client = None
        if client is not None:
            await run_blocking(client.close)
        if exchange is not None:
            await exchange.aclose()

    close = aclose
    """The name of plugins of AetherFlow 0.0; the next request opens the connector again."""

    async def _open(self) -> Exchange:
        if self._exchange is None:
            made = await run_blocking(_exchange, self.name, self._config, self._options)
            self._exchange = self._exchange or made  # another task may have been first
        return self._exchange

    def _answer_check(self, status: int) -> CheckResult:
        what = f"{self.base_url()} answers with status {status}"
        if status in {UNAUTHORIZED, FORBIDDEN}:
            hint = "check the token or password, unless only some paths need one"
            return CheckResult("login", "warning", what, hint)
        if status >= SERVER_ERRORS:
            return CheckResult("connection", "warning", what, "look at the server")
        if status in NOTHING_THERE:
            what = f"{self.base_url()} answers; there is nothing at this address itself (status {status})"
        return CheckResult("connection", "ok", what)

    def _setting_checks(self) -> list[CheckResult]:
        checks = []
        if self._options.verify_ssl is False:
            hint = "name its authority: config.ca"
            checks.append(CheckResult("certificate", "warning", NOT_VERIFIED, hint))
        has_login = self._config.username is not None or self._config.bearer_token is not None
        if has_login and self.base_url().lower().startswith("http://"):
            message = "base_url is http://, so that the password or token can be read on the way"
            checks.append(
                CheckResult("encryption", "warning", message, "write https:// if the server has it")
            )
        return checks


async def rest_connector(ctx: StepContext, resource: str) -> RestConnector:
    """Return the open connector of a resource of kind rest.

    Raises:
        StepError: it cannot be opened, or is of another kind.
    """
    found = await ctx.connector(resource)
    if not isinstance(found, RestConnector):
        raise StepError(
            f"resource {resource!r} is no HTTP server", hint="name a resource of kind rest", code="AF388"
        )
    return found


def _exchange(resource: str, config: RestConfig, options: RestOptions) -> Exchange:
    try:
        from aetherflow_rest.exchange import Exchange  # noqa: PLC0415 - it imports httpx2
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("httpx2", "httpcore2")):
            raise
        raise MissingExtra(
            f"resource {resource!r} (rest:httpx) needs httpx2, which is not installed",
            hint="pip install 'aetherflow[rest]'",
        ) from error
    return Exchange(resource, config, options)
