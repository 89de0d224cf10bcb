"""`aetherflow runs diff A B`: how two runs differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from aetherflow.admin.queries import StateQueries
from aetherflow.admin.run_diff import ABSENT, Changed, PartDiff, RunDiff, diff_runs
from aetherflow.admin.run_history import RunHistory
from aetherflow.cli import completers
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_line
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import FlowOfState, State, ask_state, state_path
from aetherflow.observe.event_text import duration, shortened
from aetherflow.store.run_list import ListedRun

MOST_PARTS = 50
"""How many jobs and steps are printed; --json has all of them."""
VALUE_WIDTH = 30

_RUN = "The id of a run, or the beginning of it."


def diff_two_runs(
    a: Annotated[str, typer.Argument(metavar="A", help=_RUN, autocompletion=completers.runs)],
    b: Annotated[str, typer.Argument(metavar="B", help=_RUN, autocompletion=completers.runs)],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    json: Json = False,
) -> None:
    """Show how two runs differ: params, flow, jobs and steps."""

    async def both(ask: StateQueries) -> tuple[RunHistory, RunHistory]:
        return await ask.run_history(a), await ask.run_history(b)

    found = diff_runs(*ask_state(state_path(state, flow_yaml), both))
    if json:
        print_report("runs.diff", found)
        return
    for line in _lines(found):
        print_line(line)


def _lines(found: RunDiff) -> Iterator[str]:
    yield f"A  {_run(found.a)}"
    yield f"B  {_run(found.b)}"
    if found.a.flow_id != found.b.flow_id:
        yield f"  they are runs of two flows: {found.a.flow_id} and {found.b.flow_id}"
    elif found.is_other_flow:
        yield "  the flow file was changed between them"
    for one in found.params:
        yield f"  param {_changed(one)}"
    width = max((len(one.name) for one in found.parts[:MOST_PARTS]), default=0)
    for part in found.parts[:MOST_PARTS]:
        yield f"  {part.name:<{width}}  {_part(part)}"
        if part.a_status != part.b_status:
            yield from (f"      {run}: {error}" for run, error in _errors(part))
        for output in part.outputs:
            yield f"      output {_changed(output)}"
    if (more := len(found.parts) - MOST_PARTS) > 0:
        yield f"  ... {more} more; --json has them"
    differ = "differ" if found.parts else "no job or step differs"
    count = f"{len(found.parts)} jobs and steps {differ}" if found.parts else differ
    yield f"  {count}, {found.same} are the same"


def _run(run: ListedRun) -> str:
    took = "" if run.duration_seconds is None else f", took {duration(run.duration_seconds)}"
    return f"{run.run_id} of {run.flow_id}: {run.status}, started {run.started_at[:19]}Z{took}"


def _part(part: PartDiff) -> str:
    words = []
    if part.a_status != part.b_status:
        words.append(f"{part.a_status or 'did not run'} -> {part.b_status or 'did not run'}")
    if part.is_other_time and part.a_seconds is not None and part.b_seconds is not None:
        words.append(f"{duration(part.a_seconds)} -> {duration(part.b_seconds)}")
    return ", ".join(words) or "other outputs"


def _errors(part: PartDiff) -> list[tuple[str, str]]:
    both = (("A", part.a_error, part.a_status), ("B", part.b_error, part.b_status))
    return [(run, error) for run, error, status in both if error and status != ABSENT]


def _changed(one: Changed) -> str:
    return f"{one.name}: {_value(one.a)} -> {_value(one.b)}"


def _value(value: Any) -> str:
    """Return a value as JSON in few characters; `-` if there is none."""
    if value is None:
        return "-"
    return shortened(msgspec.json.encode(value).decode(), VALUE_WIDTH)
