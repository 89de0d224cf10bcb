"""`aetherflow locks list|release`: list the locks that steps hold, and release one."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.admin import state_changes
from aetherflow.admin.queries import StateQueries
from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, change_state, list_of_state, state_path
from aetherflow.observe.event_text import one_line

_WAS = {
    "dead": "whose process has ended",
    "expired": "whose lease had expired",
    "live": "which loses it at its next renewal",
}
_HELD_IN_VAIN = {
    "dead": "; that process has ended: the next step that requests the lock gets it",
    "expired": "; that lease has expired: the next step that requests the lock gets it",
}


def list_locks(*, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """List the locks that are held."""
    rows = list_of_state(state, flow_yaml, StateQueries.locks)
    if json:
        print_report("locks.list", {"locks": rows})
        return
    for row in rows:
        print_text(
            f"{row.lock_key}  held by {row.holder} ({row.process}) since {row.acquired_at}, "
            f"until {row.expires_at}{_HELD_IN_VAIN.get(row.validity, '')}"
        )
    if not rows:
        print_text("no locks are held")


def release_lock(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="The lock, as `locks list` names it.", autocompletion=completers.locks
        ),
    ],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also take it from a living holder, whose work is stopped.")
    ] = False,
    json: Json = False,
) -> None:
    """Release a lock whose holder has died or whose lease has expired."""
    found = change_state(
        state_path(state, flow_yaml), lambda database: state_changes.release_lock(database, key, force=force)
    )
    if json:
        print_report("locks.release", found)
        return
    who = f"{one_line(found.holder)} ({found.owner}) since {found.since}"
    print_text(f"released the lock {one_line(key)}; it was held by {who}, {_WAS[found.was]}")
