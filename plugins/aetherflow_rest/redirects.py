"""Redirects that keep credentials at home: what may be sent where. Pure, without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

HARMLESS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "range", "if-range", "user-agent"}
)
"""The headers that any server may see; every other one may be a credential."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOGIN = re.compile("//[^/]*@")
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The server that a URL is at."""

    scheme: str
    host: str
    port: int | None


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute URL."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return Origin(scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme))


def is_same_server(url: str, home: Origin) -> bool:
    """Whether a URL is at home: the same origin, or the same host by https instead of http."""
    there = origin_of(url)
    upgraded = Origin("https", home.host, 443)
    return there == home or (home == Origin("http", home.host, 80) and there == upgraded)


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that may be sent to another server."""
    return {name: value for name, value in headers.items() if name.lower() in HARMLESS}


def redirected_method(method: str, status: int) -> str:
    """Return the method of the request that follows a redirect, as browsers do it."""
    if status == 303 and method != "HEAD":  # noqa: PLR2004 - See Other
        return "GET"
    if status == 302 and method not in {"HEAD", "QUERY"}:  # noqa: PLR2004 - Found
        return "GET"
    if status == 301 and method == "POST":  # noqa: PLR2004 - Moved Permanently
        return "GET"
    return method


def redirected_url(url: str, location: str) -> str:
    """Return the absolute URL that a redirect leads to."""
    return urljoin(url, location)


def shown(url: str) -> str:
    """Return a URL for messages: without user, password, query and fragment."""
    return _LOGIN.sub("//", url.partition("#")[0].partition("?")[0], count=1)
