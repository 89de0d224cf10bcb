"""Download one file: to a temporary name, verified, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
from aetherflow.task_errors import one_error
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_io import LocalFile, describe
from aetherflow.transfer.local_source import close, read_part
from aetherflow.transfer.local_target import LocalTarget, digest_of
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.overwrite import name_in_use
from aetherflow.transfer.rate import FileMeter, Meter, RateLimit
from aetherflow.transfer.shared_calls import SharedCalls
from aetherflow.transfer.sidecar import expected_checksum
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.transfer.way import (
    SMALL_BYTES,
    TAIL_BYTES,
    Arrived,
    Item,
    Way,
    bytes_at,
    changed,
    damaged,
    disk_threads,
    on_disk,
)


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
        """Take what all files of the step share, and where they arrive."""
        super().__init__(context, remote, manifest, settings, rate, meter)
        self._target = target
        self._in_memory: dict[str, bytes] = {}
        self._renames: SharedCalls[bool] = SharedCalls(disk_threads, must_end=True)
        self.notes_whole = not settings.replaces

    async def existing(self, path: str) -> RemoteEntry | None:
        """Return what is at a path of this machine."""
        return await on_disk("look at", path, describe, path, path)

    async def rename(self, item: Item, entry: Entry, *, replace: bool) -> None:
        """Give a file its time and its name, and note the entry, in one call."""
        content = self._in_memory.pop(item.id, None)
        mtime = item.mtime if self._settings.preserve_mtime else None

        def rename() -> bool:
            try:
                if content is not None:
                    self._target.write(item.temporary, content)
                if not self._target.rename(item.temporary, item.target, mtime, replace=replace):
                    return False
                self._manifest.add_now(entry)
            except OSError as error:
                raise local_failure(error, "write", item.target) from None
            return True

        try:
            if not await self._renames.run(rename):
                raise name_in_use(item.target)
        except StepError:
            if content is not None:
                await self.discard(item.temporary)
            raise

    async def take_back(self, item: Item, entry: Entry) -> None:
        """Give a file its temporary name again, and note the entry, in one call."""

        def rename() -> None:
            self._target.rename(item.target, item.temporary, None, replace=True)
            self._manifest.add_now(entry)

        await on_disk("write", item.temporary, rename, must_end=True)

    async def flush(self, paths: Sequence[str]) -> None:
        """Make what has arrived durable: the sources may be deleted now."""
        await on_disk("write", str(self._target.folder), self._target.store, paths)

    async def _bring(self, item: Item, offset: int, meter: FileMeter) -> Arrived:
        """Write a file under its temporary name, from an offset on; a small one may wait in memory."""
        most = min(SMALL_BYTES, self._rate.block)
        is_small = item.size is not None and item.size <= most and not offset
        if is_small and self._settings.verify != "none":  # a size that need not be right limits nothing
            return await self._bring_small(item, meter)
        file = await on_disk("write", item.temporary, self._target.open, item.temporary, offset)
        before = meter.bytes
        try:
            digest = await on_disk("read", item.temporary, digest_of, item.temporary, offset)
            send, receive = anyio.create_memory_object_stream[list[bytes]](1)
            async with receive, one_error() as tasks:
                tasks.start_soon(_write_from, receive, file, digest, item.temporary)
                cut = await self._read_into(send, item.source, offset, meter)
            await on_disk("write", item.temporary, file.close)
        finally:
            await close(file)
        if cut is not None:
            raise cut
        return Arrived(offset + meter.bytes - before, digest.hexdigest())

    async def _bring_small(self, item: Item, meter: FileMeter) -> Arrived:
        content = b""
        async with self._remote.read(item.source) as blocks:
            async for block in blocks:
                content += block
                if len(content) > (item.size or 0):
                    break  # the check of the size reports it
        await self._rate.take(len(content))
        meter.moved(len(content))
        if self._settings.transactional or self.notes_whole:
            await on_disk("write", item.temporary, self._target.write, item.temporary, content)
        else:
            self._in_memory[item.id] = content
        return Arrived(len(content), hashlib.sha256(content).hexdigest())

    async def _read_into(
        self, send: MemoryObjectSendStream[list[bytes]], path: str, offset: int, meter: FileMeter
    ) -> StepError | None:
        """Read a file, several small blocks at once; return the error of a cut."""
        some: list[bytes] = []
        count = 0
        async with send:
            try:
                async with self._remote.read(path, offset=offset) as blocks:
                    async for block in blocks:
                        await self._rate.take(len(block))
                        some.append(block)
                        count += len(block)
                        meter.moved(len(block))
                        if count >= self._rate.block:  # each call in a thread costs time
                            await send.send(some)
                            some, count = [], 0
            except StepError as error:
                if some:
                    await send.send(some)
                return error
            if some:
                await send.send(some)
        return None

    def _can_continue(self, size: int) -> bool:
        return size >= TAIL_BYTES

    async def _continued_at(self, item: Item) -> int:
        """Return the size of the temporary file, if its last bytes are those of its source."""
        there = await self.existing(item.temporary)
        if there is None or item.size is None or not TAIL_BYTES <= there.size <= item.size:
            return 0
        start = there.size - TAIL_BYTES
        theirs = await bytes_at(self._remote, item.source, start, TAIL_BYTES)
        ours = await on_disk("read", item.temporary, read_part, item.temporary, start, TAIL_BYTES)
        return there.size if theirs == ours else 0

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

    async def _remove(self, path: str) -> None:
        await on_disk("delete", path, _unlink, path)


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


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)
