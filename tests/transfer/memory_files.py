"""Files in memory behind the protocol `RemoteFiles`: also such as no file system would have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

import anyio.lowlevel

from aetherflow import RemoteEntry, RemoteFiles, Resource, StepError


class MemoryFiles(RemoteFiles):
    """Files in memory, by path; a folder exists where it was made or has something.

    Attributes:
        files: the content of each file, by path.
        times: when each was changed; 1,000,000,000 where nothing is said.
        links: folders that are links to another one.
        hidden: whether the links pass for plain folders.
        scans: the folders that were listed.
    """

    can_append: ClassVar[bool] = True

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.times: dict[str, float] = {}
        self.links: dict[str, str] = {}
        self.hidden = False
        self.folders: set[str] = set()
        self.scans: list[str] = []

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        del resource
        return cls()

    async def aclose(self) -> None:
        """Nothing to close."""

    def _real(self, path: str) -> str:
        for link, target in self.links.items():
            while path == link or path.startswith(f"{link}/"):
                path = target + path[len(link) :]
        return path

    def _entry(self, path: str, real: str) -> RemoteEntry:
        if real in self.files:
            return RemoteEntry(path, len(self.files[real]), self.times.get(real, 1e9))
        return RemoteEntry(path, is_dir=True, is_link=real in self.links and not self.hidden)

    async def scan(self, folder: str) -> AsyncIterator[RemoteEntry]:
        await anyio.lowlevel.checkpoint()
        self.scans.append(folder)
        top = f"{self._real(folder.rstrip('/'))}/"
        if await self.stat(folder) is None:
            raise StepError(f"there is no folder {folder}")
        inside = [path for path in (*self.files, *self.folders, *self.links) if path.startswith(top)]
        for name in dict.fromkeys(self._first(path, top) for path in inside):
            yield self._entry(self.join(folder, name), top + name)

    def _first(self, path: str, top: str) -> str:
        """Return the first part below a folder; a file whose name is hostile is one part."""
        rest = path[len(top) :]
        return rest if ".." in rest else rest.partition("/")[0]

    async def stat(self, path: str) -> RemoteEntry | None:
        await anyio.lowlevel.checkpoint()
        real = self._real(path.rstrip("/"))
        if real in self.files:
            return self._entry(path, real)
        everything = (*self.files, *self.folders, *self.links)
        is_there = any(one == real or one.startswith(f"{real}/") for one in everything)
        return RemoteEntry(path, is_dir=True) if is_there else None

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        if self._real(path) not in self.files:
            raise StepError(f"there is no file {path}")

        async def pieces() -> AsyncIterator[bytes]:
            await anyio.lowlevel.checkpoint()
            yield self.files[self._real(path)][offset:]

        yield pieces()

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        written = self.files.get(path, b"")[:offset]
        async for piece in content:
            written += piece
        self.files[path] = written

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        if not replace and await self.stat(new) is not None:
            raise StepError(f"{new} exists")
        self.files[new] = self.files.pop(path)

    async def remove(self, path: str) -> bool:
        await anyio.lowlevel.checkpoint()
        if path not in self.files and await self.stat(path) is not None:
            raise StepError(f"{path} is a folder")
        return self.files.pop(path, None) is not None

    async def remove_folder(self, path: str) -> bool:
        if any(one.startswith(f"{path}/") for one in self.files):
            raise StepError(f"the folder {path} is not empty")
        is_there = path in self.folders
        self.folders.discard(path)
        return is_there

    async def make_folder(self, path: str) -> None:
        self.folders.add(path)

    async def set_mtime(self, path: str, mtime: float) -> bool:
        self.times[path] = mtime
        return True
