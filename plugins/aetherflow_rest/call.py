"""A request as data: what is sent, whether it may be sent twice, and which statuses end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Body = Callable[[], dict[str, Any]]
"""Returns the body as keyword arguments of httpx2 (`content`, `files` ...); called for each sending of it."""


def no_body() -> dict[str, Any]:
    """Return the arguments of a request without a body."""
    return {}


def any_status(_status: int) -> bool:
    """Whether a status needs neither a repetition nor a redirect: never, here."""
    return False


class Call(msgspec.Struct, frozen=True):
    """A request.

    Attributes:
        method: in upper case.
        url: a path below the resource's base_url, or an absolute URL.
        params: of the query.
        headers: besides those of the resource.
        body: see `Body`.
        may_repeat: whether it does the same when the server gets it twice.
        timeout: how long the server may be silent, in seconds; None: as the resource says.
        more_headers: returns headers to add, for each sending of it.
        is_expected: whether a status is an answer as it is: it is neither repeated nor followed.
    """

    method: str
    url: str
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    body: Body = no_body
    may_repeat: bool = False
    timeout: float | None = None
    is_expected: Callable[[int], bool] = any_status
    more_headers: Callable[[], Mapping[str, str]] = dict
