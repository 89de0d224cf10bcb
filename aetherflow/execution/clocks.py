"""Ask workers for their time, to see whose clock is wrong."""

from __future__ import annotations

import msgspec

CLOCK_SECONDS = 5.0
"""A clock that differs by more is reported."""


class SayTime(msgspec.Struct, frozen=True, tag="say_time"):
    """Say what time it is."""


class Time(msgspec.Struct, frozen=True, tag="time"):
    """The time of a worker, in seconds since 1970."""

    seconds: float
