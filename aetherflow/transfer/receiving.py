"""Download one file: to a temporary name, verified, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import BLOCK_BYTES, RemoteEntry, RemoteFiles
from aetherflow.task_errors import one_error
from aetherflow.transfer.local_io import LocalFile, describe
from aetherflow.transfer.local_source import close, read_part
from aetherflow.transfer.local_target import LocalTarget, digest_of
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.overwrite import name_in_use
from aetherflow.transfer.rate import Meter, RateLimit
from aetherflow.transfer.sidecar import expected_checksum
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.transfer.way import TAIL_BYTES, Arrived, Item, Way, changed, damaged, on_disk


class Receiving(Way):
    """Downloads the files of one step."""

    verb = "download"
    may_be_taken = False

    def __init__(
        self,
        context: StepContext,
        remote: RemoteFiles,
        target: LocalTarget,
        manifest: Manifest,
        settings: TransferSettings,
        rate: RateLimit,
        meter: Meter,
    ) -> None:
        """Take what all files of the step share."""
        self._context = context
        self._remote = remote
        self._target = target
        self._manifest = manifest
        self._settings = settings
        self._rate = rate
        self._meter = meter
        self._in_memory: dict[str, bytes] = {}
        self.notes_whole = not settings.replaces

    async def existing(self, path: str) -> RemoteEntry | None:
        """Return what is at a path of this machine."""
        return await on_disk("look at", path, describe, path, path)

    async def send(self, item: Item, *, is_resumed: bool) -> Arrived:
        """Bring a file to its temporary name and verify it; a small one may wait in memory for its name."""
        is_small = item.size is not None and item.size <= self._rate.block
        if is_small and self._settings.verify != "none":  # a size that need not be right limits nothing
            return await self._send_small(item)
        offset = await self._continued(item) if is_resumed else 0
        before = self._meter.bytes
        try:
            arrived = await self._stream(item, offset)
            try:
                await self._verify(item, arrived)
            except StepError:
                if not offset:
                    raise
                arrived = await self._stream(item, 0)
                await self._verify(item, arrived)
        except BaseException as error:
            is_cut = not isinstance(error, StepError) or error.kind == "connection"
            if not is_cut or offset + self._meter.bytes - before <= BLOCK_BYTES:
                await self._discard(item.temporary)
            raise
        return arrived

    async def rename(self, item: Item, entry: Entry, *, replace: bool) -> None:
        """Give a file its time and its name, and note the entry, in one call."""
        content = self._in_memory.pop(item.id, None)
        mtime = item.mtime if self._settings.preserve_mtime else None

        def rename() -> bool:
            if content is not None:
                self._target.write(item.temporary, content)
            if not self._target.rename(item.temporary, item.target, mtime, replace=replace):
                return False
            self._manifest.add_now(entry)
            return True

        try:
            if not await on_disk("write", item.target, rename, must_end=True):
                raise name_in_use(item.target)
        except StepError:
            if content is not None:
                await self._discard(item.temporary)
            raise

    async def flush(self) -> None:
        """Make what has arrived durable: the sources may be deleted now."""
        await on_disk("write", str(self._target.folder), self._target.store)

    async def _send_small(self, item: Item) -> Arrived:
        content = b""
        async with self._remote.read(item.source) as blocks:
            async for block in blocks:
                content += block
                if len(content) > (item.size or 0):
                    break  # the check of the size reports it
        await self._rate.take(len(content))
        self._meter.moved(len(content))
        arrived = Arrived(len(content), hashlib.sha256(content).hexdigest())
        await self._verify(item, arrived)
        if self._settings.transactional or self.notes_whole:
            await on_disk("write", item.temporary, self._target.write, item.temporary, content)
        else:
            self._in_memory[item.id] = content
        return arrived

    async def _stream(self, item: Item, offset: int) -> Arrived:
        file = await on_disk("write", item.temporary, self._target.open, item.temporary, offset)
        size = offset
        try:
            digest = await on_disk("read", item.temporary, digest_of, item.temporary, offset)
            send, receive = anyio.create_memory_object_stream[list[bytes]](1)
            async with receive, one_error() as tasks:
                tasks.start_soon(_write_from, receive, file, digest, item.temporary)
                async with send, self._remote.read(item.source, offset=offset) as blocks:
                    async for some in self._gathered(blocks):
                        await send.send(some)
                        size += sum(map(len, some))
            await on_disk("write", item.temporary, file.close)
        finally:
            await close(file)
        return Arrived(size, digest.hexdigest())

    async def _gathered(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
        """Yield blocks, several at once if they are small: each call in a thread costs time."""
        some: list[bytes] = []
        count = 0
        async for block in blocks:
            await self._rate.take(len(block))
            self._meter.moved(len(block))
            some.append(block)
            count += len(block)
            if count >= self._rate.block:
                yield some
                some, count = [], 0
        if some:
            yield some

    async def _continued(self, item: Item) -> int:
        """Return at which byte an incomplete file of an earlier attempt is continued, or 0."""
        there = await self.existing(item.temporary)
        offset = min(there.size, item.size or 0) - BLOCK_BYTES if there else 0
        if offset < TAIL_BYTES:
            return 0
        start = offset - TAIL_BYTES
        found = b""
        async with self._remote.read(item.source, offset=start) as blocks:
            async for block in blocks:
                found += block[: TAIL_BYTES - len(found)]
                if len(found) == TAIL_BYTES:
                    break
        tail = await on_disk("read", item.temporary, read_part, item.temporary, start, TAIL_BYTES)
        if found != tail:
            return 0
        self._context.log(f"{item.source}: continued at {offset:,} of {item.size:,} bytes")
        self._meter.passed(offset)
        return offset

    async def _verify(self, item: Item, arrived: Arrived) -> None:
        if self._settings.verify == "none":
            return
        if arrived.size != item.size or arrived.size > self._rate.block:
            await self._check_source(item, arrived)
        theirs = item.sha256
        if self._settings.verify == "checksum":
            theirs = await expected_checksum(self._remote, item)
        if theirs is not None and theirs.lower() != arrived.sha256:
            raise damaged(item.source, "its checksum (SHA-256) is not the expected one")

    async def _check_source(self, item: Item, arrived: Arrived) -> None:
        """Check that the source is what was listed, and that all of it arrived.

        Raises:
            StepError: it has changed (AF317), or a part is missing (AF318).
        """
        now = await self._remote.stat(item.source)
        if now is None:
            raise changed(item.source, "it is not there any more")
        if item.size is not None and now.size != item.size:
            raise changed(item.source, f"it had {item.size:,} bytes and has {now.size:,}")
        if item.mtime is not None and now.mtime is not None and int(now.mtime) != int(item.mtime):
            raise changed(item.source, "its time is another one")
        if now.size != arrived.size:
            raise damaged(item.source, f"{arrived.size:,} of its {now.size:,} bytes arrived")

    async def _discard(self, path: str) -> None:
        def remove() -> None:
            Path(path).unlink(missing_ok=True)

        with anyio.move_on_after(5.0, shield=True):
            try:
                await on_disk("delete", path, remove)
            except StepError as error:  # the next attempt replaces it
                self._context.log(f"the incomplete file {path} stays: {error.message}", "debug")


async def _write_from(
    blocks: MemoryObjectReceiveStream[list[bytes]], file: LocalFile, digest: hashlib._Hash, path: str
) -> None:
    """Write what arrives while the next block is on its way."""

    def write(some: list[bytes]) -> None:
        for block in some:
            file.write(block)
            digest.update(block)

    async for some in blocks:
        await on_disk("write", path, write, some)
