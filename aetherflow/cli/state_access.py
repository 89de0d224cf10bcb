"""One event loop for each command that looks at, or changes, a state database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import anyio

from aetherflow.admin.queries import StateQueries, open_queries
from aetherflow.store.database import Database

T = TypeVar("T")


def ask_state(path: Path, ask: Callable[[StateQueries], Awaitable[T]]) -> T:
    """Return what `ask` reads from a state database, also from one that cannot be written.

    Raises:
        StateError: it cannot be read.
    """

    async def asked() -> T:
        async with open_queries(path) as queries:
            return await ask(queries)

    return anyio.run(asked)


def newest_time(path: Path) -> datetime | None:
    """Return the latest time that a state database knows.

    Raises:
        StateError: it cannot be read.
    """
    return ask_state(path, StateQueries.newest_time)


def change_state(path: Path, change: Callable[[Database], Awaitable[T]]) -> T:
    """Return what `change` returns, which works on a state database that is made if there is none.

    Raises:
        StateError: it cannot be used.
    """

    async def changed() -> T:
        database = await Database.open(path)
        try:
            return await change(database)
        finally:
            await database.aclose()

    return anyio.run(changed)
