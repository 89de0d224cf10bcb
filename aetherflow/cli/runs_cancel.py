"""`aetherflow runs cancel`: request the cancellation of a run that another process executes."""

from __future__ import annotations

from typing import Annotated

import typer

from aetherflow.admin import state_changes
from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, change_state, state_path


def cancel_run(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The id of a run, or its beginning.", autocompletion=completers.running
        ),
    ],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has ended.")] = False,
    json: Json = False,
) -> None:
    """Cancel a run that another process executes, as Ctrl-C would."""
    found = change_state(
        state_path(state, flow_yaml), lambda database: state_changes.cancel_run(database, run, wait=wait)
    )
    if json:
        print_report("runs.cancel", found)
        return
    print_text(
        f"run {found.run_id}: cancel requested; {found.executed_by} has executed it since {found.since}"
    )
    if found.status is not None:
        print_text(f"run {found.run_id}: {found.status}")
