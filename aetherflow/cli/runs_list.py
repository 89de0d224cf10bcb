"""`aetherflow runs list`: the newest runs, with what fired them and why they failed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from aetherflow.admin.queries import StateQueries
from aetherflow.cli import completers
from aetherflow.cli.options import Json, split_param
from aetherflow.cli.printing import print_line, print_note, print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, history_path, say_no_runs
from aetherflow.clock import SystemClock
from aetherflow.errors import UsageError
from aetherflow.observe.event_text import duration
from aetherflow.schedule.instant_text import parse_past
from aetherflow.store.run_list import FiredBy, ListedRun
from aetherflow.store.run_rows import RunFilter

STATUSES = ("RUNNING", "SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED")


def list_runs(
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    flow: Annotated[
        str,
        typer.Option(
            metavar="ID", help="Only runs of the flow with this id.", autocompletion=completers.flow_ids
        ),
    ] = "",
    item: Annotated[
        str,
        typer.Option(metavar="ITEM", help="Only runs that this item fired: its id, or FILE_ID/ITEM."),
    ] = "",
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS",
            help="Only runs with this status; repeatable.",
            autocompletion=completers.statuses,
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Only runs that started since: a date, an instant, yesterday, 36h, 7d."
        ),
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Only runs that started before; in UTC if it has no offset.")
    ] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="Only runs with this value of a parameter; repeatable."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="Show at most N runs, the newest first.")
    ] = 20,
    json: Json = False,
) -> None:
    """List the newest runs."""
    wanted = RunFilter(
        flow_id=flow,
        item=item,
        statuses=tuple(_status(one) for one in status or () if one),
        since=_time(since),
        until=_time(until),
        params=dict(map(split_param, param or ())),
    )
    if wanted.since is not None and wanted.until is not None and wanted.until <= wanted.since:
        raise UsageError("--until is not later than --since", hint="give an instant after --since")
    path = history_path(state, flow_yaml)
    found = [] if path is None else ask_state(path, lambda ask: ask.listed_runs(wanted, limit))
    if json:
        print_report("runs.list", {"runs": found})
    elif path is None:
        say_no_runs(flow_yaml)
    elif not found:
        print_text("there are no runs yet" if wanted == RunFilter() else "no runs fit these options")
        if ask_state(path, StateQueries.has_runs_elsewhere):
            print_note(
                "items have started runs that are not in this database: their flows have another "
                "(aetherflow runs list --flow-yaml FLOW), or they were pruned"
            )
    else:
        _print_runs(found)
        if len(found) == limit:
            print_note(f"the newest {limit}; --limit shows more")


def _status(text: str) -> str:
    if text.upper() not in STATUSES:
        raise UsageError(f"--status {text}: there is no such status", hint=f"one of {', '.join(STATUSES)}")
    return text.upper()


def _time(text: str) -> datetime | None:
    return parse_past(text, ZoneInfo("UTC"), SystemClock().now()) if text else None


def _print_runs(runs: list[ListedRun]) -> None:
    run_width = max(3, *(len(run.run_id) for run in runs))
    flow_width = max(4, *(len(run.flow_id) for run in runs))
    columns = f"{'STARTED':<20}  {'STATUS':<11}  {'TOOK':>12}  {'RUN':<{run_width}}"
    print_text(f"{columns}  {'FLOW':<{flow_width}}  FIRED BY")
    for run in runs:
        took = "-"  # of an interrupted run only its last event is known, not when it died
        if run.duration_seconds is not None and run.status != "INTERRUPTED":
            took = duration(run.duration_seconds)
        by = "-" if run.fired_by is None else fired_by(run.fired_by)
        print_line(
            f"{run.started_at[:19]}Z  {run.status:<11}  {took:>12}  "
            f"{run.run_id:<{run_width}}  {run.flow_id:<{flow_width}}  {by}"
        )
        if reason := _reason(run):
            print_line(f"    {reason}")


def fired_by(firing: FiredBy) -> str:
    """Return the item of a run and its tick, in words: `nightly, tick 2026-11-29T02:30:00Z`."""
    cause = "tick" if firing.cause == "tick" else f"{firing.cause.replace('_', ' ')},"
    return f"{firing.item}, {cause} {firing.scheduled_at[:19]}Z"


def _reason(run: ListedRun) -> str:
    """Return why a run ended as it did: its own reason, else its first failure."""
    if run.reason or not run.failed_step:
        return run.reason
    code = f"{run.failure_code}: " if run.failure_code else ""
    return f"{run.failed_step}: {code}{run.failure}"
