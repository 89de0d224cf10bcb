"""Tell a scheduler file from a flow, without parsing a flow for that."""

from __future__ import annotations

import re
from pathlib import Path

from aetherflow.errors import InvalidInput
from aetherflow.spec.document import MAX_BYTES, scan_file
from aetherflow.spec.read_file import read_file
from aetherflow.spec.schedule import is_schedule

_FLOW_KEY = re.compile(rb"^(?:flow|jobs):", re.MULTILINE)
_ITEMS_KEY = re.compile(rb"^[\"']?items\b", re.MULTILINE)


def is_schedule_file(path: Path) -> bool:
    """Whether a file is a scheduler file, by its keys; False for an unreadable file or a pipe."""
    try:
        if path.is_fifo():
            return False  # a pipe can be read only once, and is then read as a flow
        data = read_file(path, MAX_BYTES)
        if _FLOW_KEY.search(data) and not _ITEMS_KEY.search(data):
            return False  # most are flows, and a flow may be large: it is parsed once
        document, _ = scan_file(path)
    except (InvalidInput, OSError, ValueError):
        return False
    return document is not None and is_schedule(document.value)
