"""`aetherflow runs retry`: resume a run, with its flow file as it is on disk now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aetherflow.admin.queries import RetryTarget
from aetherflow.admin.state_path import find_state_path
from aetherflow.cli import completers
from aetherflow.cli.flow_source import bundle_in_use
from aetherflow.cli.observers import ShowOptions
from aetherflow.cli.options import (
    AllowStale,
    Debug,
    Events,
    ExecutorName,
    Json,
    LogFormat,
    MetricsFile,
    Params,
    ParamsFile,
    Plain,
)
from aetherflow.cli.printing import print_note
from aetherflow.cli.run import execute, given_params, print_warnings
from aetherflow.cli.state_access import State, ask_state
from aetherflow.errors import UsageError
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.run_output import run_output
from aetherflow.runs.run_request import RunRequest
from aetherflow.working_directory import absolute, working_directory_name

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle


def retry_run(
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="The id of a run, or its beginning; default: the last run that did not succeed.",
            autocompletion=completers.unfinished,
        ),
    ] = "",
    state: State = None,
    flow_yaml: Annotated[
        Path | None,
        typer.Option("--flow-yaml", metavar="FLOW", help="The flow file, and its state database."),
    ] = None,
    begin_at: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="JOB[.STEP]",
            help="Run this job or step again, and all that follow it; repeatable.",
            autocompletion=completers.jobs_and_steps_of_run,
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            metavar="JOB",
            help="Run this job again, with all its steps, and no other.",
            autocompletion=completers.jobs_of_run,
        ),
    ] = "",
    with_downstream: Annotated[
        bool, typer.Option("--with-downstream", help="With --only: also the jobs that follow it.")
    ] = False,
    param: Params = None,
    params_file: ParamsFile = None,
    executor: ExecutorName = "",
    events: Events = "",
    log_format: LogFormat = "",
    plain: Plain = False,
    allow_stale_bundle: AllowStale = False,
    metrics_file: MetricsFile = "",
    debug: Debug = False,
    json: Json = False,
) -> int:
    """Resume a run, with its flow file as it is now."""
    _check(begin_at or [], only, with_downstream=with_downstream)
    events = events if events in ("", "-") else str(absolute(Path(events)))
    show = ShowOptions(events, log_format, debug, json, metrics_file, plain)
    params_file = absolute(params_file) if params_file else None
    database = find_state_path(state, flow_yaml if state is None else None, os.environ, warn=print_note)
    flow_id = _flow_id(flow_yaml) if flow_yaml else ""
    found = ask_state(database, lambda ask: ask.retry_target(run, flow_id))
    named = absolute(flow_yaml) if flow_yaml else None
    with run_output(), _flow_in_use(found, named, allow_stale=allow_stale_bundle) as (file, bundle):
        checked = load_checked_flow(file, os.environ, bundle, executor=executor)
        checked.raise_if_invalid()
        print_warnings(checked, plugins_too=False)
        request = RunRequest(
            run_id=found.run_id,
            flow_job="" if only else found.flow_job,
            params=given_params(checked, params_file, param or []),
            rerun=tuple(begin_at or ()),
            rerun_option="--from",
            only=only,
            with_downstream=with_downstream,
            state=database,
            show_traces=debug,
            traceparent=os.environ.get("TRACEPARENT", ""),
            tracestate=os.environ.get("TRACESTATE", ""),
        )
        print_note(f"resuming run {found.run_id} of {checked.plan.flow_id} with {file}")
        return execute("runs.retry", checked, request, show)


def _check(begin_at: list[str], only: str, *, with_downstream: bool) -> None:
    if begin_at and only:
        raise UsageError(
            "give --from or --only, not both", hint="--only JOB --with-downstream is both in one"
        )
    if with_downstream and not only:
        raise UsageError("--with-downstream belongs to --only JOB", hint="--from includes what follows")


def _flow_id(flow: Path) -> str:
    checked = load_checked_flow(flow, os.environ)
    checked.raise_if_guessed()
    return checked.plan.flow_id


@contextmanager
def _flow_in_use(
    found: RetryTarget, named: Path | None, *, allow_stale: bool
) -> Iterator[tuple[Path, OpenBundle | None]]:
    """Give the flow file of a run, or the named one instead; change to the folder where the run began."""
    file = named or Path(found.flow_file)
    if found.directory and found.directory != working_directory_name():
        file = Path(found.directory) / file
        if Path(found.directory).is_dir():
            os.chdir(found.directory)  # relative paths of the flow mean what they meant
    if found.bundle is None or named is not None:
        yield file, None
        return
    with bundle_in_use(Path(found.bundle.manifest), allow_stale=allow_stale, warn=False) as bundle:
        in_bundle = bundle.root / found.bundle.flow
        # flow_file raises, with the names of the flows that there are
        yield in_bundle if in_bundle.is_file() else bundle.flow_file(Path(found.bundle.flow)), bundle
