"""`aetherflow pools`: the slots that steps of many runs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aetherflow.cli.options import FlowOfState, Json, State

pools_app = typer.Typer(
    help="Pools: slots that steps of many runs share.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The pool, as steps name it.")]


@pools_app.command("list")
def list_(*, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """List the pools, who holds their slots, and who waits, in turn."""
    from aetherflow.admin.queries import StateQueries  # noqa: PLC0415 - opens the state database
    from aetherflow.cli.output import print_json, print_text  # noqa: PLC0415 - as above
    from aetherflow.cli.state_access import ask_state  # noqa: PLC0415 - as above

    rows = ask_state(_path(state, flow_yaml), StateQueries.pools)
    if json:
        print_json(rows)
        return
    for row in rows:
        print_text(f"{row.name}  {row.used} of {row.slots} slots held, {len(row.waiting)} waiting")
        for claim in row.held:
            print_text(f"  held    {claim.slots}  {claim.holder} since {claim.granted_at}")
        for claim in row.waiting:
            print_text(f"  waiting {claim.slots}  {claim.holder} since {claim.asked_at}")
    if not rows:
        print_text("there are no pools")


@pools_app.command("set")
def set_(
    name: Name,
    slots: Annotated[int, typer.Argument(metavar="SLOTS", help="How many slots it has.")],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
) -> None:
    """Make a pool, or change its size; who holds slots keeps them."""
    from aetherflow.admin.state_changes import check_slots, set_pools  # noqa: PLC0415 - opens the state database
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above
    from aetherflow.cli.state_access import change_state  # noqa: PLC0415 - as above

    path = _path(state, flow_yaml, must_exist=False)
    check_slots(name, slots)  # before a database is made for it
    change_state(path, lambda database: set_pools(database, {name: slots}))
    print_text(f"the pool {name} has {slots} slot{'' if slots == 1 else 's'} in {path}")


@pools_app.command("remove")
def remove(name: Name, *, state: State = None, flow_yaml: FlowOfState = None) -> None:
    """Remove a pool that nobody uses."""
    from aetherflow.admin.state_changes import remove_pool  # noqa: PLC0415 - opens the state database
    from aetherflow.cli.output import print_text  # noqa: PLC0415 - as above
    from aetherflow.cli.state_access import change_state  # noqa: PLC0415 - as above

    change_state(_path(state, flow_yaml), lambda database: remove_pool(database, name))
    print_text(f"the pool {name} is removed")


def _path(state: Path | None, flow: Path | None, *, must_exist: bool = True) -> Path:
    import os  # noqa: PLC0415 - only here

    from aetherflow.admin.state_path import state_of  # noqa: PLC0415 - as above

    return state_of(state, flow, os.environ, must_exist=must_exist)
