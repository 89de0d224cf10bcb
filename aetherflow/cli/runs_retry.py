"""`aetherflow runs retry`: resume a run, with its flow file as it is on disk now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from aetherflow.admin.queries import RetryTarget
from aetherflow.admin.state_path import state_of
from aetherflow.cli.flow_source import bundle_in_use
from aetherflow.cli.options import AllowStale, Debug, Events, LogFormat, Params, ParamsFile
from aetherflow.cli.printing import print_note
from aetherflow.cli.run import RunOptions, check_options, execute, given_params, print_warnings
from aetherflow.cli.state_access import State, ask_state
from aetherflow.errors import UsageError
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.run_request import RunRequest

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command as they were typed."""

    run_id: str
    state: Path | None
    flow: Path | None
    begin_at: str
    only: str
    with_downstream: bool
    params: tuple[str, ...]
    params_file: Path | None
    events: str
    log_format: str
    debug: bool
    allow_stale_bundle: bool = False


def retry_run(
    *,
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="The id of a run; default: the last that did not end well.")
    ] = "",
    state: State = None,
    flow_yaml: Annotated[
        Path | None,
        typer.Option("--flow-yaml", metavar="FLOW", help="The flow file, and its state database."),
    ] = None,
    begin_at: Annotated[
        str,
        typer.Option("--from", metavar="JOB[.STEP]", help="Run this job or step again, and what follows it."),
    ] = "",
    only: Annotated[
        str, typer.Option(metavar="JOB", help="Run this job again, with all its steps, and no other.")
    ] = "",
    with_downstream: Annotated[
        bool, typer.Option("--with-downstream", help="With --only: also the jobs that follow it.")
    ] = False,
    param: Params = None,
    params_file: ParamsFile = None,
    events: Events = "",
    log_format: LogFormat = "",
    allow_stale_bundle: AllowStale = False,
    debug: Debug = False,
) -> int:
    """Go on with a run, with its flow file as it is now."""
    options = RetryOptions(
        run_id=run,
        state=state,
        flow=flow_yaml,
        begin_at=begin_at,
        only=only,
        with_downstream=with_downstream,
        params=tuple(param or ()),
        params_file=params_file,
        events=events,
        log_format=log_format,
        allow_stale_bundle=allow_stale_bundle,
        debug=debug,
    )
    _check(options)
    state = state_of(options.state, options.flow if options.state is None else None, os.environ)
    flow_id = _flow_id(options.flow) if options.flow else ""
    found = ask_state(state, lambda ask: ask.retry_target(options.run_id, flow_id))
    running = _run_options(options, found)
    check_options(running)
    if found.directory and Path(found.directory).is_dir():
        os.chdir(found.directory)  # relative paths of the flow mean what they meant
    if found.bundle is None or options.flow is not None:
        return _go_on(options, running, found, state, None)
    with bundle_in_use(
        Path(found.bundle.manifest), allow_stale=options.allow_stale_bundle, warn=False
    ) as bundle:
        flow = bundle.root / found.bundle.flow
        if not flow.is_file():
            flow = bundle.flow_file(Path(found.bundle.flow))  # says what there is
        running = msgspec.structs.replace(running, flow=flow)
        return _go_on(options, running, found, state, bundle)


def _go_on(
    options: RetryOptions, running: RunOptions, found: RetryTarget, state: Path, bundle: OpenBundle | None
) -> int:
    checked = load_checked_flow(running.flow, os.environ, bundle)
    checked.raise_if_invalid()
    print_warnings(checked, plugins_too=False)
    request = RunRequest(
        run_id=found.run_id,
        flow_job="" if options.only else found.flow_job,
        params=given_params(checked, running.params_file, options.params),
        rerun=(options.begin_at,) if options.begin_at else (),
        rerun_option="--from",
        only=options.only,
        with_downstream=options.with_downstream,
        state=state,
        show_traces=options.debug,
    )
    print_note(f"run {found.run_id} of {checked.plan.flow_id} goes on with {running.flow}")
    return execute(checked, request, running)


def _flow_id(flow: Path) -> str:
    checked = load_checked_flow(flow, os.environ)
    checked.raise_if_guessed()
    return checked.plan.flow_id


def _check(options: RetryOptions) -> None:
    if options.begin_at and options.only:
        raise UsageError(
            "give --from or --only, not both", hint="--only JOB --with-downstream is both in one"
        )
    if options.with_downstream and not options.only:
        raise UsageError("--with-downstream belongs to --only JOB", hint="--from includes what follows")


def _run_options(options: RetryOptions, found: RetryTarget) -> RunOptions:
    """Return the options as `run` has them; paths stay right when the working directory changes."""
    flow = Path(found.flow_file)
    if options.flow is not None:
        flow = options.flow.absolute()
    elif found.directory and Path(found.directory) != Path.cwd():
        flow = Path(found.directory) / flow
    events = options.events
    return RunOptions(
        flow=flow,
        run_id=found.run_id,
        flow_job=None,
        params=options.params,
        rerun=(),
        events=events if events in ("", "-") else str(Path(events).absolute()),
        log_format=options.log_format,
        dry_run=False,
        debug=options.debug,
        params_file=options.params_file.absolute() if options.params_file else None,
    )
