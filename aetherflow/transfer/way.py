"""One direction of a transfer: what differs between a download and an upload.

`Moving` (`moving.py`) does what both have in common.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, TypeVarTuple

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.manifest import Entry, Manifest, Status
from aetherflow.transfer.rate import FileMeter, Meter, RateLimit
from aetherflow.transfer.shared_calls import SharedCalls
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.worker_threads import WorkerThreads

T = TypeVar("T")
Args = TypeVarTuple("Args")

SMALL_BYTES = 1024 * 1024
"""Files up to this size are sent in one piece, and again from their beginning after a cut."""

TAIL_BYTES = 64 * 1024
"""How many of the last bytes of an incomplete file are compared with its source."""

DISCARD_SECONDS = 5.0
"""How long a transfer that failed tries to delete its incomplete file."""

disk_threads = WorkerThreads("files that move", 16)


class Item(msgspec.Struct, frozen=True):
    """A file that is to move.

    Attributes:
        id: names it in the manifest.
        source: its path where it is.
        rel_path: its name there, below the folder.
        target: its path where it arrives.
        temporary: its path there until it is complete.
        size: in bytes; None if that is unknown.
        mtime: when it was changed, in seconds since 1970 UTC; None if that is unknown.
        sha256: its checksum, if it is known before.
    """

    id: str
    source: str
    rel_path: str
    target: str
    temporary: str
    size: int | None = None
    mtime: float | None = None
    sha256: str | None = None

    def is_version_of(self, entry: Entry) -> bool:
        """Whether an entry is about the same version of the same file, to the same place."""
        same_time = self.mtime is None or entry.mtime is None or int(self.mtime) == int(entry.mtime)
        return entry.path == self.target and same_time and self.size in {None, entry.size}


class Arrived(msgspec.Struct, frozen=True):
    """A file that is complete under its temporary name: its size and checksum."""

    size: int
    sha256: str


class Way(abc.ABC):
    """Moves one file: to its temporary name, and then to its name.

    Attributes:
        verb: download or upload.
        notes_whole: whether a file is noted as whole before it is renamed, also if the step is not
            transactional: what has its name and was not noted could not be recognised.
        may_be_taken: whether a file may be taken away as soon as it has its name; it is not sent again then.
    """

    verb: Literal["download", "upload"]
    notes_whole: bool
    may_be_taken: bool

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
        self._small_reads: SharedCalls[tuple[bytes, str]] = SharedCalls(disk_threads)

    async def send(self, item: Item, *, is_resumed: bool) -> Arrived:
        """Bring a file to its temporary name and verify it; continue an incomplete one if there is one.

        After a cut, or when the step is cancelled, what has arrived stays for the next attempt if that can
        continue it. After any other failure it is deleted.

        Raises:
            StepError: it cannot be read, written or verified, or it changes meanwhile.
        """
        offset = await self._continued_at(item) if is_resumed else 0
        meter = FileMeter(self._meter)
        try:
            if offset:
                self._context.log(f"{item.source}: continued at {offset:,} of {item.size:,} bytes")
                self._meter.passed(offset)
            arrived = await self._bring(item, offset, meter)
            try:
                await self._verify(item, arrived)
            except StepError:
                if not offset:
                    raise
                arrived = await self._bring(item, 0, meter)
                await self._verify(item, arrived)
        except BaseException as error:
            is_cut = not isinstance(error, StepError) or error.kind == "connection"
            if not (is_cut and self._can_continue(offset + meter.bytes)):
                await self.discard(item.temporary)
            raise
        return arrived

    async def discard(self, path: str) -> None:
        """Delete an incomplete file, if that is possible; also while the step is cancelled."""
        with anyio.move_on_after(DISCARD_SECONDS, shield=True):
            try:
                await self._remove(path)
            except StepError as error:  # the next attempt replaces it
                self._context.log(f"the file {path} stays: {error.message}", "debug")

    @abc.abstractmethod
    async def existing(self, path: str) -> RemoteEntry | None:
        """Return what is at a path where files arrive; None if nothing is."""

    @abc.abstractmethod
    def _can_continue(self, size: int) -> bool:
        """Whether a later attempt can continue an incomplete file of this size."""

    @abc.abstractmethod
    async def _continued_at(self, item: Item) -> int:
        """Return at which byte an incomplete file of an earlier attempt is continued; 0: at the beginning."""

    @abc.abstractmethod
    async def _bring(self, item: Item, offset: int, meter: FileMeter) -> Arrived:
        """Bring the bytes from an offset on to the temporary name; earlier ones are there."""

    @abc.abstractmethod
    async def _verify(self, item: Item, arrived: Arrived) -> None:
        """Check what has arrived under the temporary name."""

    @abc.abstractmethod
    async def _remove(self, path: str) -> None:
        """Delete an incomplete file."""

    @abc.abstractmethod
    async def rename(self, item: Item, entry: Entry, *, replace: bool) -> None:
        """Give a file its name, and note the entry in the manifest."""

    @abc.abstractmethod
    async def take_back(self, item: Item, entry: Entry) -> None:
        """Give a file its temporary name again, and note the entry in the manifest."""

    def entry(self, item: Item, status: Status = "done", arrived: Arrived | None = None) -> Entry:
        """Return the entry of a file for the manifest."""
        is_upload = self.verb == "upload"
        return Entry(
            id=item.id,
            file=item.source if is_upload else item.target,
            remote_path=item.target if is_upload else item.source,
            path=item.target,
            rel_path=item.rel_path,
            size=arrived.size if arrived else item.size,
            sha256=arrived.sha256 if arrived else item.sha256,
            mtime=item.mtime,
            status=status,
            skipped=status in {"same", "skipped"},
            temporary=item.temporary if status in {"whole", "failed"} else "",
        )

    def item(self, entry: Entry) -> Item:
        """Return the file that an entry which is whole is about."""
        source = entry.file if self.verb == "upload" else entry.remote_path
        return Item(
            *(entry.id, source, entry.rel_path, entry.path, entry.temporary, entry.size, entry.mtime),
            sha256=entry.sha256,
        )

    def remote_path(self, item: Item) -> str:
        """Return the path of a file on the far side."""
        return item.target if self.verb == "upload" else item.source

    @abc.abstractmethod
    async def flush(self, paths: Sequence[str]) -> None:
        """Make the files that have arrived durable, those of earlier attempts too."""


async def bytes_at(remote: RemoteFiles, path: str, offset: int, count: int) -> bytes:
    """Return some bytes of a file on the far side; fewer at its end."""
    found = b""
    async with remote.read(path, offset=offset) as blocks:
        async for block in blocks:
            found += block[: count - len(found)]
            if len(found) == count:
                break
    return found


async def on_disk(
    doing: str, path: str, function: Callable[[*Args], T], *args: *Args, must_end: bool = False
) -> T:
    """Call a blocking function on a file of this machine, in a thread; an OSError gets its sentence.

    A cancellation abandons the thread, since a mount that hangs may never answer; with `must_end` it waits.

    Raises:
        StepError: the system refuses it (AF311).
    """

    def call() -> T:
        try:
            return function(*args)
        except OSError as error:
            raise local_failure(error, doing, path) from None

    return await disk_threads.run(call, abandon_on_cancel=not must_end)


def changed(path: str, found: str) -> StepError:
    """Return the error for a source that is not what was listed (AF317)."""
    return StepError(
        f"{path} changed after the step had listed it: {found}",
        hint="it may still be written: stable_for_seconds or done_file wait for whole files; or run again",
        code="AF317",
        detail={"path": path},
    )


def damaged(path: str, found: str) -> StepError:
    """Return the error for a file that did not arrive as it was sent (AF318)."""
    return StepError(
        f"{path} did not arrive as it was sent: {found}",
        hint="its name was not given to what arrived; run again, and check the disk of the far side",
        kind="connection",
        code="AF318",
        detail={"path": path},
    )
