"""Read the files of this machine that are uploaded, and compute their checksums. Mostly blocking."""

from __future__ import annotations

import hashlib

import anyio

from aetherflow.sdk.remote_files import BLOCK_BYTES
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_io import LocalFile
from aetherflow.transfer.way import Item, changed, on_disk

CLOSE_SECONDS = 5.0
"""How long the end of a transfer waits until a file is closed."""


class Digest:
    """Reads an open file and computes its checksum; blocking.

    Attributes:
        size: how many bytes were read.
    """

    def __init__(self, file: LocalFile) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes; empty bytes mean the end."""
        block = self._file.read(size)
        self._hash.update(block)
        self.size += len(block)
        return block

    def skip(self, count: int) -> None:
        """Read bytes that need not be sent."""
        while self.size < count and self.read(min(BLOCK_BYTES, count - self.size)):
            pass

    def check_unchanged(self, item: Item) -> None:
        """Raise an error if the file is not what was listed.

        Raises:
            StepError: it is not (AF317).
        """
        _check_version(item, self._file, self.size)

    def hexdigest(self) -> str:
        """Return the checksum of what was read."""
        return self._hash.hexdigest()


def _check_version(item: Item, file: LocalFile, read: int) -> None:
    size, mtime_ns = file.version()
    if item.size is not None and not item.size == size == read:
        raise changed(item.source, f"it had {item.size:,} bytes and has {size:,}")
    if item.mtime is not None and int(item.mtime) != mtime_ns // 10**9:
        raise changed(item.source, "its time is another one")


def read_small(item: Item) -> tuple[bytes, str]:
    """Return the content of a small file, and its checksum; blocking.

    Raises:
        StepError: it cannot be read (AF311), or is not what was listed (AF317).
    """
    try:
        return _read_whole(item)
    except OSError as error:
        raise local_failure(error, "read", item.source) from None


def _read_whole(item: Item) -> tuple[bytes, str]:
    file = LocalFile.to_read(item.source)
    try:
        content = b""
        while block := file.read(BLOCK_BYTES):
            content += block
            if item.size is not None and len(content) > item.size:
                break
        _check_version(item, file, len(content))
    finally:
        file.close()
    return content, hashlib.sha256(content).hexdigest()


def read_part(path: str, offset: int, size: int) -> bytes:
    """Return the bytes of a file from an offset; fewer at its end.

    Raises:
        OSError: it cannot be read.
    """
    file = LocalFile.to_read(path, offset)
    try:
        return file.read(size)
    finally:
        file.close()


async def close(file: LocalFile) -> None:
    """Close a file in a thread, also while the step is cancelled."""
    with anyio.move_on_after(CLOSE_SECONDS, shield=True):
        await on_disk("close", "a file", file.abandon)
