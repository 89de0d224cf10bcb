"""Limit the number and the size of the files of a bundle."""

from __future__ import annotations

import msgspec

from aetherflow.bundle.source import BundleFile
from aetherflow.errors import BundleError


class Limits(msgspec.Struct, frozen=True):
    """How much a bundle may hold: flows and the files they need, not data."""

    files: int = 20_000
    file_bytes: int = 512 * 1024 * 1024
    total_bytes: int = 4 * 1024 * 1024 * 1024

    def check(self, count: int, file: BundleFile, total: int) -> None:
        """Refuse a bundle that is too large.

        Raises:
            BundleError: a limit is exceeded; the message names it.
        """
        hint = "a bundle holds flows and the files they need; keep data elsewhere"
        if count > self.files:
            message = f"the source has more than {self.files:,} files"
        elif not 0 <= file.size <= self.file_bytes:
            message = f"{file.path} has {file.size:,} bytes, a file may have {self.file_bytes:,}"
        elif total > self.total_bytes:
            message = f"the source has more than {self.total_bytes:,} bytes"
        else:
            return
        raise BundleError(message, hint=hint, code="AF854")
