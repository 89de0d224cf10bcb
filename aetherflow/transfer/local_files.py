"""The connector `file:local`: folders of this machine, also mounted shares, as a place for files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import ClassVar, Self, TypeVar

import anyio
import msgspec

from aetherflow.errors import ConfigError, StepError
from aetherflow.events.lineage import Dataset
from aetherflow.sdk import checks
from aetherflow.sdk.blocking import run_blocking
from aetherflow.sdk.connector import Resource, connector
from aetherflow.sdk.remote_files import BLOCK_BYTES, RemoteEntry, RemoteFiles
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_io import Listing, LocalFile, describe, rename_file

T = TypeVar("T")
THREADS = 16
"""How many blocking calls one resource makes at once."""

CLOSE_SECONDS = 5.0
"""How long the end of a transfer waits until its file is closed; a mount that hangs may never answer."""


class LocalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The folder, if there is one; without it every path must be absolute.

    Attributes:
        path: paths are below this folder, and nothing outside of it is touched.
        root: another name of `path`.
    """

    path: str | None = None
    root: str | None = None


class LocalOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There are no options."""


@connector("file:local")
class LocalFiles(RemoteFiles):
    """Files of this machine; its blocking calls run in worker threads.

    Only files and folders are listed: no pipes and devices, no links to nothing, none that leave the folder.
    """

    config_type: ClassVar[type[LocalConfig]] = LocalConfig
    options_type: ClassVar[type[LocalOptions]] = LocalOptions
    path_keys: ClassVar[tuple[str, ...]] = ("path", "root")

    def __init__(self, name: str, folder: Path | None) -> None:
        """Remember the resource's name, and the folder that nothing may leave; None: there is no limit."""
        self.name = name
        self.folder = folder
        self._root = os.path.realpath(folder) if folder else ""
        self._threads = anyio.CapacityLimiter(THREADS)

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the folder.

        Raises:
            ConfigError: a setting is unknown, or two folders are given.
            StepError: the folder cannot be listed: it does not exist, or is a file (AF311).
        """
        config = resource.config_as(LocalConfig)
        resource.options_as(LocalOptions)
        if config.path and config.root and config.path != config.root:
            raise ConfigError(
                f"resource {resource.name!r}: config has path and root, which are two names of one key",
                hint="write path only",
            )
        given = config.path or config.root
        found = await run_blocking(cls, resource.name, Path(given) if given else None)
        if given:
            await found.look()
        return found

    def dataset(self, path: str) -> Dataset:
        """Return how others name a file: by its absolute path."""
        return Dataset.file(os.path.abspath(os.path.join(self._root, path)))  # noqa: PTH100, PTH118 - looks up nothing

    async def look(self) -> None:
        """Check that the folder can be listed.

        Raises:
            StepError: it does not exist, is a file, or may not be read (AF311).
        """
        await self._call("list", str(self.folder), _look_at_folder)

    async def check(self) -> list[checks.CheckResult]:
        """Check the rights on the folder and its free space."""
        if self.folder is None:
            return [checks.CheckResult("folder", "ok", "no folder is given: every path is absolute")]
        usage = await self._call("look at", str(self.folder), disk_usage)
        access = await run_blocking(checks.access_check, self.folder)
        return [access, checks.free_space_check(usage.free, f"in {self.folder}")]

    async def aclose(self) -> None:
        """Nothing is open."""

    async def scan(self, folder: str) -> AsyncIterator[RemoteEntry]:
        """Yield the files and folders directly in a folder.

        Raises:
            StepError: it does not exist or may not be read (AF311), or leaves the resource's folder (AF310).
        """
        listing = await self._call("list", folder, lambda path: Listing(path, self._contains))
        try:
            while entries := await self._call("list", folder, lambda _path: listing.next_entries()):
                for entry in entries:
                    yield entry
        finally:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await run_blocking(listing.close, limiter=self._threads)

    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there.

        Raises:
            StepError: it may not be looked at (AF311), or leaves the resource's folder (AF310).
        """
        return await self._call("look at", path, lambda real: describe(path, real))

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open a file and yield its content from an offset.

        Raises:
            StepError: it does not exist or may not be read (AF311), or leaves the folder (AF310).
        """

        async def blocks() -> AsyncIterator[bytes]:
            block = first
            while block:
                yield block
                if file.is_closed:
                    return
                block = await self._call("read", path, lambda _path: file.read(BLOCK_BYTES))

        file, first = await self._call("read", path, lambda real: _opened(real, offset))
        async with self._closing(file, "read", path):
            yield blocks()

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        """Write a file, from its beginning or from an offset.

        Raises:
            StepError: it cannot be written, or its disk is full (AF311), or it leaves the folder (AF310).
        """
        first = await anext(content, b"")
        second = await anext(content, None)
        if second is None:
            await self._call("write", path, lambda real: _write_whole(real, offset, first))
            return
        file = await self._call("write", path, lambda real: LocalFile.to_write(real, offset))
        async with self._closing(file, "write", path):
            await self._call("write", path, lambda _path: file.write(first + second))
            async for block in content:
                await self._call("write", path, partial(_write, file, block))
            await self._call("write", path, lambda _path: file.store())

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file; with `replace`, an existing file is replaced.

        Raises:
            StepError: something is at `new` and `replace` is false (AF312), or it cannot be renamed (AF311).
        """

        def rename(real: str) -> bool:
            return rename_file(real, self._real(new, follow=False), replace=replace)

        if not await self._call("rename", path, rename, follow=False):
            raise StepError(
                f"cannot rename {path}: {new} exists",
                hint="move it away, or let it be replaced: overwrite: always",
                code="AF312",
                detail={"path": new},
            )

    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there.

        Raises:
            StepError: it may not be deleted, or is a folder (AF311), or leaves the folder (AF310).
        """
        return await self._call("delete", path, lambda real: _is_deleted(os.unlink, real), follow=False)

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there.

        Raises:
            StepError: it is not empty, or may not be deleted (AF311), or leaves the folder (AF310).
        """
        return await self._call("delete", path, lambda real: _is_deleted(os.rmdir, real), follow=False)

    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it.

        Raises:
            StepError: it cannot be made, or a file is in its place (AF311), or it leaves the folder (AF310).
        """
        await self._call("make the folder", path, lambda real: Path(real).mkdir(parents=True, exist_ok=True))

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed; return True.

        Raises:
            StepError: it may not be changed (AF311), or leaves the folder (AF310).
        """
        await self._call("set the time of", path, lambda real: os.utime(real, (mtime, mtime)))
        return True

    async def sha256(self, path: str) -> str:
        """Return the checksum of a file, which is read.

        Raises:
            StepError: it cannot be read (AF311), or leaves the folder (AF310).
        """
        digest = hashlib.sha256()
        async with self.read(path) as blocks:
            async for block in blocks:
                await run_blocking(digest.update, block, limiter=self._threads)
        return digest.hexdigest()

    async def refuse_same(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Check that no file is moved onto itself.

        Args:
            pairs: a path of this resource, and the absolute path that it is moved from or to.

        Raises:
            StepError: both are the same file (AF312).
        """
        given = list(pairs)

        def same() -> str | None:
            for path, other in given:
                with suppress(OSError):  # most targets are not there; the transfer reports the rest
                    if os.path.samefile(self._real(path), other):  # noqa: PTH121 - the paths of this module are texts
                        return other
            return None

        if (path := await run_blocking(same, limiter=self._threads)) is not None:
            raise StepError(
                f"resource {self.name!r}: {path} would be moved onto itself",
                hint="choose another folder",
                code="AF312",
                detail={"path": path},
            )

    async def _call(self, doing: str, path: str, function: Callable[[str], T], *, follow: bool = True) -> T:
        """Call a blocking function with the real path, in a thread; an OSError gets its sentence."""

        def call() -> T:
            try:
                return function(self._real(path, follow=follow))
            except OSError as error:
                raise local_failure(error, doing, path) from None

        return await run_blocking(call, limiter=self._threads)

    @asynccontextmanager
    async def _closing(self, file: LocalFile, doing: str, path: str) -> AsyncGenerator[None]:
        """Close a file in a thread at the end; a share may report only then that its disk is full."""
        try:
            yield
            if not file.is_closed:
                await self._call(doing, path, lambda _path: file.close())
        finally:
            if not file.is_closed:
                with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                    await run_blocking(file.abandon, limiter=self._threads)

    def _real(self, path: str, *, follow: bool = True) -> str:
        """Return the path for the operating system; blocking, since links are followed.

        Raises:
            StepError: it is not absolute and there is no folder, or it leaves the folder (AF310).
        """
        real = os.path.join(self._root, path)  # noqa: PTH118 - the paths of this module are texts
        if "\0" in path or not real.startswith("/"):
            raise StepError(
                f"resource {self.name!r}: {path!r} is no absolute path",
                hint="write it from / on, or give the resource a folder: config: {path: /data}",
                code="AF310",
            )
        if self._root and not self._contains(real if follow else str(Path(real).parent)):
            raise StepError(
                f"resource {self.name!r}: {path!r} leaves its folder {self.folder}",
                hint="name a path below the folder of the resource's config",
                code="AF310",
            )
        return real

    def _contains(self, path: str) -> bool:
        """Whether a path, with all links followed, is in the folder; blocking."""
        if not self._root:
            return True
        return (os.path.realpath(path) + "/").startswith(self._root.rstrip("/") + "/")


def _is_deleted(delete: Callable[[str], None], path: str) -> bool:
    """Delete a file or a folder; return whether it was there."""
    try:
        delete(path)
    except FileNotFoundError:
        return False
    return True


def _opened(path: str, offset: int) -> tuple[LocalFile, bytes]:
    """Open a file and return its first block; a file that has no more is closed again."""
    file = LocalFile.to_read(path, offset)
    try:
        block = file.read(BLOCK_BYTES)
        if offset + len(block) >= file.version()[0]:
            file.close()
    except OSError:
        file.abandon()
        raise
    return file, block


def _write_whole(path: str, offset: int, content: bytes) -> None:
    file = LocalFile.to_write(path, offset)
    try:
        file.write(content)
        file.store()
        file.close()
    finally:
        file.abandon()


def _write(file: LocalFile, block: bytes, _path: str) -> None:
    file.write(block)


def _look_at_folder(path: str) -> None:
    with os.scandir(path):
        pass
