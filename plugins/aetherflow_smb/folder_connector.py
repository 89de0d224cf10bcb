"""The connector `smb:folder`: a folder of this machine in place of a file server, for tests and demos.

Paths have the same forms and the same checks as on a server; each share is a folder below the folder.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Self

from msgspec.structs import replace as changed

from aetherflow import (
    CheckResult,
    LocalFiles,
    RemoteEntry,
    RemoteFiles,
    Resource,
    StepError,
    connector,
    run_blocking,
)
from aetherflow_smb.failures import between_shares
from aetherflow_smb.settings import FolderConfig, SmbOptions
from aetherflow_smb.share_paths import SharePath, check_new_name, join, parent, share_path


@connector("smb:folder")
class SmbFolderConnector(RemoteFiles):
    """A folder in place of a file server, with one folder for each share; every run says so."""

    config_type: ClassVar[type[FolderConfig]] = FolderConfig
    options_type: ClassVar[type[SmbOptions]] = SmbOptions
    path_keys: ClassVar[tuple[str, ...]] = ("path",)
    ignores_case: ClassVar[bool] = True

    def __init__(self, name: str, config: FolderConfig) -> None:
        """Remember the resource's name, and where the shares are."""
        self.name = name
        self._config = config
        self._root = Path(config.path)
        self._files = LocalFiles(name, self._root)
        server = config.server or "a server"
        caution = f"resource {name!r}: the folder {config.path} is used in place of the shares of {server}"
        self.cautions = (f"{caution}; nothing is sent over the network",)

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Look whether the folder and the share exist.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            StepError: the folder cannot be listed (AF311), or has no folder for the share (AF350).
        """
        config = resource.config_as(FolderConfig)
        resource.options_as(SmbOptions)
        opened = cls(resource.name, config)
        await opened._files.look()
        if config.share:
            await opened._place("")
        return opened

    async def check(self) -> list[CheckResult]:
        """Check the rights on the folder and its free space."""
        message = f"{self._root} is used in place of {self._config.server or 'a server'}"
        return [CheckResult("server", "warning", message), *await self._files.check()]

    async def aclose(self) -> None:
        """Nothing is open."""

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
        """Yield the entries directly in a folder.

        Raises:
            StepError: it does not exist, or may not be read (AF311).
        """
        place, above = await self._place(folder), join(folder, "")
        async for entry in self._files.scan(place):
            yield changed(entry, path=f"{above}{entry.path.rpartition('/')[2]}")

    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there."""
        entry = await self._files.stat(await self._place(path))
        return None if entry is None else changed(entry, path=path)

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Open a file and yield its content from an offset.

        Raises:
            StepError: it does not exist, or may not be read (AF311).
        """
        async with self._files.read(await self._place(path), offset=offset) as blocks:
            yield blocks

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        """Write a file, from its beginning or from an offset.

        Raises:
            StepError: the name is not allowed (AF346), or the file cannot be written (AF311).
        """
        await self._files.write(await self._new_place(path), content, offset=offset)

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file in one operation; with `replace`, an existing file is replaced.

        Raises:
            StepError: something is at `new` and `replace` is false (AF312), or it cannot be renamed (AF311,
                AF355).
        """
        old, place = self._path(path), self._path(new)
        if old.share.lower() != place.share.lower():
            raise between_shares(self.name, path, new)
        await self._files.rename(await self._place(path), await self._new_place(new), replace=replace)

    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there.

        Raises:
            StepError: it may not be deleted, or is a folder (AF311).
        """
        return await self._files.remove(await self._place(path))

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there.

        Raises:
            StepError: it may not be deleted, or is not empty (AF311).
        """
        return await self._files.remove_folder(await self._place(path))

    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it.

        Raises:
            StepError: the name is not allowed (AF346), or it cannot be made (AF311).
        """
        await self._files.make_folder(await self._new_place(path))

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed; return True.

        Raises:
            StepError: it may not be changed (AF311).
        """
        return await self._files.set_mtime(await self._place(path), mtime)

    def _path(self, written: str) -> SharePath:
        """Return where a path is on the server that the folder replaces.

        Raises:
            StepError: it names another server, or no share (AF345), or a name that Windows does not allow
                (AF346).
        """
        server = self._config.server
        path = share_path(written, host=server, share=self._config.share)
        if server and path.host.lower() != server.lower():
            raise StepError(
                f"{written!r} is not on {server}, the server that the folder {self._root} replaces",
                hint="leave the server out: SHARE:/folder/file",
                code="AF345",
            )
        return path

    async def _place(self, written: str) -> str:
        """Return the path below the folder.

        Raises:
            StepError: as `_path`; or there is no folder for the share (AF350).
        """
        path = self._path(written)
        share, *names = await run_blocking(existing_names, self._root, (path.share, *path.parts))
        if await self._files.stat(share) is None:
            raise StepError(
                f"resource {self.name!r}: {self._root} has no folder for the share {path.share!r}",
                hint=f"mkdir {self._root / path.share}",
                code="AF350",
            )
        return "/".join((share, *names))

    async def _new_place(self, written: str) -> str:
        check_new_name(self._path(written))
        return await self._place(written)


def existing_names(root: Path, names: tuple[str, ...]) -> list[str]:
    """Return the names of a path below a folder in the case in which they exist there; blocking.

    Windows finds `In/A.csv` where `in/a.csv` is written. A name that does not exist stays as it is.
    """
    found: list[str] = []
    for name in names:
        folder = root.joinpath(*found)
        if not os.path.lexists(folder / name) and folder.is_dir():
            same = [other.name for other in folder.iterdir() if other.name.casefold() == name.casefold()]
            name = same[0] if same else name  # noqa: PLW2901 - the same name, as it is written there
        found.append(name)
    return found
