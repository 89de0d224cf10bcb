"""What is decided about a firing: whether it starts, waits, or is skipped, and why."""

from __future__ import annotations

from typing import Literal

import msgspec


class Verdict(msgspec.Struct, frozen=True):
    """Whether a firing starts, waits or is skipped, and why.

    Attributes:
        counts: whether it matters to items that follow; not if another, open firing does.
    """

    outcome: Literal["QUEUED", "WAITING", "SKIPPED", "MISSED"]
    reason: str = ""
    counts: bool = True


START = Verdict("QUEUED")
