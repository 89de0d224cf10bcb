"""Files in memory whose server breaks at a given operation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aetherflow import RemoteEntry, StepError
from tests.transfer.memory_files import MemoryFiles

PIECE = 16


class BreakingFiles(MemoryFiles):
    """Breaks at one operation; every piece of PIECE bytes that is read or written is one.

    Attributes:
        left: how many operations succeed before it breaks; it is not there until it is set again.
        count: how many operations there were.
        after: whether the operation at which it breaks is done before the connection is lost.
    """

    def __init__(
        self, files: dict[str, bytes] | None = None, *, left: int = 10**9, after: bool = False
    ) -> None:
        super().__init__(files)
        self.left = left
        self.count = 0
        self.after = after

    def _step(self) -> bool:
        """Count an operation; return whether the connection breaks once it is done."""
        self.count += 1
        self.left -= 1
        if self.left == 0 and self.after:
            return True
        if self.left <= 0:
            raise self._broken()
        return False

    def _broken(self) -> StepError:
        return StepError("the connection is lost", kind="connection")

    async def stat(self, path: str) -> RemoteEntry | None:
        self._step()
        return await super().stat(path)

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        self._step()
        async with super().read(path, offset=offset) as blocks:

            async def pieces() -> AsyncIterator[bytes]:
                async for block in blocks:
                    for start in range(0, len(block), PIECE):
                        self._step()
                        yield block[start : start + PIECE]

            yield pieces()

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        is_last = self._step()
        self.files[path] = self.files.get(path, b"")[:offset]
        async for block in content:
            for start in range(0, len(block), PIECE):
                is_last = is_last or self._step()
                self.files[path] += block[start : start + PIECE]
                if is_last:
                    raise self._broken()
        if is_last:
            raise self._broken()

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        is_last = self._step()
        await super().rename(path, new, replace=replace)
        if is_last:
            raise self._broken()

    async def remove(self, path: str) -> bool:
        is_last = self._step()
        found = await super().remove(path)
        if is_last:
            raise self._broken()
        return found

    async def make_folder(self, path: str) -> None:
        self._step()
        await super().make_folder(path)
