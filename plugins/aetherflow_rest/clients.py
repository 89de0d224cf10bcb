"""The arguments of httpx2's clients: time limits, proxy, certificates, credentials; reading them blocks."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx2

from aetherflow import __version__
from aetherflow_rest.redirects import Origin, origin_of
from aetherflow_rest.settings import (
    LimitOptions,
    RestConfig,
    RestOptions,
    TimeoutOptions,
    config_error,
    default_headers,
)


def arguments_elsewhere(resource: str, config: RestConfig, options: RestOptions) -> dict[str, Any]:
    """Return the arguments of a client that calls any server: it has no credentials.

    Raises:
        StepError: the proxy, or the file of authorities, cannot be used (AF384).
    """
    seconds = options.silence_seconds
    limits, timeouts = options.limits or LimitOptions(), options.timeouts or TimeoutOptions()
    limit = httpx2.Timeout(
        seconds,
        connect=timeouts.connect or seconds,
        read=timeouts.read or seconds,
        write=timeouts.write or seconds,
        pool=timeouts.pool or seconds,
    )
    try:
        proxy = httpx2.Proxy(config.proxy) if config.proxy else None
    except (ValueError, httpx2.InvalidURL):
        raise config_error(resource, "config.proxy is no proxy's address", "write http://HOST:PORT") from None
    return {
        "headers": {"User-Agent": f"aetherflow/{__version__}"},
        "verify": _tls(resource, config, options),
        "proxy": proxy,
        "timeout": limit,
        "limits": httpx2.Limits(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_seconds,
        ),
        "follow_redirects": False,
    }


def arguments_at_home(
    resource: str, config: RestConfig, options: RestOptions, elsewhere: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of the client that calls the resource's own server, with its credentials.

    Raises:
        StepError: the client certificate cannot be used (AF384).
    """
    return {
        **elsewhere,
        "verify": _with_client(resource, config, options, elsewhere["verify"]),
        "headers": {**elsewhere["headers"], **default_headers(config)},
        "base_url": (config.base_url or "").rstrip("/"),
        "auth": (config.username, config.password) if config.username is not None else None,
    }


def _tls(resource: str, config: RestConfig, options: RestOptions) -> ssl.SSLContext:
    """Return what servers are verified with."""
    if options.verify_ssl is False:
        return httpx2.create_ssl_context(verify=False)
    if not config.ca:
        return _trust_of_the_machine()
    try:
        return ssl.create_default_context(cafile=config.ca)
    except (OSError, ssl.SSLError) as error:
        hint = "name a file with certificates in PEM: -----BEGIN CERTIFICATE-----"
        raise config_error(
            resource, f"config.ca {config.ca} cannot be used: {_reason(error)}", hint
        ) from None


@cache
def _trust_of_the_machine() -> ssl.SSLContext:
    """Return the authorities of the machine, which are slow to read."""
    return httpx2.create_ssl_context()


def _with_client(
    resource: str, config: RestConfig, options: RestOptions, context: ssl.SSLContext
) -> ssl.SSLContext:
    """Return a context that also shows the client certificate, if there is one."""
    if not config.client_cert:
        return context
    context = (
        _tls(resource, config, options)
        if config.ca
        else httpx2.create_ssl_context(options.verify_ssl is not False)
    )
    try:
        context.load_cert_chain(config.client_cert, config.client_key, config.client_key_password or "")
    except (OSError, ssl.SSLError) as error:
        raise config_error(
            resource,
            f"the client certificate {config.client_cert} cannot be used: {_reason(error)}",
            "check config.client_cert, client_key and client_key_password: files in PEM that fit",
        ) from None
    return context


def proxy_for(server: Origin, given: str) -> str:
    """Return host and port of the proxy that requests to a server go through; empty: there is none."""
    proxies = {} if given or proxy_bypass(f"{server.host}:{server.port}") else getproxies()
    found = given or proxies.get(server.scheme) or proxies.get("all") or ""
    if not found:
        return ""
    place = origin_of(found if "://" in found else f"http://{found}")
    return f"{place.host}:{place.port}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
