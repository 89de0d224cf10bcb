"""Lock a bundle for one sync at a time; the kernel releases the file lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import HeldByAnother
from aetherflow.store.process_identity import this_process
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("locks of bundles", 16)

LOOK_SECONDS = 0.05
"""How often a waiting process tries; the kernel's own queue could not be left when the time is up."""


class SyncHolder(msgspec.Struct, frozen=True):
    """The process that syncs, written into the lock file for those who wait."""

    owner: str
    since: str

    def __str__(self) -> str:
        return f"{self.owner} since {self.since}"


@asynccontextmanager
async def exclusive(path: Path, what: str, clock: Clock, wait_seconds: float) -> AsyncIterator[None]:
    """Hold the lock while the block runs.

    Raises:
        HeldByAnother: another process held it for all of `wait_seconds`; the message names it.
    """
    descriptor = await _threads.run(_open_lock_file, path)
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


def _open_lock_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


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
        return str(_holders.decode(os.pread(descriptor, 4096, 0)))
    except msgspec.DecodeError:
        return "another process"  # it has the lock and has not written its name yet
