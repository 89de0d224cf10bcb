"""Convert plain data to typed Structs with msgspec, one conversion at a time.

With msgspec 0.21 on Python 3.11, two threads that convert to the same Struct for the first time end the
process with a segmentation fault; a server that loads two flows at once would do so.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from aetherflow.plugin_errors import is_our_cancellation, named

T = TypeVar("T")

_one_at_a_time = threading.Lock()


def convert(value: Any, wanted: type[T], *, strict: bool = True) -> T:
    """Convert plain data to a type.

    Raises:
        msgspec.ValidationError: the data does not fit the type.
    """
    with _one_at_a_time:
        return msgspec.convert(value, wanted, strict=strict)


def misfit(value: Any, wanted: Any) -> str:
    """Return why plain data does not fit a type, numbers and truth as text included; empty if it fits.

    The `__post_init__` of a plugin's Struct may raise anything; what it raises is the reason.
    """
    try:
        convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        return str(error)
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        return named(error)
    return ""


def json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, created at the first call."""
    with _one_at_a_time:
        return _json_decoder(wanted)


@lru_cache
def _json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)
