"""Decide when to show the progress of a step: on displays twice a second, in the log once a minute. Pure."""

from __future__ import annotations

import math
from typing import Literal

DISPLAY_SECONDS = 0.5
LOG_SECONDS = 60.0


class ProgressGate:
    """Decides which reports of one attempt become events; times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._displayed = -math.inf
        self._logged: float | None = None

    def level(self, now: float, *, is_last: bool) -> Literal["debug", "info"] | None:
        """Return the log level of a report, or None to drop it because it comes too soon after another."""
        if self._logged is None:
            self._logged = now  # a step that is over within a minute needs no line in the log
        if now - self._logged >= LOG_SECONDS:
            self._logged = self._displayed = now
            return "info"
        if is_last or now - self._displayed >= DISPLAY_SECONDS:
            self._displayed = now
            return "debug"
        return None


def plain_number(value: float) -> float:
    """Return a number as int or float: one of a library may be of its own type."""
    return int(value) if isinstance(value, int) else float(value)
