"""The protocol of a file system elsewhere: what a connector implements to get the steps that move files.

The steps for listing, downloading, uploading and deleting (`aetherflow.transfer`) are written once over this
protocol. A connector for S3, FTPS or a share implements it and gets them all, with selection, resume, checks,
manifest and effects.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, ClassVar, Literal

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.events.lineage import Dataset
from aetherflow.sdk.blocking import run_blocking
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.files import BLOCK_BYTES as READ_BYTES
from aetherflow.sdk.files import atomic_write

BLOCK_BYTES = 4 * 1024 * 1024
"""The size of the pieces that files are read and written in; a connector may use smaller ones."""

CLEANUP_SECONDS = 5.0
"""How long a transfer that failed waits until its local file is closed and removed."""


class RemoteEntry(msgspec.Struct, frozen=True):
    """A file or folder as the far side describes it.

    Attributes:
        path: names it there; every method of its connector takes this path.
        size: in bytes; 0 for a folder.
        mtime: when it was changed, in seconds since 1970 UTC; None if the far side does not report it.
        is_dir: whether it is a folder.
        is_link: whether it is a link; size and time are those of what it points to.
    """

    path: str
    size: int = 0
    mtime: float | None = None
    is_dir: bool = False
    is_link: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class RemoteFiles(Connector):
    """A connector whose resource is a file system elsewhere.

    A connector implements the methods up to `remove_folder`; plugins have the operations below them, too.

    Paths are texts in the form of that file system. Every method may be called from several tasks at once.
    Errors are StepErrors that name the path, with kind "connection" when a later attempt may succeed.

    Attributes:
        can_append: whether `write` with an offset continues a file, so that a cut transfer is resumed.
        ignores_case: whether `A.txt` and `a.txt` are one file there.
    """

    can_append: ClassVar[bool] = True
    ignores_case: ClassVar[bool] = False

    def join(self, folder: str, name: str) -> str:
        """Return the path of `name`, which may have `/` between its parts, below a folder."""
        if not folder or folder.endswith("/"):
            return f"{folder}{name}"
        return f"{folder}/{name}"

    def dataset(self, path: str) -> Dataset | None:
        """Return how others name a file there (see `Dataset`); None: it has no such name."""
        del path
        return None

    def parent(self, path: str) -> str:
        """Return the folder of a path: the part before the last `/`; empty if there is none."""
        folder, slash, _ = path.rpartition("/")
        return folder or slash

    @abc.abstractmethod
    def scan(self, folder: str) -> AsyncIterator[RemoteEntry]:
        """Yield the entries directly in a folder, in any order, without `.` and `..`.

        The path of each is `join(folder, name)`, with the name as the server sent it: the steps refuse a name
        that is a path. A connector that makes other paths of it, such as absolute ones, refuses such names
        itself. Bytes that are no UTF-8 are decoded with `surrogateescape`. A link that points nowhere is left
        out.

        Raises:
            StepError: the folder does not exist, or may not be read.
        """

    @abc.abstractmethod
    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there."""

    @abc.abstractmethod
    def read(self, path: str, *, offset: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file and yield its content from an offset in bytes, in pieces of about BLOCK_BYTES.

        Raises:
            StepError: the file does not exist, may not be read, or the connection breaks.
        """

    @abc.abstractmethod
    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        """Write a file: from offset 0 it is created or emptied first, else it is continued at that offset.

        When it returns, the far side has accepted everything. When it raises, what was written may stay.

        Raises:
            StepError: the file cannot be written, its disk is full, or the connection breaks.
        """

    @abc.abstractmethod
    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file in one operation; with `replace`, an existing file at `new` is replaced.

        Raises:
            StepError: something is at `new` and `replace` is false, or it cannot be renamed.
        """

    @abc.abstractmethod
    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there.

        Raises:
            StepError: it may not be deleted.
        """

    @abc.abstractmethod
    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it; nothing happens if it exists.

        Raises:
            StepError: it cannot be made, or a file is in its place.
        """

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed (seconds since 1970 UTC); return whether the far side can do that."""
        del path, mtime
        return False

    async def sha256(self, path: str) -> str | None:
        """Return the checksum of a file (hex digits) if the far side computes it; None if it cannot."""
        del path
        return None

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there.

        Raises:
            StepError: it is not empty, may not be deleted, or this connector cannot delete folders.
        """
        raise StepError(f"{type(self).__name__} cannot delete the folder {path}", code="AF344")

    async def exists(self, path: str) -> bool:
        """Return whether a file or folder is there."""
        return await self.stat(path) is not None

    async def list(self, folder: str) -> Sequence[RemoteEntry]:
        """Return the entries directly in a folder, by name; see `scan`."""
        return sorted([entry async for entry in self.scan(folder)], key=lambda entry: entry.name)

    async def read_bytes(self, path: str) -> bytes:
        """Return the whole content of a file, which must fit into memory; see `read`."""
        async with self.read(path) as blocks:
            return b"".join([block async for block in blocks])

    async def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file with this content, and make the folders above it; see `write`."""
        await self.make_folder(self.parent(path))
        await self.write(path, _blocks_of(content))

    async def download(self, remote: str, local: Path | str) -> None:
        """Write a file of the far side to a local one, which replaces an existing one when it is complete.

        Raises:
            StepError: see `read`.
            OSError: the local file cannot be written.
        """
        writing = atomic_write(Path(local))
        part = await run_blocking(writing.__enter__)
        try:
            async with _opened(part, "wb") as file, self.read(remote) as blocks:
                async for block in blocks:
                    await run_blocking(file.write, block)
        except BaseException as error:
            with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                await run_blocking(writing.__exit__, type(error), error, error.__traceback__)
            raise
        await run_blocking(writing.__exit__, None, None, None)

    async def upload(self, local: Path | str, remote: str) -> None:
        """Write a local file to the far side, and make the folders above it; see `write`.

        Raises:
            OSError: the local file cannot be read.
        """
        async with _opened(Path(local), "rb") as file:

            async def blocks() -> AsyncIterator[bytes]:
                while block := await run_blocking(file.read, READ_BYTES):
                    yield block

            await self.make_folder(self.parent(remote))
            await self.write(remote, blocks())

    async def delete(self, path: str) -> None:
        """Delete a file or an empty folder, if it is there; see `remove` and `remove_folder`."""
        entry = await self.stat(path)
        if entry is not None and entry.is_dir and not entry.is_link:
            await self.remove_folder(path)
        else:
            await self.remove(path)

    async def delete_recursive(self, path: str) -> None:
        """Delete a file, or a folder with everything in it; links are deleted and not followed."""
        entry = await self.stat(path)
        if entry is None or not entry.is_dir or entry.is_link:
            await self.remove(path)
            return
        for inner in await self.list(path):
            if inner.is_dir and not inner.is_link:
                await self.delete_recursive(inner.path)
            else:
                await self.remove(inner.path)
        await self.remove_folder(path)

    async def mkdir(self, path: str) -> None:
        """Make a folder and those above it; see `make_folder`."""
        await self.make_folder(path)

    async def mkdir_recursive(self, path: str) -> None:
        """Make a folder and those above it; see `make_folder`."""
        await self.make_folder(path)


@asynccontextmanager
async def _opened(path: Path, mode: Literal["rb", "wb"]) -> AsyncGenerator[IO[bytes]]:
    """Open a local file; a thread closes it, since that waits for a call that still reads or writes it."""
    file: IO[bytes] = await run_blocking(path.open, mode)
    try:
        yield file
        await run_blocking(file.close)  # only now a full disk may show
    finally:
        with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
            await run_blocking(file.close)


async def _blocks_of(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), BLOCK_BYTES):
        yield content[start : start + BLOCK_BYTES]
