"""Lock a bundle for one sync at a time; the kernel releases the file lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import BundleError, HeldByAnother
from aetherflow.file_access import FileAccess, make_folder, opener
from aetherflow.store.process_identity import this_process
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("locks of bundles", 16)

_LARGEST = 4096
"""The most that a lock file holds (bytes)."""

LOOK_SECONDS = 0.05
"""How often a waiting process tries; the kernel's own queue could not be left when the time is up."""


class SyncHolder(msgspec.Struct, frozen=True):
    """The process that syncs, written into the lock file for those who wait."""

    owner: str
    since: str

    def __str__(self) -> str:
        return f"{self.owner} since {self.since}"


@asynccontextmanager
async def exclusive(
    path: Path, what: str, clock: Clock, wait_seconds: float, access: FileAccess = "private"
) -> AsyncIterator[None]:
    """Hold the lock while the block runs.

    Raises:
        BundleError: there is a file with the name of the lock that no sync made.
        HeldByAnother: another process held it for all of `wait_seconds`; the message names it.
    """
    descriptor = await _threads.run(_open_lock_file, path, access)
    try:
        deadline = clock.monotonic() + wait_seconds
        while not await _threads.run(_try_lock, descriptor):
            if clock.monotonic() >= deadline:
                raise HeldByAnother(
                    f"{what} is being synced by {_read_holder(descriptor)}; waited {wait_seconds:g} s",
                    hint="try again when it is done",
                    code="AF862",
                )
            await clock.sleep(LOOK_SECONDS)
        holder = SyncHolder(str(this_process()), clock.now().isoformat(timespec="seconds"))
        await _threads.run(_write_holder, descriptor, holder)
        yield
    finally:
        os.close(descriptor)  # which releases it


def _open_lock_file(path: Path, access: FileAccess) -> int:
    make_folder(path.parent, access)
    try:
        descriptor = opener(access)(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink() or path.is_dir():
            raise _not_ours(path) from error
        raise
    if not _is_lock_file(descriptor):
        os.close(descriptor)
        raise _not_ours(path)
    return descriptor


def _is_lock_file(descriptor: int) -> bool:
    """Whether a file is empty or names a holder; the content of another file would be lost."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    content = os.pread(descriptor, _LARGEST, 0)
    try:
        return not content or bool(_holders.decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _not_ours(path: Path) -> BundleError:
    return BundleError(
        f"{path} is not the lock file that a sync makes",
        hint="move it to another place, and sync again",
        code="AF859",
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_holders = msgspec.json.Decoder(SyncHolder)  # made here: two threads must not meet a type at once


def _write_holder(descriptor: int, holder: SyncHolder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(holder), 0)


def _read_holder(descriptor: int) -> str:
    try:
        return str(_holders.decode(os.pread(descriptor, _LARGEST, 0)))
    except msgspec.DecodeError:
        return "another process"  # it has the lock and has not written its name yet
