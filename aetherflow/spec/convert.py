"""Convert plain data to typed Structs with msgspec, one conversion at a time.

With msgspec 0.21 on Python 3.11, two threads that convert to the same Struct for the first time end the
process with a segmentation fault; a server that loads two flows at once would do so.
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as kinds

from aetherflow.plugin_errors import is_our_cancellation, named
from aetherflow.spec.spelling import as_wanted, unwritten

T = TypeVar("T")

_one_at_a_time = threading.Lock()


def convert(value: Any, wanted: type[T], *, strict: bool = True) -> T:
    """Convert plain data to a type.

    Raises:
        msgspec.ValidationError: the data does not fit the type.
    """
    with _one_at_a_time:
        return msgspec.convert(value, wanted, strict=strict)


def convert_values(value: Any, wanted: type[T]) -> T:
    """Convert data that came by templates or from a user, as laxly as the inputs of steps are read.

    Numbers and truth may be texts, and texts numbers and truth, which are written as JSON. A duration may be
    written with units. For places of Struct fields see `aetherflow.spec.spelling`.

    Raises:
        msgspec.ValidationError: the data does not fit the type.
    """
    try:
        return convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        fitted = as_wanted(value, type_info(wanted), unwritten)
        if fitted is value:
            raise
        return convert(fitted, wanted, strict=False)


def type_info(wanted: Any) -> kinds.Type:
    """Return what a type is made of; any, if it cannot be read: a conversion then reports why."""
    with _one_at_a_time:
        try:
            return _type_info(wanted)
        except Exception:  # noqa: BLE001 - the annotations of a plugin may be anything
            return kinds.AnyType()


@lru_cache(maxsize=1024)
def _type_info(wanted: Any) -> kinds.Type:
    return kinds.type_info(wanted)


def misfit(value: Any, wanted: Any) -> str:
    """Return why plain data does not fit a type as `convert_values` reads it; empty if it fits.

    The `__post_init__` of a plugin's Struct may raise anything; what it raises is the reason.
    """
    try:
        convert_values(value, wanted)
    except msgspec.ValidationError as error:
        return in_words(error)
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        return named(error)
    return ""


_LIMIT = re.compile(r"Expected `(str|array|object|int|float)` (of length )?(>=|<=|>|<) (\S+)")
_WORDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def in_words(error: msgspec.ValidationError) -> str:
    """Return what is wrong, with limits in words: `must be at least 1`, `must not be empty`."""

    def words(found: re.Match[str]) -> str:
        kind, is_length, sign, limit = found.groups()
        if is_length and (sign, limit) == (">=", "1"):
            return "must not be empty"
        unit = (" characters" if kind == "str" else " entries") if is_length else ""
        limit = limit.removesuffix(".0") if kind == "float" else limit
        return f"must {'have' if is_length else 'be'} {_WORDS[sign]} {limit}{unit}"

    return _LIMIT.sub(words, str(error))


def json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type, created at the first call."""
    with _one_at_a_time:
        return _json_decoder(wanted)


@lru_cache
def _json_decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)
