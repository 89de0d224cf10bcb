"""The connector `smb:smbclient`: shares of Windows and Samba, through smbprotocol in worker threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

from aetherflow import (
    CheckResult,
    Dataset,
    MissingExtra,
    RemoteEntry,
    RemoteFiles,
    Resource,
    StepError,
    connector,
    run_blocking,
)
from aetherflow_smb import share_requests as requests
from aetherflow_smb.failures import between_shares, unprotected
from aetherflow_smb.packets import SMALL_BYTES
from aetherflow_smb.quick_import import without_credssp
from aetherflow_smb.settings import Login, Protection, PysmbConfig, SmbConfig, SmbOptions, login_of
from aetherflow_smb.share_paths import SharePath, check_new_name, join, parent, share_path
from aetherflow_smb.share_pool import SharePool, or_break_off
from aetherflow_smb.written_files import WrittenFiles

if TYPE_CHECKING:
    from aetherflow_smb.share import Share
    from aetherflow_smb.share_listing import Identity


@connector("smb:smbclient")
class SmbClientConnector(RemoteFiles):
    """Shares of Windows and Samba, SMB 2 and 3; large files have a connection each, small ones share one."""

    config_type: ClassVar[type[SmbConfig]] = SmbConfig
    options_type: ClassVar[type[SmbOptions]] = SmbOptions
    packages: ClassVar[tuple[str, ...]] = ("smbprotocol",)
    ignores_case: ClassVar[bool] = True

    def __init__(self, login: Login, share: str, make: Callable[[Login], Share]) -> None:
        """Remember how to log in, the share of paths that name none, and what makes a connection."""
        self.name = login.resource
        self._login = login
        self._share = share
        self._pool = SharePool(login, make)
        self._folders: dict[str, Identity] = {}
        self._written = WrittenFiles()

    def dataset(self, path: str) -> Dataset:
        """Return how others name a file there: the share and the path on it."""
        place = self._path(path)
        return Dataset(f"smb://{place.host}", "/".join((place.share, *place.parts)))

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Log in, and look whether the share exists.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: smbprotocol is not installed.
            StepError: the server cannot be reached (AF347), or refuses the login (AF349) or the share (AF350,
                AF351), or cannot sign or encrypt (AF357).
        """
        config = resource.config_as(cls.config_type)
        login = login_of(resource.name, config, resource.options_as(SmbOptions))
        opened = cls(login, config.share, await run_blocking(_share_class))
        path = opened._path("") if config.share else None
        try:
            async with opened._pool.connection() as share:
                protection = await opened._pool.call(share, "use", path, lambda: share.protection(path))
            if protection is Protection.NONE:
                opened.cautions = (unprotected(login),)
        except BaseException:
            await opened.aclose()
            raise
        return opened

    async def check(self) -> list[CheckResult]:
        """Check the login, the protection of the connection, the rights on the share and its free space.

        Raises:
            StepError: the share cannot be used.
        """
        from aetherflow_smb.share_checks import check_share  # noqa: PLC0415 - needs the extra smb

        path = self._path("") if self._share else None
        async with self._pool.connection() as share:
            return await self._pool.call(share, "check", path, lambda: check_share(share, path))

    async def aclose(self) -> None:
        """Log out."""
        await self._pool.aclose()

    def join(self, folder: str, name: str) -> str:
        """Return the path of `name` below a folder, in its form: `SHARE:/dir` leads to `SHARE:/dir/name`.

        Raises:
            StepError: Windows does not allow the name (AF346).
        """
        return join(folder, name)

    def parent(self, path: str) -> str:
        """Return the folder of a path, in the form in which it is written."""
        return parent(path)

    async def scan(self, folder: str) -> AsyncIterator[RemoteEntry]:
        """Yield the entries directly in a folder; they are read before the first one is yielded.

        Raises:
            StepError: the folder does not exist (AF352), or may not be read (AF351).
        """
        path, found = self._path(folder), []
        async with self._pool.connection() as share:
            above = [known for one in path.above() if (known := self._folders.get(one)) is not None]
            listing = await self._pool.call(share, "list", path, lambda: share.listing(path, above))
            with or_break_off(share, listing):
                while entries := await self._pool.call(share, "list", path, listing.next_entries):
                    found += entries
                await self._pool.call(share, "list", path, listing.close)
            if listing.identity is not None:
                self._folders[path.unc.lower()] = listing.identity
        for entry in found:
            if not entry.is_link:
                yield entry
            elif (target := await self.stat(entry.path)) is not None:
                yield RemoteEntry(entry.path, target.size, target.mtime, target.is_dir, is_link=True)

    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there.

        Once and soon after a small file was written, that is what the server said when it closed the file.

        Raises:
            StepError: it may not be looked at (AF351).
        """
        place = self._place(path)
        if (written := self._written.take(place)) is not None:
            return written
        return await self._pool.direct(
            "look at",
            place,
            lambda ask: requests.look(ask, place),
            lambda share: share.look(place),
        )

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open a file and yield its content from an offset.

        Raises:
            StepError: it does not exist (AF352), may not be read (AF351), or the connection breaks (AF348).
        """
        place = self._path(path)

        async def blocks() -> AsyncIterator[bytes]:
            while found := await self._pool.call(share, "read", place, file.next_blocks):
                for block in found:
                    yield block

        if not offset:
            small = await self._pool.direct(
                "read", place, lambda ask: requests.read_small(ask, place), lambda _: None
            )
            if small is not None:
                yield _joined(small)
                return
        async with self._pool.connection() as share:
            file = await self._pool.call(share, "read", place, lambda: share.reader(place, offset))
            with or_break_off(share, file):
                yield blocks()
                await self._pool.call(share, "read", place, file.close)

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        """Write a file, from its beginning or from an offset; what an older file has behind is cut off.

        Raises:
            StepError: the name is not allowed (AF346), the file cannot be written (AF351, AF352, AF354), the
                disk of the server is full (AF353), or the connection breaks (AF348).
        """
        place = self._new_path(path)
        first = b"" if offset else await _first_of(content)
        if not offset and len(first) <= SMALL_BYTES:
            entry = await self._pool.direct(
                "write", place, lambda ask: requests.write_small(ask, place, first), lambda _: None
            )
            if entry is not None:
                self._written.note(place, entry)
                return
        async with self._pool.connection() as share:
            file = await self._pool.call(share, "write", place, lambda: share.writer(place, offset))
            with or_break_off(share, file):
                async for block in _joined(first, content):
                    rest = memoryview(block)
                    while rest:
                        rest = rest[
                            await self._pool.call(share, "write", place, partial(file.write_some, rest)) :
                        ]
                while await self._pool.call(share, "write", place, file.wait):
                    pass
                await self._pool.call(share, "write", place, file.finish)

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file in one operation; with `replace`, an existing file is replaced.

        Raises:
            StepError: something is at `new` and `replace` is false (AF355), or it cannot be renamed.
        """
        place, target = self._path(path), self._new_path(new)
        if (place.host, place.share.lower()) != (target.host, target.share.lower()):
            raise between_shares(self.name, path, new)
        if not await self._pool.direct(
            "rename",
            place,
            lambda ask: requests.rename(ask, place, target, replaces=replace),
            lambda share: share.rename(place, target, replaces=replace),
        ):
            raise StepError(
                f"resource {self.name!r}: cannot rename {path}: {new} exists",
                hint="move it away, or let it be replaced: overwrite: always",
                code="AF355",
                detail={"resource": self.name, "path": new},
            )

    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there.

        Raises:
            StepError: it may not be deleted (AF351), or is a folder (AF355).
        """
        place = self._path(path)
        return await self._pool.once("delete", place, lambda share: share.remove(place))

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there.

        Raises:
            StepError: it may not be deleted (AF351), or is not empty (AF355).
        """
        place = self._path(path)
        return await self._pool.once("delete", place, lambda share: share.remove_folder(place))

    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it.

        Raises:
            StepError: the name is not allowed (AF346), it cannot be made (AF351), or a file is in its place
                (AF355).
        """
        place = self._new_path(path)
        await self._pool.once("make the folder", place, lambda share: share.make_folder(place))

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed; return True.

        Raises:
            StepError: it may not be changed (AF351).
        """
        place = self._path(path)
        await self._pool.direct(
            "set the time of",
            place,
            lambda ask: requests.set_mtime(ask, place, mtime),
            lambda share: share.set_mtime(place, mtime),
        )
        return True

    def _place(self, written: str) -> SharePath:
        return share_path(written, host=self._login.server, share=self._share)

    def _path(self, written: str) -> SharePath:
        """Return the path of what is about to change: what is known of it is forgotten."""
        path = self._place(written)
        self._written.take(path)
        return path

    def _new_path(self, written: str) -> SharePath:
        path = self._path(written)
        check_new_name(path)
        return path


@connector("smb:pysmb")
class PysmbConnector(SmbClientConnector):
    """Another name of `smb:smbclient`, for flows that were written for pysmb."""

    config_type: ClassVar[type[PysmbConfig]] = PysmbConfig


async def _first_of(content: AsyncIterator[bytes]) -> bytes:
    """Return all of a content if it is small, else enough of it to see that it is not."""
    pieces: list[bytes] = []
    async for piece in content:
        pieces.append(piece)
        if sum(map(len, pieces)) > SMALL_BYTES:
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _joined(first: bytes, content: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    if first:
        yield first
    if content is not None:
        async for piece in content:
            yield piece


def _share_class() -> Callable[[Login], Share]:
    """Import smbprotocol; it takes a tenth of a second.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        with without_credssp():
            from aetherflow_smb.share import Share  # noqa: PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the connectors smb:smbclient and smb:pysmb need {error.name}, which is not installed",
            hint="pip install 'aetherflow[smb]'",
        ) from error
    return Share
