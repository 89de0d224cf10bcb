"""Convert by msgspec, one conversion at a time: two threads must not convert to a new type together.

Seen with msgspec 0.21 on Python 3.11: two threads that convert to the same Struct for the first time, as a
server does that loads two flows at once, end the process with a segmentation fault.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_one_at_a_time = threading.Lock()


def convert(value: Any, wanted: type[T], *, strict: bool = True) -> T:
    """Return plain data as a type.

    Raises:
        msgspec.ValidationError: it does not fit.
    """
    with _one_at_a_time:
        return msgspec.convert(value, wanted, strict=strict)


def json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, made when it is first asked for."""
    with _one_at_a_time:
        return _json_decoder(wanted)


@lru_cache
def _json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)
