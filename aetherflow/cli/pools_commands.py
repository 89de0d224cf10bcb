"""`aetherflow pools list|set|remove`: list, size and remove the pools of slots that steps share."""

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

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The pool, as steps name it.", autocompletion=completers.pools)
]


def list_pools(*, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """List the pools, the holders of their slots, and the queue."""
    rows = list_of_state(state, flow_yaml, StateQueries.pools)
    if json:
        print_report("pools.list", {"pools": rows})
        return
    for row in rows:
        print_text(f"{row.name}  {row.used} of {row.slots} slots held, {len(row.waiting)} waiting")
        for claim in row.held:
            print_text(f"  held    {claim.slots}  {claim.holder} since {claim.granted_at}")
        for claim in row.waiting:
            print_text(f"  waiting {claim.slots}  {claim.holder} since {claim.asked_at}")
    if not rows:
        print_text("there are no pools")


def set_pool(
    name: Name,
    slots: Annotated[int, typer.Argument(metavar="SLOTS", help="The number of slots.")],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    json: Json = False,
) -> None:
    """Create a pool, or change its size; slots in use stay in use."""
    path = state_path(state, flow_yaml, must_exist=False)
    state_changes.check_slots(name, slots)  # before a database is made for it
    change_state(path, lambda database: state_changes.set_pools(database, {name: slots}))
    if json:
        print_report("pools.set", {"name": name, "slots": slots, "state": path})
        return
    print_text(f"the pool {name} has {slots} slot{'' if slots == 1 else 's'} in {path}")


def remove_pool(
    name: Name, *, state: State = None, flow_yaml: FlowOfState = None, json: Json = False
) -> None:
    """Remove an unused pool."""
    path = state_path(state, flow_yaml)
    change_state(path, lambda database: state_changes.remove_pool(database, name))
    if json:
        print_report("pools.remove", {"name": name, "state": path})
        return
    print_text(f"the pool {name} is removed")
