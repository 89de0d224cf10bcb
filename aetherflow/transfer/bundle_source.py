"""The bundle sources `sftp` and `smb`: a folder of any connector with files elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from aetherflow.bundle.filesystem_source import LEFT_OUT
from aetherflow.bundle.source import CHUNK_BYTES, BundleFile, BundleSource, SourceChanged, SourceRequest
from aetherflow.errors import BundleError
from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
from aetherflow.transfer.listing import walk


class RemoteFolderSource(BundleSource):
    """Every file below `base_path`; the fingerprint is path, size and modification time.

    Links are refused.
    """

    def __init__(self, connector: RemoteFiles, base: str) -> None:
        self._connector = connector
        self._base = base

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Open the connector.

        Raises:
            BundleError: its resource is no place with files.
        """
        connector = await request.connect()
        if not isinstance(connector, RemoteFiles):
            raise BundleError(
                f"the resource {request.spec.resource!r} is no place with files",
                hint=f"name a resource of kind {request.spec.type} in bundle.source.resource",
                code="AF874",
            )
        return cls(connector, request.spec.base_path or "")

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the files below the folder."""
        for path, entry in (
            await walk(self._connector, self._base, recursive=True, leave_out=LEFT_OUT)
        ).items():
            if entry.is_link:
                raise BundleError(
                    f"{entry.path} is a symbolic link, which cannot be in a bundle",
                    hint="put a copy of the file there",
                    code="AF855",
                )
            if not entry.is_dir:
                yield _bundle_file(path, entry)

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a file that is as it was listed, before and after it is read."""
        path = self._connector.join(self._base, file.path)
        await self._check(file, path)
        async with self._connector.read(path) as blocks:
            async for block in blocks:
                for begin in range(0, len(block), CHUNK_BYTES):
                    yield block[begin : begin + CHUNK_BYTES]
        await self._check(file, path)

    async def _check(self, file: BundleFile, path: str) -> None:
        """Check that a file did not change.

        Raises:
            SourceChanged: it did, for instance because it is still written.
        """
        entry = await self._connector.stat(path)
        if entry is None:
            raise SourceChanged(f"{path} went away after it was listed")
        if entry.is_dir or _bundle_file(file.path, entry) != file:
            raise SourceChanged(f"{path} changed while the bundle was synced")


def _bundle_file(path: str, entry: RemoteEntry) -> BundleFile:
    time = None if entry.mtime is None else int(entry.mtime * 1_000_000) * 1000
    return BundleFile(path, entry.size, time)
