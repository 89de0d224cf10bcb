"""Upload one file: to a temporary name, verified there, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aetherflow.errors import StepError
from aetherflow.sdk.remote_files import RemoteEntry
from aetherflow.task_errors import one_error
from aetherflow.transfer.local_io import LocalFile
from aetherflow.transfer.local_source import Digest, close, read_part, read_small
from aetherflow.transfer.manifest import Entry
from aetherflow.transfer.rate import FileMeter
from aetherflow.transfer.sidecar import SUFFIX
from aetherflow.transfer.target_names import last_part
from aetherflow.transfer.way import SMALL_BYTES, TAIL_BYTES, Arrived, Item, Way, bytes_at, damaged, on_disk

BACK_BYTES = 8 * 1024 * 1024
"""So many of the last bytes of an incomplete file are sent again.

A connector may have so much under way at once, and a server may have stored it in another order.
"""


class Sending(Way):
    """Uploads the files of one step."""

    verb = "upload"
    notes_whole = True
    may_be_taken = True

    _has_checksums: bool | None = None
    _sets_times = True

    async def existing(self, path: str) -> RemoteEntry | None:
        """Return what is at a path on the far side."""
        return await self._remote.stat(path)

    async def rename(self, item: Item, entry: Entry, *, replace: bool) -> None:
        """Give a file its time and its name; write its checksum beside it if the far side computes none."""
        await self._set_time(item)
        has_sidecar = self._settings.verify == "checksum" and not await self._checksums(item)
        if has_sidecar and entry.sha256:
            await self._write_sidecar(item, entry.sha256)
        try:
            await self._remote.rename(item.temporary, item.target, replace=replace)
        except StepError as error:
            if has_sidecar and error.kind != "connection":  # it is of no file that has the name
                await self.discard(f"{item.target}{SUFFIX}")
            raise
        self._manifest.note(entry)

    async def take_back(self, item: Item, entry: Entry) -> None:
        """Give a file its temporary name again; delete its checksum beside it."""
        await self._remote.rename(item.target, item.temporary, replace=True)
        if self._settings.verify == "checksum" and not await self._checksums(item):
            await self._remote.remove(f"{item.target}{SUFFIX}")
        self._manifest.note(entry)

    async def flush(self, paths: Sequence[str]) -> None:
        """Do nothing: the far side has accepted everything."""

    async def _bring(self, item: Item, offset: int, meter: FileMeter) -> Arrived:
        """Write a file under its temporary name, from an offset on."""
        if not offset and (item.size or 0) <= min(SMALL_BYTES, self._rate.block):
            content, digest = await self._small_reads.run(partial(read_small, item))
            await self._rate.take(len(content))
            await self._remote.write(item.temporary, _once(content))
            meter.moved(len(content))
            return Arrived(len(content), digest)
        file = await on_disk("read", item.source, LocalFile.to_read, item.source)
        try:
            digest_of = Digest(file)
            await on_disk("read", item.source, digest_of.skip, offset)
            blocks, content_of = anyio.create_memory_object_stream[bytes](1)
            async with content_of, one_error() as tasks:
                tasks.start_soon(self._read_into, blocks, item, digest_of, meter)
                await self._remote.write(item.temporary, content_of, offset=offset)
        finally:
            await close(file)
        return Arrived(digest_of.size, digest_of.hexdigest())

    async def _read_into(
        self, blocks: MemoryObjectSendStream[bytes], item: Item, digest: Digest, meter: FileMeter
    ) -> None:
        """Read a file one block ahead of what is sent."""
        async with blocks:
            while block := await on_disk("read", item.source, digest.read, self._rate.block):
                await self._rate.take(len(block))
                await blocks.send(block)
                meter.moved(len(block))
            await on_disk("read", item.source, digest.check_unchanged, item)

    def _can_continue(self, size: int) -> bool:
        return self._remote.can_append and size >= BACK_BYTES + TAIL_BYTES

    async def _continued_at(self, item: Item) -> int:
        """Return where the temporary file ends for sure, if its last bytes are those of its source."""
        if item.size is None or not self._can_continue(item.size):
            return 0
        there = await self._remote.stat(item.temporary)
        if there is None or not self._can_continue(there.size):
            return 0
        offset = min(there.size, item.size) - BACK_BYTES
        start = offset - TAIL_BYTES
        theirs = await bytes_at(self._remote, item.temporary, start, TAIL_BYTES)
        ours = await on_disk("read", item.source, read_part, item.source, start, TAIL_BYTES)
        return offset if theirs == ours else 0

    async def _verify(self, item: Item, arrived: Arrived) -> None:
        if self._settings.verify == "none":
            return
        if self._settings.verify == "checksum":
            theirs = await self._remote.sha256(item.temporary)
            self._has_checksums = theirs is not None
            if theirs is None:
                theirs = await self._read_back(item.temporary)
            if theirs.lower() != arrived.sha256:
                raise damaged(item.target, "its checksum (SHA-256) differs from that of its source")
            return
        there = await self._remote.stat(item.temporary)
        if there is None or there.size != arrived.size:
            size = f"{there.size:,}" if there else "none"
            raise damaged(item.target, f"{size} of its {arrived.size:,} bytes are there")

    async def _read_back(self, path: str) -> str:
        digest = hashlib.sha256()
        async with self._remote.read(path) as blocks:
            async for block in blocks:
                await on_disk("read", path, digest.update, block)
        return digest.hexdigest()

    async def _checksums(self, item: Item) -> bool:
        """Whether the far side computes checksums."""
        if self._has_checksums is None:
            self._has_checksums = await self._remote.sha256(item.temporary) is not None
        return self._has_checksums

    async def _write_sidecar(self, item: Item, sha256: str) -> None:
        path = f"{item.temporary}{SUFFIX}"
        line = f"{sha256}  {last_part(item.target)}\n"
        await self._remote.write(path, _once(line.encode()))
        await self._remote.rename(path, f"{item.target}{SUFFIX}", replace=True)

    async def _set_time(self, item: Item) -> None:
        if not self._settings.preserve_mtime or item.mtime is None or not self._sets_times:
            return
        if not await self._remote.set_mtime(item.temporary, item.mtime):
            self._sets_times = False
            self._context.log("preserve_mtime: the far side cannot set the time of a file", "warning")

    async def _remove(self, path: str) -> None:
        await self._remote.remove(path)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
