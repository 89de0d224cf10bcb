"""Upload one file: to a temporary name, verified there, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import BLOCK_BYTES, RemoteEntry, RemoteFiles
from aetherflow.task_errors import one_error
from aetherflow.transfer.local_io import LocalFile
from aetherflow.transfer.local_source import Digest, close, read_part, read_whole
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.rate import Meter, RateLimit
from aetherflow.transfer.sidecar import SUFFIX
from aetherflow.transfer.target_names import last_part
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.transfer.way import TAIL_BYTES, Arrived, Item, Way, damaged, on_disk

DISCARD_SECONDS = 5.0
"""How long a transfer that failed tries to delete its incomplete file."""


class Sending(Way):
    """Uploads the files of one step."""

    verb = "upload"
    notes_whole = True
    may_be_taken = True

    def __init__(
        self,
        context: StepContext,
        remote: RemoteFiles,
        manifest: Manifest,
        settings: TransferSettings,
        rate: RateLimit,
        meter: Meter,
    ) -> None:
        """Take what all files of the step share."""
        self._context = context
        self._remote = remote
        self._manifest = manifest
        self._settings = settings
        self._rate = rate
        self._meter = meter
        self._has_checksums: bool | None = None
        self._sets_times = True

    async def existing(self, path: str) -> RemoteEntry | None:
        """Return what is at a path on the far side."""
        return await self._remote.stat(path)

    async def send(self, item: Item, *, is_resumed: bool) -> Arrived:
        """Write a file under its temporary name and verify it."""
        offset = await self._continued(item) if is_resumed else 0
        before = self._meter.bytes
        try:
            arrived = await self._write(item, offset)
            try:
                await self._verify(item, arrived)
            except StepError:
                if not offset:
                    raise
                arrived = await self._write(item, 0)
                await self._verify(item, arrived)
            await self._set_time(item)
        except BaseException as error:
            is_cut = not isinstance(error, StepError) or error.kind == "connection"
            if not (is_cut and self._remote.can_append and offset + self._meter.bytes - before > BLOCK_BYTES):
                await self._discard(item.temporary)
            raise
        return arrived

    async def rename(self, item: Item, entry: Entry, *, replace: bool) -> None:
        """Give a file its name; before, write its checksum beside it if the far side computes none."""
        if self._settings.verify == "checksum" and not await self._checksums(item) and entry.sha256:
            await self._write_sidecar(item, entry.sha256)
        await self._remote.rename(item.temporary, item.target, replace=replace)
        self._manifest.note(entry)

    async def flush(self) -> None:
        """Do nothing: the far side has accepted everything."""

    async def _write(self, item: Item, offset: int) -> Arrived:
        if not offset and (item.size or 0) <= self._rate.block:
            content, digest = await on_disk("read", item.source, read_whole, item)
            await self._rate.take(len(content))
            await self._remote.write(item.temporary, _once(content))
            self._meter.moved(len(content))
            return Arrived(len(content), digest)
        file = await on_disk("read", item.source, LocalFile.to_read, item.source)
        try:
            digest_of = Digest(file)
            await on_disk("read", item.source, digest_of.skip, offset)
            blocks, content_of = anyio.create_memory_object_stream[bytes](1)
            async with content_of, one_error() as tasks:
                tasks.start_soon(self._read_into, blocks, item, digest_of)
                await self._remote.write(item.temporary, content_of, offset=offset)
        finally:
            await close(file)
        return Arrived(digest_of.size, digest_of.hexdigest())

    async def _read_into(self, blocks: MemoryObjectSendStream[bytes], item: Item, digest: Digest) -> None:
        """Read a file one block ahead of what is sent."""
        async with blocks:
            while block := await on_disk("read", item.source, digest.read, self._rate.block):
                await self._rate.take(len(block))
                await blocks.send(block)
                self._meter.moved(len(block))
            await on_disk("read", item.source, digest.check_unchanged, item)

    async def _continued(self, item: Item) -> int:
        """Return at which byte an incomplete file of an earlier attempt is continued; 0: from the beginning.

        The last block is sent again: a server may have stored its parts in another order.
        """
        if not self._remote.can_append or (item.size or 0) <= BLOCK_BYTES:
            return 0
        there = await self._remote.stat(item.temporary)
        offset = min(there.size, item.size or 0) - BLOCK_BYTES if there else 0
        if offset < TAIL_BYTES:
            return 0
        tail = await on_disk("read", item.source, read_part, item.source, offset - TAIL_BYTES, TAIL_BYTES)
        found = b""
        async with self._remote.read(item.temporary, offset=offset - TAIL_BYTES) as blocks:
            async for block in blocks:
                found += block[: TAIL_BYTES - len(found)]
                if len(found) == TAIL_BYTES:
                    break
        if found != tail:
            return 0
        self._context.log(f"{item.source}: continued at {offset:,} of {item.size:,} bytes")
        self._meter.passed(offset)
        return offset

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

    async def _discard(self, path: str) -> None:
        with anyio.move_on_after(DISCARD_SECONDS, shield=True):
            try:
                await self._remote.remove(path)
            except StepError as error:  # the next attempt replaces it
                self._context.log(f"the incomplete file {path} stays: {error.message}", "debug")


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
