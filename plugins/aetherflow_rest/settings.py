"""The `config` and `options` of `rest:httpx`: where the server is, who calls it, and how patiently."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from aetherflow import Duration, StepError
from aetherflow_rest.sent_headers import wrong_header

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[Duration, Meta(gt=0)]

RETRIED_STATUSES = (429, 502, 503, 504)
"""Statuses that a server sends when it, or what is before it, has no time at the moment."""


class RestConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server is, and what it is called with.

    Attributes:
        base_url: what the paths of requests are appended to, such as `https://api.example.com/v1`. With
            a query (`?key=...`) it is the whole address.
        headers: sent with every request.
        bearer_token: sent as `Authorization: Bearer ...`, unless `headers` has an Authorization.
        username: for Basic authentication.
        password: for Basic authentication.
        ca: a file with the certificates of the authorities to trust, instead of those of the machine.
        client_cert: a file with a client certificate (PEM).
        client_key: the file with its key, if that is another file.
        client_key_password: the password of the key.
        proxy: an HTTP proxy, as `http://user:password@host:port`; default: the variables HTTPS_PROXY ...
    """

    base_url: str | None = None
    headers: dict[str, str] | None = None
    bearer_token: str | None = None
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    client_key_password: str | None = None
    proxy: str | None = None


class TimeoutOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The time limits, each of its own.

    Attributes:
        total: instead of `timeout`.
        connect: for connecting; default: as `timeout`.
        read: for the next bytes of the answer; default: as `timeout`.
        write: for sending the next bytes; default: as `timeout`.
        pool: for a free connection; default: as `timeout`.
    """

    total: Seconds | None = None
    connect: Seconds | None = None
    read: Seconds | None = None
    write: Seconds | None = None
    pool: Seconds | None = None


class RetryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a request is repeated, within one attempt of the step.

    Attributes:
        max_attempts: how many times a failed request is repeated.
        status_codes: the statuses that are worth a repetition.
        backoff_seconds: the wait before the first repetition; each further one is twice as long.
        max_wait_seconds: the longest wait. A server that demands more (Retry-After) gets no further request.
        retry_after: whether Retry-After of an answer decides how long to wait.
    """

    max_attempts: Count = 0
    status_codes: tuple[int, ...] = RETRIED_STATUSES
    backoff_seconds: Annotated[Duration, Meta(ge=0)] = 1
    max_wait_seconds: Annotated[Duration, Meta(ge=0)] = 60
    retry_after: bool = True


class LimitOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connections that are open at the same time.

    Attributes:
        max_connections: the most connections.
        max_keepalive_connections: the most that stay open without a request.
        keepalive_seconds: how long they stay open.
    """

    max_connections: Annotated[int, Meta(ge=1)] = 100
    max_keepalive_connections: Count = 20
    keepalive_seconds: Seconds = 5


class RestOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the server is called.

    Attributes:
        timeout: how long the server may be silent: while it connects, before and within its answer; default:
            30 s.
        timeouts: the same in another spelling ({total: 30}), and single limits.
        verify_ssl: whether the server's certificate is checked, which is the default; false: everybody on the
            way can read and change everything.
        retry: when a request is repeated; default: never.
        retries: instead of `retry: {max_attempts: ...}`.
        limits: how many connections are open at the same time.
        follow_redirects: whether redirects are followed.
        max_redirects: how many of them in a row.
    """

    timeout: Seconds | None = None
    timeouts: TimeoutOptions | None = None
    verify_ssl: bool | None = None
    retry: RetryOptions | None = None
    retries: Count | None = None
    limits: LimitOptions | None = None
    follow_redirects: bool = True
    max_redirects: Annotated[int, Meta(ge=1, le=50)] = 10

    @property
    def silence_seconds(self) -> float:
        """How long the server may be silent."""
        return self.timeout or (self.timeouts and self.timeouts.total) or 30.0

    @property
    def repetition(self) -> RetryOptions:
        """When a request is repeated, from both spellings."""
        retry = self.retry or RetryOptions()
        if self.retry is None and self.retries is not None:
            retry = msgspec.structs.replace(retry, max_attempts=self.retries)
        return retry


def check_config(resource: str, config: RestConfig) -> None:
    """Check what a Struct cannot express.

    Raises:
        StepError: the base_url is no web address, two ways to log in are given, or a header cannot be sent
            (AF384).
    """
    if config.base_url is not None:
        parts = urlsplit(config.base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            raise config_error(resource, "config.base_url is no web address", "write https://HOST/PATH")
        if parts.username or parts.password:
            hint = "write them as username and password of config"
            raise config_error(resource, "config.base_url has a user or a password", hint)
    if (config.username is None) != (config.password is None):
        raise config_error(resource, "config has only one of username and password", "give both of them")
    if config.username is not None and config.bearer_token is not None:
        hint = "keep one of them: the server gets only one Authorization"
        raise config_error(resource, "config has a bearer_token and also a username", hint)
    if config.client_key is not None and config.client_cert is None:
        raise config_error(resource, "config has a client_key without a client_cert", "give both of them")
    wrong, hint = wrong_header(default_headers(config))
    if wrong:
        raise config_error(resource, f"config.headers or bearer_token: {wrong}", hint)


def default_headers(config: RestConfig) -> dict[str, str]:
    """Return the headers that every request to the resource's own server has."""
    headers = dict(config.headers or {})
    if config.bearer_token and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = f"Bearer {config.bearer_token}"
    return headers


def config_error(resource: str, what: str, hint: str) -> StepError:
    """Return the error for a config that cannot be used; it must not show a password."""
    return StepError(f"resource {resource!r}: {what}", hint=hint, code="AF384")
