"""AF2xx: the scheduler at work."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES: dict[str, Entry] = {}
