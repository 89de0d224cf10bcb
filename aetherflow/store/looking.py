"""Find the way to read a state database that may not be written, or whose disk is full."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from aetherflow.store.filesystem import beside, file_id
from aetherflow.store.index_space import has_room_for_index
from aetherflow.store.sqlite_lock_owner import others_use_index

Way = Literal["shared", "immutable", "indexed", "alone"]
"""Beside writers, as usual; as it is, without log; with the index that is there; without locks and index."""

_OPTIONS: dict[Way, str] = {
    "shared": "mode=ro",
    "immutable": "immutable=1",
    "indexed": "mode=ro",
    "alone": "mode=ro&vfs=unix-none",
}


def way_to_look(path: Path) -> Way:
    """Return how a database can be read now."""
    can_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    if can_write and (has_room_for_index(path) or others_use_index(path)):
        return "shared"
    if not can_write and file_id(beside(path, "-wal")) is None:
        return "immutable"  # without a log no process writes it now
    if not can_write and file_id(beside(path, "-shm")) is not None:
        return "indexed"
    return "alone"  # no process has the index open, and none can be made: SQLite keeps one in its memory


def uri_to_look(path: Path, way: Way) -> str:
    """Return the URI of a database that is only read."""
    return f"file:{quote(str(path))}?{_OPTIONS[way]}"
