"""Open the state database that a command reads or changes, by its options, and run the async work."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import anyio
import typer

from aetherflow.admin.queries import StateQueries, open_queries
from aetherflow.admin.state_path import find_state_path, named_state_path
from aetherflow.cli.printing import print_line, print_note
from aetherflow.errors import UsageError
from aetherflow.store.database import Database
from aetherflow.store.filesystem import is_missing
from aetherflow.store.old_database import old_beside

T = TypeVar("T")

State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The state database; default: the one in AETHERFLOW_STATE_ROOT."),
]
FlowOfState = Annotated[
    Path | None, typer.Option("--flow-yaml", metavar="FLOW", help="Use the state database of this flow.")
]


def state_path(
    state: Path | None, flow: Path | None, *, must_exist: bool = True, may_guess: bool = False
) -> Path:
    """Return the path of the state database that the options name.

    With `may_guess`, a flow file that is wrong is read as it was probably meant, with a warning.

    Raises:
        UsageError: both were given.
        StateUnusable: the file does not exist, but must.
    """
    if state is not None and flow is not None:
        raise UsageError("give --state or --flow-yaml, not both")
    return find_state_path(
        state, flow, os.environ, must_exist=must_exist, may_guess=may_guess, warn=print_note
    )


def history_path(state: Path | None, flow: Path | None, named: str = "") -> Path | None:
    """Return the path of the state database that the options name; None if nothing has run yet.

    A database that `--state` names must exist, and one that has the run `named`.

    Raises:
        UsageError: both were given.
        StateUnusable: the file does not exist, but must; or only one of AetherFlow 0.0 exists.
    """
    path = state_path(state, flow, must_exist=state is not None or bool(named), may_guess=True)
    if not is_missing(path):
        return path
    if state is None and not named and not old_beside(path):
        return None
    return state_path(state, flow)


def named_state(path: Path) -> Path | str:
    """Return the database as a command in a hint names it; empty if the command finds it without."""
    return named_state_path(path, os.environ)


def list_of_state(
    state: Path | None, flow: Path | None, ask: Callable[[StateQueries], Awaitable[list[T]]]
) -> list[T]:
    """Return what `ask` lists from the state database that the options name; nothing if nothing has run yet.

    Raises:
        StateError: it cannot be read, or does not exist although `--state` names it.
    """
    path = history_path(state, flow)
    return [] if path is None else ask_state(path, ask)


def say_no_runs(flow: Path | None) -> None:
    """Print that nothing has run yet: it is no error."""
    what = "nothing has run here" if flow is None else f"{flow} has not run"
    print_line(f"there are no runs yet: {what}")


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
    """Call `change` with the state database, created if it does not exist, and return its result.

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
