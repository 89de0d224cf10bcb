"""What `doctor` found: one sentence about one thing, and what to do."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at, and how it is."""

    subject: str
    state: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""
