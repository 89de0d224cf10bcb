"""`aetherflow scheduler backfill|backfills|cancel`: run the past ticks of an item, and watch or end that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
import typer

from aetherflow.cli import completers
from aetherflow.cli.item_words import local_time, wrong_file
from aetherflow.cli.options import Json, ParamsOfItem, SchedulerFile, StateOfScheduler, split_param
from aetherflow.cli.printing import print_line, print_note
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import State, ask_state, change_state, state_path
from aetherflow.cli_hints import state_option
from aetherflow.clock import SystemClock
from aetherflow.observe.event_text import one_line
from aetherflow.observe.time_words import in_zone
from aetherflow.server.backfill_request import BackfillRequest, end_backfill, request_backfill
from aetherflow.server.this_person import this_person

if TYPE_CHECKING:
    from aetherflow.server.backfill_status import BackfillStatus


def backfill_item(
    *,
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM", help="The id of the item, or FILE_ID/ITEM.", autocompletion=completers.items
        ),
    ],
    begin: Annotated[str, typer.Option("--from", metavar="DATE[TIME]", help="The beginning of the period.")],
    end: Annotated[
        str, typer.Option("--to", metavar="DATE[TIME]", help="The end of the period (exclusive).")
    ],
    only: Annotated[
        Literal["missing", "failed", "all"],
        typer.Option(
            "--only",
            help="missing: ticks that did not run; failed: those that failed or were cancelled; all: both.",
        ),
    ] = "missing",
    parallel: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Run so many at once, apart from max_instances; default: share it."
        ),
    ] = None,
    param: ParamsOfItem = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the ticks, and request nothing.")] = False,
    file: SchedulerFile = None,
    state: StateOfScheduler = None,
    json: Json = False,
) -> None:
    """Run the past ticks of an item. Its servers do so, oldest first; what succeeded is never repeated."""
    params = [split_param(text) for text in param or []]
    request = BackfillRequest(item, begin, end, only, parallel, params, dry_run)
    plan = anyio.run(request_backfill, request, file, state)
    if plan.problem:
        print_note(wrong_file(plan.problem))
    if json:
        print_report("scheduler.backfill", plan)
        return
    for tick in plan.ticks if dry_run else []:
        print_line(local_time(tick, plan.zone))
    what = f"{plan.item}: {len(plan.ticks)} ticks to run"
    what += f", {plan.succeeded} succeeded" if plan.succeeded else ""
    what += (
        f", {plan.excluded} excluded (they run or wait now, or are not of --only {only})"
        if plan.excluded
        else ""
    )
    what += f", {plan.closed} left out by its calendar" if plan.closed else ""
    print_line(what)
    if plan.held:
        print_note(one_line(f"{plan.item} is {plan.held}; its backfill starts after that"))
    if plan.backfill:
        print_line(f"backfill {plan.backfill} was accepted")
        print_note(f"aetherflow scheduler backfills {state_option(plan.state)} shows how far it is")


def list_backfills(*, state: State = None, json: Json = False) -> None:
    """Show the backfills. How many ticks succeeded, failed, run and are left."""
    found = ask_state(state_path(state, None), lambda ask: ask.backfills())
    if json:
        print_report("scheduler.backfills", {"backfills": found})
        return
    if not found:
        print_note("there is no backfill")
    for one in found:
        print_line(f"{one.backfill}  {described(one)}")


def cancel_backfill(
    backfill: Annotated[
        str,
        typer.Argument(metavar="BACKFILL", help="The id of a backfill.", autocompletion=completers.backfills),
    ],
    *,
    state: State = None,
    json: Json = False,
) -> None:
    """Cancel a backfill. What waits does not start, and what runs is cancelled."""
    change = partial(end_backfill, name=backfill, by=this_person(), now=SystemClock().now())
    ended = change_state(state_path(state, None), lambda database: database.transact(change))
    if json:
        print_report("scheduler.cancel", {"backfill": ended.backfill, "item": ended.item_id})
        return
    print_line(f"backfill {ended.backfill} of {ended.item_id}: cancelled")


def described(one: BackfillStatus) -> str:
    """Return a backfill in one line, with times on the clocks of its item."""
    period = f"{local_time(one.begin, one.zone)} to {local_time(one.end, one.zone)}"
    why = f"; {in_zone(one.reason, one.zone)}" if one.reason else ""
    return f"{one.item}  {period}  {one.state}: {one.counts} (by {one.requested_by}){why}"
