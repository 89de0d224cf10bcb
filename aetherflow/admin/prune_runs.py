"""Delete old runs from a state database, with the logs of their steps, while other runs continue."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import HeldByAnother, StateError, UsageError
from aetherflow.run_ids import folder_name
from aetherflow.sdk.removal import remove_tree
from aetherflow.store import lease as leases
from aetherflow.store import run_deletion as rows
from aetherflow.store.alerts import delete_old_alerts
from aetherflow.store.backfills import delete_old_backfills
from aetherflow.store.database import Database
from aetherflow.store.filesystem import FULL_BYTES, free_bytes, logs_beside
from aetherflow.store.firings import delete_firings, old_firings
from aetherflow.store.lease import Lease, LeaseHolder
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_deletion import OldRun
from aetherflow.store.sqlite_errors import is_mounted_read_only
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("pruning", 4)

T = TypeVar("T")

REST_SECONDS = 0.005
"""The pause after each transaction, in which running flows can write to the database."""

RUNS_AT_ONCE = 100
LEASE = "prune"
LEASE_SECONDS = 60.0


class Pruned(msgspec.Struct, frozen=True):
    """What a prune deleted, or would delete.

    Attributes:
        free_bytes: space in the database file that new runs will use; the file itself does not shrink.
        problems: log folders that could not be removed.
    """

    runs: list[OldRun]
    dry_run: bool
    free_bytes: int
    problems: list[str]


async def prune(
    path: Path,
    *,
    keep_days: int | None,
    keep_runs: int | None,
    dry_run: bool = False,
    clock: Clock | None = None,
) -> Pruned:
    """Delete the runs that neither rule keeps.

    Raises:
        UsageError: no rule is given.
        HeldByAnother: another process prunes this database.
        StateError: the database cannot be used.
    """
    if keep_days is None and keep_runs is None:
        raise UsageError("say which runs to keep: --keep-days N, --keep-runs N, or both")
    clock = clock or SystemClock()
    before = None if keep_days is None else clock.now() - timedelta(days=keep_days)
    try:
        return await _prune_database(path, before, keep_runs, clock, dry_run=dry_run)
    except StateError as error:
        free = free_bytes(path)
        if free is None or free >= FULL_BYTES or is_mounted_read_only(path):
            raise
        by_hand = f"the content of the *.log files below {logs_beside(path)} may be deleted by hand"
        hint = "; ".join(filter(None, (error.hint, by_hand)))
        raise type(error)(error.message, hint=hint, code=error.code) from None


async def _prune_database(
    path: Path, before: datetime | None, keep_runs: int | None, clock: Clock, *, dry_run: bool
) -> Pruned:
    database = await Database.open(path)
    try:
        old = await database.read(partial(rows.old_runs, before=before, keep=keep_runs))
        if dry_run:
            return Pruned(old, dry_run, 0, [])
        return await _Prune(database, await _take_lease(database, clock), clock).run(old, before)
    finally:
        await database.aclose()


async def _take_lease(database: Database, clock: Clock) -> Lease:
    """Take the lease of pruning: two prunes at once could remove the logs of a new run."""
    owner = this_process()
    taken = await database.transact(
        lambda raw: leases.acquire(
            raw, LEASE, owner, "runs prune", now=clock.now(), ttl_seconds=LEASE_SECONDS
        )
    )
    if isinstance(taken, LeaseHolder):
        raise HeldByAnother(
            f"{database.path} is being pruned by {taken.owner} since {taken.acquired_at}",
            hint="wait until it has ended",
        )
    return taken


class _Prune:
    """One prune in progress."""

    def __init__(self, database: Database, lease: Lease, clock: Clock) -> None:
        self._database = database
        self._lease = lease
        self._clock = clock
        self._owner = this_process()
        self._problems: list[str] = []

    async def run(self, old: Sequence[OldRun], before: datetime | None) -> Pruned:
        """Delete leftovers of an earlier prune, then these runs, then firings that ended before `before`."""
        deleted: list[OldRun] = []
        try:
            await self._delete(await self._database.read(rows.hidden_runs))
            for first in range(0, len(old), RUNS_AT_ONCE):
                some = old[first : first + RUNS_AT_ONCE]
                marked = await self._change(
                    partial(rows.hide, runs=some, owner=self._owner, now=self._clock.now())
                )
                await self._delete([run.run_id for run in marked])
                deleted += marked
            if before is not None:
                ids = await self._database.read(partial(old_firings, before=before))
                for first in range(0, len(ids), rows.BATCH_ROWS):
                    some_ids = ids[first : first + rows.BATCH_ROWS]
                    await self._change(partial(delete_firings, ids=some_ids, before=before))
                await self._change(partial(delete_old_alerts, before=before))
                await self._change(partial(delete_old_backfills, before=before))
        finally:
            await self._database.transact(lambda raw: leases.release(raw, self._lease, self._clock.now()))
        free = await self._database.read(rows.free_bytes)
        return Pruned(deleted, dry_run=False, free_bytes=free, problems=self._problems)

    async def _delete(self, run_ids: Sequence[str]) -> None:
        """Delete rows and logs of runs marked for deletion; delete the mark last, as it blocks their ids."""
        while await self._change(partial(rows.delete_rows, run_ids=run_ids)) == rows.BATCH_ROWS:
            pass
        logs = logs_beside(self._database.path)
        for run_id in run_ids:
            self._problems += await _threads.run(_remove, logs, run_id)
        await self._change(partial(rows.free_run_ids, run_ids=run_ids, now=self._clock.now()))

    async def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in a transaction, unless another process has taken the lease; then pause for others."""

        def guarded(raw: sqlite3.Connection) -> T:
            if not leases.renew(raw, self._lease, self._clock.now()):
                raise HeldByAnother(
                    f"another process prunes {self._database.path} by now; this one was paused, and stops"
                )
            return work(raw)

        result = await self._database.transact(guarded)
        await self._clock.sleep(REST_SECONDS)
        return result


def _remove(logs: Path, run_id: str) -> list[str]:
    """Remove the folder of a run; return a sentence if it could not be removed."""
    folder = logs / folder_name(run_id)
    if Path(run_id).parts != (run_id,) or run_id == "..":  # a database may come from anywhere
        return [f"cannot delete the logs of {run_id!r}: its id is no name of a folder"]
    if folder.is_symlink():
        return [f"cannot delete {folder}: it is a symbolic link"]
    try:
        remove_tree(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"cannot delete {folder}: {error.strerror or error}"]
    return []
