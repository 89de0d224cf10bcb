"""Note which values a condition reads, and describe them in a few words: why it is false, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from aetherflow.spec.suggest import LONGEST_SHOWN, shortened

Mask = Callable[[Any], Any]
"""Masks the secrets in a value."""

VALUES_SHOWN = 8

_WHY_MISSING = {
    "jobs": " (the job did not output it)",
    "env": " (the variable is not set)",
    "params": " (the run has no such parameter)",
}


class Seen(msgspec.Struct, frozen=True):
    """A path that a condition read and what was there; nothing was there if it is missing."""

    path: tuple[str, ...]
    value: Any
    is_missing: bool

    @property
    def why_missing(self) -> str:
        """Why nothing was there, in brackets; empty if something was."""
        return _WHY_MISSING.get(self.path[0], "") if self.is_missing else ""

    def text(self, mask: Mask) -> str:
        """Return it in words, without secrets: `params.limit is 5`."""
        value = shown_value(self.path[-1], self.value, mask)
        return f"{'.'.join(self.path)} is {value}{self.why_missing}"


class Noting(dict[str, Any]):
    """A scope that notes which paths a condition reads in it.

    Attributes:
        seen: what was read, in order, each path once.
    """

    def __init__(self, scope: Mapping[str, Any]) -> None:
        super().__init__(scope)
        self.seen: dict[tuple[str, ...], Seen] = {}

    def note(self, path: tuple[str, ...], value: Any, *, is_missing: bool) -> None:
        """Note that a path was read."""
        self.seen.setdefault(path, Seen(path, value, is_missing))


def described(values: Iterable[Seen], mask: Mask) -> str:
    """Return what was read in words, with a colon before it; an empty text if nothing was."""
    seen = list(values)
    if not seen:
        return ""
    shown = ", ".join(one.text(mask) for one in seen[:VALUES_SHOWN])
    more = f" and {len(seen) - VALUES_SHOWN} more" if len(seen) > VALUES_SHOWN else ""
    return f": {shown}{more}"


def shown_value(name: str, value: Any, mask: Mask) -> str:
    """Return a value of that name in few characters; masked before it is cut: half a secret is not found."""
    masked = next(iter(mask({name: value}).values()))
    match masked:
        case str():
            return repr(shortened(masked))
        case Mapping() | list() | tuple():
            text = json.dumps(masked, ensure_ascii=False, default=str)
            kind = "mapping" if isinstance(masked, Mapping) else "list"
            return text if len(text) <= LONGEST_SHOWN else f"{shortened(text)} (a {kind} of {len(masked)})"
        case _:
            return shortened(json.dumps(masked, default=str))
