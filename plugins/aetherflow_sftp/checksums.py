"""Have the server compute a checksum: by its program sha256sum, where the login may start programs."""

from __future__ import annotations

import hashlib
import re
import shlex

import anyio
import asyncssh

PROBE_SECONDS = 10.0
"""How long a server may take to show whether it has the program; one that only knows SFTP may say nothing."""

_NOTHING = hashlib.sha256(b"").hexdigest()
_PRINTED = re.compile(rb"\\?([0-9a-f]{64}) ")
"""What sha256sum prints; it begins with a backslash if the name of the file has one, or a line end."""


class Checksums:
    """Computes checksums on the server; asks once whether it can."""

    def __init__(self) -> None:
        self._can: bool | None = None
        self._asking = anyio.Lock()

    async def sha256(self, connection: asyncssh.SSHClientConnection, path: str) -> str | None:
        """Return the checksum of a file; None if the server does not compute it, or cannot read the file."""
        async with self._asking:
            if self._can is None:
                with anyio.move_on_after(PROBE_SECONDS):
                    self._can = await _printed(connection, "sha256sum < /dev/null") == _NOTHING
                self._can = self._can or False
        if not self._can:
            return None
        return await _printed(connection, f"sha256sum -- {shlex.quote(path)}")


async def _printed(connection: asyncssh.SSHClientConnection, command: str) -> str | None:
    """Return the checksum that a command prints, if it does."""
    try:
        ended = await connection.run(
            command.encode("utf-8", "surrogateescape"), stdin=asyncssh.DEVNULL, encoding=None
        )
    except asyncssh.ChannelOpenError:
        return None
    found = _PRINTED.match(ended.stdout if isinstance(ended.stdout, bytes) else b"")
    return None if ended.exit_status != 0 or found is None else found[1].decode("ascii")
