"""One SFTP session: the operations on files, each watched and with its errors explained."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import AbstractContextManager, aclosing, asynccontextmanager, suppress
from typing import TypeVar

import anyio
import asyncssh

from aetherflow import RemoteEntry
from aetherflow_sftp import entries
from aetherflow_sftp.blocks import ContentFailed, read_blocks, write_blocks
from aetherflow_sftp.failures import Server, bad_name, disk_full, explained, operation_failed
from aetherflow_sftp.renaming import rename_new, replace_file
from aetherflow_sftp.requests import Requests, started
from aetherflow_sftp.silence import Silence

T = TypeVar("T")

CLOSE_SECONDS = 5.0

MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
LOST = (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost)


class Session:
    """An SFTP session.

    Attributes:
        client: the session of the library.
        requests: begins to read and write pieces.
        silence: watches its requests.
        users: how many operations use it at the moment.
        is_broken: whether it must not be used again.
    """

    def __init__(
        self, server: Server, client: asyncssh.SFTPClient, requests: Requests, silence: Silence
    ) -> None:
        self.client = client
        self.requests = requests
        self.silence = silence
        self.users = 0
        self.is_broken = False
        self._server = server
        self._closing: set[asyncio.Task[None]] = set()

    def explained(self, doing: str, path: str) -> AbstractContextManager[None]:
        """Turn the library's errors in a block into StepErrors; see `failures.explained`."""
        return explained(self._server, doing, path, self)

    async def ask(self, request: Awaitable[T]) -> T:
        """Wait for the answer of the server, and watch that it comes."""
        with self.silence.watch():
            return await request

    async def scan(self, folder: str) -> AsyncGenerator[RemoteEntry, None]:
        """Yield what is in a folder; see `RemoteFiles.scan`."""
        with self.explained("list", folder):
            async with aclosing(self.client.scandir(folder or ".")) as names:  # type: ignore[type-var]  # a generator
                while (name := await self.ask(anext(names, None))) is not None:
                    text = str(name.filename)
                    if text in {".", ".."}:
                        continue
                    if not entries.is_name(text):
                        raise bad_name(self._server, folder, text)
                    path = posixpath.join(folder, text)
                    if entries.is_link(name.attrs):
                        entry = await self._target(path)
                    else:
                        entry = entries.described(path, name.attrs)
                    if entry is not None:
                        yield entry

    async def _target(self, link: str) -> RemoteEntry | None:
        """Return what a link points to; None if that is nothing, or a circle."""
        try:
            return entries.described(link, await self.ask(self.client.stat(link)), is_link=True)
        except LOST:
            raise
        except asyncssh.SFTPError:
            return None

    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path; see `RemoteFiles.stat`."""
        with self.explained("look at", path):
            try:
                attrs = await self.ask(self.client.lstat(path or "."))
                is_link = entries.is_link(attrs)
                if is_link:
                    attrs = await self.ask(self.client.stat(path))
            except (*MISSING, asyncssh.SFTPNotADirectory):
                return None
            return entries.described(path, attrs, is_link=is_link)

    @asynccontextmanager
    async def read(self, path: str, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a file; see `RemoteFiles.read`."""
        with self.explained("read", path):
            file = await self.ask(self.client.open(path, "rb", block_size=None))
        try:
            # Not in an `explained` block: errors of the one who reads are none of the server.
            async with aclosing(self._blocks(path, file, offset)) as blocks:
                yield blocks
        finally:
            self._close_later(file)

    async def _blocks(
        self, path: str, file: asyncssh.SFTPClientFile, offset: int
    ) -> AsyncGenerator[bytes, None]:
        with self.explained("read", path):
            async with aclosing(read_blocks(self, file, offset)) as blocks:
                async for block in blocks:
                    yield block

    async def write(self, path: str, content: AsyncIterator[bytes], offset: int) -> None:
        """Write a file; see `RemoteFiles.write`."""
        try:
            with self.explained("write", path):
                await self._write(path, content, offset)
        except ContentFailed as failed:
            raise failed.error from failed.error.__cause__

    async def _write(self, path: str, content: AsyncIterator[bytes], offset: int) -> None:
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | (0 if offset else asyncssh.FXF_TRUNC)
        file = await self.ask(self.client.open(path, flags, encoding=None, block_size=None))
        try:
            if offset:
                await self.ask(file.truncate(offset))
            await write_blocks(self, file, content, offset)
            await self.ask(file.close())
        except BaseException as error:
            await self._close_quietly(file)
            # OpenSSH has no other word for a full disk.
            if isinstance(error, asyncssh.SFTPFailure) and await self._is_full(path):
                raise disk_full(self._server, path) from error
            raise

    async def _is_full(self, path: str) -> bool:
        try:
            found = await self.ask(self.client.statvfs(posixpath.dirname(path) or "."))
        except asyncssh.SFTPError:
            return False
        return found.bavail == 0 or (found.favail == 0 and found.files > 0)  # some count no files

    async def _close_quietly(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file whose writing failed, or that is closed; an error of that is no news."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True), suppress(asyncssh.Error, OSError):
            await self.ask(file.close())

    def _close_later(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file that was read, without waiting for the answer."""
        closing = started(self.ask(file.close()))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file; see `RemoteFiles.rename`."""
        with self.explained(f"rename to {new} the file", path):
            if replace:
                await replace_file(self, path, new)
            else:
                await rename_new(self, self._server, path, new)

    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there."""
        with self.explained("delete", path):
            try:
                await self.ask(self.client.remove(path))
            except MISSING:
                return False
            except (asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied) as error:
                # OpenSSH says Failure, and others that it is not permitted, of a folder.
                if entries.is_folder(await self.ask(self.client.lstat(path))):
                    raise operation_failed(
                        self._server, "delete", path, asyncssh.SFTPFileIsADirectory("")
                    ) from error
                raise
            return True

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there."""
        with self.explained("delete the folder", path):
            try:
                await self.ask(self.client.rmdir(path))
            except MISSING:
                return False
            except asyncssh.SFTPFailure as error:  # OpenSSH says no more of a folder that is not empty
                names = await self.ask(self.client.listdir(path))
                if set(names) - {".", ".."}:
                    raise operation_failed(
                        self._server, "delete the folder", path, asyncssh.SFTPDirNotEmpty("")
                    ) from error
                raise
            return True

    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it; see `RemoteFiles.make_folder`."""
        with self.explained("make the folder", path):
            await self._make_folder(path)

    async def _make_folder(self, path: str) -> None:
        if not path or path == "/" or await self._is_folder(path):
            return
        await self._make_folder(posixpath.dirname(path.rstrip("/")))
        try:
            await self.ask(self.client.mkdir(path))
        except LOST:
            raise
        except asyncssh.SFTPError:
            if not await self._is_folder(path):  # made by another task meanwhile
                raise

    async def _is_folder(self, path: str) -> bool:
        """Return whether a folder exists.

        Raises:
            StepError: a file is in its place.
        """
        try:
            attrs = await self.ask(self.client.stat(path))
        except MISSING:
            return False
        if attrs.permissions is not None and not entries.is_folder(attrs):
            raise operation_failed(self._server, "make the folder", path, asyncssh.SFTPNotADirectory(""))
        return True

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed; return whether the server can do that."""
        with self.explained("set the time of", path):
            try:
                await self.ask(self.client.utime(path, (mtime, mtime)))
            except asyncssh.SFTPOpUnsupported:
                return False
            return True
