"""`aetherflow runs prune`: delete old runs from the state database, and their logs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio
import typer

from aetherflow import exit_codes
from aetherflow.admin.prune_runs import prune
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, state_path
from aetherflow.observe.event_text import one_line


def prune_runs(
    *,
    keep_days: Annotated[
        int | None,
        typer.Option(min=0, max=36500, metavar="N", help="Keep runs that ended in the last N days."),
    ] = None,
    keep_runs: Annotated[
        int | None,
        typer.Option(
            min=0, max=1_000_000_000, metavar="N", help="Keep the newest N ended runs of each flow."
        ),
    ] = None,
    state: State = None,
    flow_yaml: FlowOfState = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted.")] = False,
    json: Json = False,
) -> int:
    """Delete old runs, except those that an option keeps. Their logs too; other runs may be active."""
    path = state_path(state, flow_yaml)
    done = anyio.run(partial(prune, path, keep_days=keep_days, keep_runs=keep_runs, dry_run=dry_run))
    code = exit_codes.FAILURE if done.problems else exit_codes.SUCCESS
    if json:
        print_report("runs.prune", done, code=code)
    else:
        width = max((len(run.run_id) for run in done.runs), default=0)
        if done.runs:
            print_text(f"{'ENDED':<20}  {'STATUS':<11}  {'RUN':<{width}}  FLOW")
        for run in done.runs:
            print_text(f"{run.ended_at[:19]}Z  {run.status:<11}  {run.run_id:<{width}}  {run.flow_id}")
        number = "1 run" if len(done.runs) == 1 else f"{len(done.runs)} runs"
        print_text(f"{number} would be deleted" if dry_run else f"{number} deleted")
        if done.runs and not dry_run:
            print_text(f"{done.free_bytes / 1e6:.1f} MB of {path} are free for new runs")
    for problem in done.problems:
        print_note(f"warning: {one_line(problem)}")
    return code
