"""A second source for the tests: the files of a zip archive, whose fingerprint is the sha256 of each."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import anyio.to_thread

from aetherflow.bundle.source import CHUNK_BYTES, BundleFile, BundleSource, SourceChanged, SourceRequest
from aetherflow.errors import BundleError


class ZipSource(BundleSource):
    """The members of the archive that `base_path` names."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self.is_closed = False

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Open the archive; its content is read again at each listing."""
        archive = request.directory / (request.spec.base_path or "")
        if not await anyio.to_thread.run_sync(zipfile.is_zipfile, archive):
            raise BundleError(f"{archive} is no zip archive", hint="correct bundle.source.base_path")
        return cls(archive)

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the members."""
        for file in await anyio.to_thread.run_sync(self._members):
            yield file

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a member."""
        try:
            content = await anyio.to_thread.run_sync(self._content, file.path)
        except KeyError:
            raise SourceChanged(f"{file.path} went away after it was listed") from None
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise SourceChanged(f"{file.path} changed after it was listed")
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]

    async def aclose(self) -> None:
        """Note that the source was closed."""
        self.is_closed = True

    def _members(self) -> tuple[BundleFile, ...]:
        with zipfile.ZipFile(self._archive) as archive:
            return tuple(
                BundleFile(
                    path=member.filename,
                    size=member.file_size,
                    sha256=hashlib.sha256(archive.read(member)).hexdigest(),
                    executable=bool(member.external_attr >> 16 & 0o100),
                )
                for member in archive.infolist()
                if not member.is_dir()
            )

    def _content(self, name: str) -> bytes:
        with zipfile.ZipFile(self._archive) as archive:
            return archive.read(name)
