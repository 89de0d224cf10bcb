"""`aetherflow state list|show|set|delete`: the high-water marks up to which flows have read."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.admin import state_changes
from aetherflow.admin.queries import StateQueries
from aetherflow.admin.stored_marks import MarkChange
from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, change_state, list_of_state, state_path
from aetherflow.events.marks import MarkUse
from aetherflow.observe.event_text import one_line
from aetherflow.store.marks import MarkRow

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The mark, as `state list` names it.", autocompletion=completers.marks
    ),
]
FlowId = Annotated[
    str,
    typer.Option(
        "--flow", metavar="ID", help="The flow whose mark it is.", autocompletion=completers.flow_ids
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also while a run of the flow is executed, which then moves it no more."),
]


def list_marks(
    *, flow: FlowId = "", state: State = None, flow_yaml: FlowOfState = None, json: Json = False
) -> None:
    """List the marks of all flows, or of one."""
    rows = list_of_state(state, flow_yaml, lambda ask: ask.marks(flow))
    if json:
        print_report("state.list", {"marks": rows})
        return
    for row in rows:
        print_text(_line(row))
    if not rows:
        print_text("there are no marks")


def show_mark(
    name: Name, *, flow: FlowId = "", state: State = None, flow_yaml: FlowOfState = None, json: Json = False
) -> None:
    """Show a mark and the runs that used it."""
    found = ask_state(state_path(state, flow_yaml), lambda ask: StateQueries.mark(ask, name, flow))
    if json:
        print_report("state.show", found)
        return
    print_text(_line(found.mark))
    for move in found.moves:
        use = one_line(str(MarkUse(move.before, move.after)))
        print_text(f"  {move.at[:19]}Z  run {move.run_id}, {move.job_id}.{move.step_id}: {use}")


def set_mark(
    name: Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What it is set to.")],
    *,
    flow: FlowId = "",
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="int, decimal, float, text, date, datetime or binary; default: the type that the mark has.",
        ),
    ] = "",
    force: Force = False,
    state: State = None,
    flow_yaml: FlowOfState = None,
    json: Json = False,
) -> None:
    """Set a mark: the next run starts from there. It reads what is above this value."""
    path = state_path(state, flow_yaml, must_exist=False)
    written = (value, type_.lower())
    changed = change_state(path, lambda db: state_changes.change_mark(db, name, flow, written, force=force))
    if json:
        print_report("state.set", changed)
        return
    now = one_line(changed.now.shown) if changed.now else ""
    print_text(
        f"the mark {one_line(name)} of {changed.flow_id} is {now}{_was(changed)}{_other_type(changed)}"
    )


def delete_mark(
    name: Name,
    *,
    flow: FlowId = "",
    force: Force = False,
    state: State = None,
    flow_yaml: FlowOfState = None,
    json: Json = False,
) -> None:
    """Delete a mark: the next run starts from the beginning."""
    path = state_path(state, flow_yaml)
    changed = change_state(path, lambda db: state_changes.change_mark(db, name, flow, None, force=force))
    if json:
        print_report("state.delete", changed)
        return
    print_text(f"the mark {one_line(name)} of {changed.flow_id} is deleted{_was(changed)}")


def _line(row: MarkRow) -> str:
    who = f"set by {row.set_by}" if row.set_by else f"run {row.run_id}, {row.job_id}.{row.step_id}"
    name, value = one_line(row.name), one_line(row.value) or "''"
    return f"{row.flow_id}  {name}  {value} ({row.type})  {row.moved_at[:19]}Z  {who}"


def _was(changed: MarkChange) -> str:
    return "" if changed.was is None else f"; it was {one_line(changed.was.shown)}"


def _other_type(changed: MarkChange) -> str:
    """Return a caution if the mark has another type now: a database may then find no row and no error."""
    was, now = changed.was, changed.now
    if was is None or now is None or now.fits(was):
        return ""
    types = f"it was of the type {was.type}, now {now.type}"
    return f"\ncaution: {types}; if the column is not, rows may be left out"
