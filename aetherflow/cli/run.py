"""`aetherflow run`: run a flow in the foreground, or resume a run of it."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import asdict

from aetherflow.cli import completers
from aetherflow.cli.flow_source import flow_source
from aetherflow.cli.metrics_options import metrics_file as adding_metrics
from aetherflow.cli.observers import ShowOptions, chosen_observers, print_lost_output
from aetherflow.cli.options import (
    AllowStale,
    BundleManifest,
    Debug,
    Events,
    ExecutorName,
    Flow,
    FlowOption,
    Json,
    LogFormat,
    MetricsFile,
    Params,
    ParamsFile,
    Plain,
    split_param,
)
from aetherflow.cli.printing import count, print_note, print_text
from aetherflow.cli_hints import events_command
from aetherflow.config.param_values import list_of
from aetherflow.config.params import as_options, missing_params
from aetherflow.errors import StateError, UsageError
from aetherflow.event_loop import run_loop
from aetherflow.runs.execute_run import run_flow
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.params_file import read_params_file
from aetherflow.runs.run_output import run_output
from aetherflow.runs.run_request import RunRequest, check_run_id

if TYPE_CHECKING:
    from aetherflow.engine.resume import ResumePlan
    from aetherflow.store.marks import MarkRow


def run(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            help="The id of the run: letters, digits, . _ - : +; that of an earlier run resumes it.",
            metavar="ID",
            autocompletion=completers.runs_of_flow,
        ),
    ] = None,
    flow_job: Annotated[
        str | None,
        typer.Option(
            help="Run only this job, and the jobs it waits for.",
            metavar="JOB",
            autocompletion=completers.jobs,
        ),
    ] = None,
    param: Params = None,
    params_file: ParamsFile = None,
    rerun: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this job or step again, and all that follow it; repeatable.",
            metavar="JOB[.STEP]",
            autocompletion=completers.jobs_and_steps,
        ),
    ] = None,
    executor: ExecutorName = "",
    events: Events = "",
    log_format: LogFormat = "",
    plain: Plain = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the flow, show what would run, run nothing.")
    ] = False,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    metrics_file: MetricsFile = "",
    debug: Debug = False,
    json: Json = False,
) -> int:
    """Run a flow, or resume an earlier run of it."""
    show = ShowOptions(events, log_format, debug, json, metrics_file, plain)
    source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    _check(run_id, flow_job, rerun or [])
    with run_output(), source.in_use(warn=dry_run) as (file, bundle):
        checked = load_checked_flow(file, os.environ, bundle, executor=executor)
        checked.raise_if_invalid()
        print_warnings(checked, plugins_too=dry_run)
        request = RunRequest(
            run_id=run_id or "",
            flow_job=flow_job or "",
            params=given_params(checked, params_file, param or []),
            rerun=tuple(rerun or ()),
            show_traces=debug,
            traceparent=os.environ.get("TRACEPARENT", ""),
            tracestate=os.environ.get("TRACESTATE", ""),
        )
        if dry_run:
            return _print_plan(file, checked, request, show)
        gc.freeze()  # the plan stays; the collector need not look at it again and again
        gc.enable()
        return execute("run", checked, request, show)


def _check(run_id: str | None, flow_job: str | None, rerun: list[str]) -> None:
    """Refuse options that make no sense, before anything is read.

    Raises:
        UsageError: the first one that is wrong.
    """
    if flow_job == "":
        raise UsageError("--flow-job is empty", hint="name a job, or leave the option out to run them all")
    if run_id is not None:
        check_run_id(run_id)
    elif rerun:
        raise UsageError("--rerun needs the run to resume", hint="add --run-id ID")


def print_warnings(checked: CheckedFlow, *, plugins_too: bool) -> None:
    """Print the warnings about a flow; a run reports those about plugins itself."""
    broken = checked.registry.diagnostics
    for warning in checked.diagnostics:
        if plugins_too or warning not in broken:
            print_note(str(warning))


def given_params(checked: CheckedFlow, file: Path | None, texts: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of `--params-file` and `--param`; the latter win.

    A parameter of type list may be given several times: each adds its items.

    Raises:
        InvalidInput: the file is wrong.
        UsageError: a text is not `NAME=VALUE`.
    """
    specs = checked.plan.flow.params
    given: dict[str, Any] = {}
    for text in texts:
        name, value = split_param(text)
        if name in given and name in specs and specs[name].type == "list":
            given[name] = [*list_of(given[name]), *list_of(value)]
        else:
            given[name] = value
    return (read_params_file(file, specs) if file is not None else {}) | given


def execute(command: str, checked: CheckedFlow, request: RunRequest, show: ShowOptions) -> int:
    """Run the flow, shown as the options say, for a command (`run`, `runs.retry`), and return the exit code.

    Raises:
        AetherFlowError: the run could not start, or its state could not be stored.
    """

    async def run_shown() -> int:
        settings = checked.environment.settings
        async with adding_metrics(show, settings) as metrics:
            observers = [*await chosen_observers(show, settings), *metrics]
            report = await run_flow(checked, request, observers)
        print_lost_output(
            report.detached, events_command(report.run_id, report.state) if report.state else ""
        )
        if show.report:
            from aetherflow.cli.report import print_report  # noqa: PLC0415 - only with --json

            keys = {"flow_id": checked.plan.flow_id, **asdict(report)}
            print_report(command, keys, code=report.exit_code)
        return report.exit_code

    return run_loop(run_shown)


def _print_plan(file: Path, checked: CheckedFlow, request: RunRequest, show: ShowOptions) -> int:
    """Print what would run, in an order in which it could."""
    from aetherflow.admin.dry_run import outline, places_of  # noqa: PLC0415 - only here
    from aetherflow.cli.report import print_report  # noqa: PLC0415 - as above
    from aetherflow.cli.resume_words import decision_lines  # noqa: PLC0415 - as above
    from aetherflow.observe.event_text import one_line  # noqa: PLC0415 - as above
    from aetherflow.runs.run_paths import run_paths_of  # noqa: PLC0415 - as above

    missing = missing_params(checked.plan.flow.params, request.params)
    # Refuses what the run would refuse, too.
    paths = None if missing else run_paths_of(checked, request.params)
    marks = [] if paths is None else _stored_marks(paths.state, checked.plan.flow_id)
    resume = None if paths is None else _planned_resume(paths.state, checked, request)
    jobs = outline(checked.plan, request.flow_job, places_of(checked))
    as_line = show.is_json(checked.environment.settings)
    if as_line or show.report:
        keys: dict[str, Any] = {
            "flow_id": checked.plan.flow_id,
            "jobs": jobs,
            "marks": marks,
            "messages": [{"on": one.on, "to": one.to} for one in checked.plan.flow.notify],
            "diagnostics": checked.diagnostics,
        }
        if resume is not None:
            keys["resume"] = resume.stored_decisions()
        return print_report("run.dry-run", keys, as_line=as_line)
    for job in jobs:
        print_text(str(job))
    for mark in marks:
        print_text(f"mark {one_line(mark.name)}: {one_line(mark.value)} ({mark.type})")
    for one in checked.plan.flow.notify:
        print_text(f"notify: {one.to}, on {', '.join(one.on)}")
    if resume is not None:
        print_text(f"run {request.run_id} would be resumed")
        for line in decision_lines(resume.stored_decisions(), resume.decision_counts()):
            print_text(line)
    number = f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}"
    if missing:
        print_note(f"a run needs {as_options(missing)}")
    print_note(f"{file}: {number} would run; {count(checked.diagnostics)}; nothing was run")
    return 0


def _planned_resume(state: Path, checked: CheckedFlow, request: RunRequest) -> ResumePlan | None:
    """Return how the run would be resumed; None if it is a new one.

    Raises:
        UsageError: the resume would be refused.
        StateError: the run cannot be read.
    """
    from aetherflow.cli.state_access import ask_state  # noqa: PLC0415 - only for a dry run
    from aetherflow.store.filesystem import is_missing  # noqa: PLC0415 - as above

    if not request.run_id or is_missing(state):
        return None
    return ask_state(state, lambda ask: ask.planned_resume(checked.plan, request))


def _stored_marks(state: Path, flow_id: str) -> list[MarkRow]:
    """Return the high-water marks from which the steps of the flow would start."""
    from aetherflow.cli.state_access import ask_state  # noqa: PLC0415 - only for a dry run
    from aetherflow.store.filesystem import is_missing  # noqa: PLC0415 - as above

    if is_missing(state):
        return []
    try:
        return ask_state(state, lambda ask: ask.marks(flow_id))
    except StateError as error:
        print_note(error.message)
        return []
