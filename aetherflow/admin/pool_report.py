"""The pools of a state database, for the commands that show and change them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from aetherflow.admin.queries import change_state, read_state
from aetherflow.cli_hints import state_option
from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother, UsageError
from aetherflow.store import pools as room
from aetherflow.store.pools import PoolRow

MOST_SLOTS = 1_000_000


def pools(path: Path) -> list[PoolRow]:
    """Return the pools, who holds their slots and who waits for some."""
    return read_state(path, lambda raw: room.list_pools(raw, SystemClock().now()))


def set_pools(path: Path, sizes: Mapping[str, int]) -> None:
    """Make pools, or change their sizes.

    Raises:
        UsageError: a size makes no sense.
    """
    for name, slots in sizes.items():
        if not 1 <= slots <= MOST_SLOTS:
            raise UsageError(f"pool {name}: {slots} slots; it has at least 1 and at most {MOST_SLOTS}")

    def work(raw: sqlite3.Connection) -> None:
        for name, slots in sizes.items():
            room.set_pool(raw, name, slots, SystemClock().now())

    change_state(path, work)


def remove_pool(path: Path, name: str) -> None:
    """Remove a pool that nobody uses.

    Raises:
        UsageError: there is none of that name.
        HeldByAnother: steps hold slots of it or wait for some.
    """
    found = {pool.name: pool for pool in pools(path)}.get(name)
    if found is None:
        raise UsageError(
            f"there is no pool {name!r} in {path}",
            hint=f"aetherflow pools list {state_option(path)} shows what there is",
        )
    if found.held or found.waiting:
        who = (*found.held, *found.waiting)[0].holder
        raise HeldByAnother(
            f"the pool {name!r} is in use by {who}",
            hint=f"wait for it to end: aetherflow pools list {state_option(path)}",
            code="AF643",
        )
    change_state(path, lambda raw: room.remove_pool(raw, name))
