"""Remember what the server said of small files when it closed them: a look that follows need not ask again.

Uploads look at each file once after writing it, to verify its size.
"""

from __future__ import annotations

import time

from aetherflow import RemoteEntry
from aetherflow_smb.share_paths import SharePath

VALID_SECONDS = 1.0
"""Others may change the file meanwhile; this is about what asking takes on a slow line."""

_MOST = 256


class WrittenFiles:
    """The files that were written a moment ago; each is taken at most once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, RemoteEntry]] = {}

    def note(self, path: SharePath, entry: RemoteEntry) -> None:
        """Remember what the server said of a file."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[path.unc.lower()] = time.monotonic(), entry

    def take(self, path: SharePath) -> RemoteEntry | None:
        """Return what the server said a moment ago, and forget it; None if it must be asked."""
        said_at, entry = self._found.pop(path.unc.lower(), (0.0, None))
        return entry if time.monotonic() - said_at < VALID_SECONDS else None
