"""Look up a value in a JSON answer by a dotted path, such as `data.items.0.id`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN_KEYS = 8


class NotThere(LookupError):
    """There is no such value; the message says what is there instead."""


def look_up(value: Any, path: str) -> Any:
    """Return the value at a path; the empty path is the value itself.

    A part is the key of a mapping, the number of an item (`-1` is the last), or `*`: the rest of the path in
    every item of a list. A key may have dots (`@odata.nextLink`).

    Raises:
        NotThere: there is no such value.
    """
    return _look_up(value, path.split("."), "") if path else value


def _look_up(value: Any, parts: Sequence[str], at: str) -> Any:
    if not parts:
        return value
    if isinstance(value, dict):
        for count in range(len(parts), 0, -1):  # the longest key wins: keys may have dots
            key = ".".join(parts[:count])
            if key in value:
                return _look_up(value[key], parts[count:], f"{at}.{key}")
    elif isinstance(value, list):
        if parts[0] == "*":
            return [_look_up(item, parts[1:], f"{at}.{number}") for number, item in enumerate(value)]
        if parts[0].lstrip("-").isdecimal() and -len(value) <= int(parts[0]) < len(value):
            return _look_up(value[int(parts[0])], parts[1:], f"{at}.{parts[0]}")
    place = f"at {at[1:]!r}" if at else "at its top"
    raise NotThere(f"there is no {parts[0]!r} {place}, but {_described(value)}")


def _described(value: Any) -> str:
    match value:
        case dict():
            keys = ", ".join(map(str, list(value)[:SHOWN_KEYS]))
            more = ", ..." if len(value) > SHOWN_KEYS else ""
            return f"a mapping with {keys}{more}" if value else "an empty mapping"
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case None:
            return "null"
        case _:
            return f"a {'text' if isinstance(value, str) else type(value).__name__}"
