"""`aetherflow run`: run a flow in the foreground, shown as log lines, JSON lines or a live tree."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import msgspec
import typer

from aetherflow.cli.flow_source import bundle_in_use, flow_source
from aetherflow.cli.options import (
    AllowStale,
    BundleManifest,
    Debug,
    Events,
    Flow,
    FlowOption,
    LogFormat,
    Params,
    ParamsFile,
)
from aetherflow.cli.printing import count, print_json_line, print_note, print_text
from aetherflow.errors import UsageError
from aetherflow.runs.execute_run import ObserverSpec, run_flow
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.params_file import read_params_file
from aetherflow.runs.run_request import RunRequest, check_run_id

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle


class RunOptions(msgspec.Struct, frozen=True):
    """The options of the command as they were typed."""

    flow: Path
    run_id: str | None
    flow_job: str | None
    params: tuple[str, ...]
    rerun: tuple[str, ...]
    events: str
    log_format: str
    dry_run: bool
    debug: bool
    params_file: Path | None = None
    bundle_manifest: Path | None = None
    allow_stale_bundle: bool = False


def run(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    run_id: Annotated[
        str | None, typer.Option(help="Name the run; the id of an earlier run goes on with it.", metavar="ID")
    ] = None,
    flow_job: Annotated[
        str | None, typer.Option(help="Run only this job, and the jobs it waits for.", metavar="JOB")
    ] = None,
    param: Params = None,
    params_file: ParamsFile = None,
    rerun: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this job or step again, and what follows it; repeatable.", metavar="JOB[.STEP]"
        ),
    ] = None,
    events: Events = "",
    log_format: LogFormat = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the flow, show what would run, run nothing.")
    ] = False,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    debug: Debug = False,
) -> int:
    """Run a flow, or go on with an earlier run of it."""
    source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    options = RunOptions(
        flow=source.flow,
        run_id=run_id,
        flow_job=flow_job,
        params=tuple(param or ()),
        rerun=tuple(rerun or ()),
        events=events,
        log_format=log_format,
        dry_run=dry_run,
        debug=debug,
        params_file=params_file,
        bundle_manifest=bundle_manifest,
        allow_stale_bundle=allow_stale_bundle,
    )
    check_options(options)
    if options.bundle_manifest is None:
        return _run_flow(options, None)
    with bundle_in_use(
        options.bundle_manifest, allow_stale=options.allow_stale_bundle, warn=options.dry_run
    ) as bundle:
        flow = bundle.flow_file(options.flow)
        return _run_flow(msgspec.structs.replace(options, flow=flow), bundle)


def _run_flow(options: RunOptions, bundle: OpenBundle | None) -> int:
    checked = load_checked_flow(options.flow, os.environ, bundle)
    checked.raise_if_invalid()
    print_warnings(checked, plugins_too=options.dry_run)
    request = RunRequest(
        run_id=options.run_id or "",
        flow_job=options.flow_job or "",
        params=given_params(checked, options.params_file, options.params),
        rerun=options.rerun,
        show_traces=options.debug,
    )
    if options.dry_run:
        return _dry_run(checked, request, options)
    gc.freeze()  # the plan stays; the collector need not look at it again and again
    gc.enable()
    return execute(checked, request, options)


def print_warnings(checked: CheckedFlow, *, plugins_too: bool) -> None:
    """Say the warnings about a flow; a run tells those about plugins itself."""
    broken = checked.registry.diagnostics
    for warning in checked.diagnostics:
        if plugins_too or warning not in broken:
            print_note(str(warning))


def given_params(checked: CheckedFlow, file: Path | None, texts: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of `--params-file` and `--param`; the latter win.

    Raises:
        InvalidInput: the file is wrong.
        UsageError: a text is not `NAME=VALUE`.
    """
    in_file = read_params_file(file, checked.plan.flow.params) if file is not None else {}
    return in_file | dict(_split(text) for text in texts)


def execute(checked: CheckedFlow, request: RunRequest, options: RunOptions) -> int:
    """Run the flow before the eyes of the observers that the options ask for; return the exit code."""
    return anyio.run(_run, checked, request, options)


async def _run(checked: CheckedFlow, request: RunRequest, options: RunOptions) -> int:
    chosen = observers(checked, options)
    if options.events == "-" and _log_format(checked, options) == "json":
        raise UsageError(
            "--events - and the JSON log would both write to standard output",
            hint="give --events a file",
        )
    if options.events:
        from aetherflow.observe.event_stream import EventStreamObserver  # noqa: PLC0415 - rarely asked for

        stream = EventStreamObserver("-" if options.events == "-" else Path(options.events))
        await stream.open()
        chosen.append(ObserverSpec("events", stream.join, "wait"))
    report = await run_flow(checked, request, chosen)
    for name, why in report.detached.items():
        print_note(f"warning: the {name} did not show the run to its end: {why}")
    return report.exit_code


def observers(checked: CheckedFlow, options: RunOptions) -> list[ObserverSpec]:
    """Return the observer that shows the run to whoever started it: JSON lines, a live tree, or lines."""
    settings = checked.environment.settings
    level = "debug" if options.debug else settings.log_level.lower()
    if level == "critical":
        level = "error"  # no event is graver than an error
    chosen: list[ObserverSpec] = []
    if _log_format(checked, options) == "json":
        from aetherflow.observe.log import LogObserver  # noqa: PLC0415 - only one of the three is needed

        chosen.append(
            ObserverSpec("log", partial(LogObserver, sys.stdout, format="json", level=level), "wait")
        )
    elif _can_repaint():
        from aetherflow.observe.live_tree import LiveTreeObserver  # noqa: PLC0415 - as above

        chosen.append(ObserverSpec("progress", partial(LiveTreeObserver, sys.stderr), "drop"))
    else:
        from aetherflow.observe.log import LogObserver  # noqa: PLC0415 - as above

        chosen.append(
            ObserverSpec("log", partial(LogObserver, sys.stderr, format="text", level=level), "wait")
        )
    return chosen


def _log_format(checked: CheckedFlow, options: RunOptions) -> str:
    return options.log_format or checked.environment.settings.log_format


def _can_repaint() -> bool:
    if not sys.stderr.isatty():
        return False
    from aetherflow.observe.live_tree import can_repaint  # noqa: PLC0415 - only on a terminal

    return can_repaint(sys.stderr)


def check_options(options: RunOptions) -> None:
    """Refuse options that make no sense, before anything is read.

    Raises:
        UsageError: the first one that is wrong.
    """
    if options.log_format not in ("", "text", "json"):
        raise UsageError(f"--log-format {options.log_format}: it is text or json")
    if options.flow_job == "":
        raise UsageError("--flow-job is empty", hint="name a job, or leave the option out to run them all")
    if options.run_id is not None:
        check_run_id(options.run_id)
    elif options.rerun:
        raise UsageError("--rerun needs the run to resume", hint="add --run-id ID")


def _split(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--param {text}: write it as NAME=VALUE")
    return name, value


def _dry_run(checked: CheckedFlow, request: RunRequest, options: RunOptions) -> int:
    """Say what would run, in an order in which it could."""
    from aetherflow.admin.dry_run import outline  # noqa: PLC0415 - only here
    from aetherflow.runs.run_paths import run_paths_of  # noqa: PLC0415 - as above

    run_paths_of(checked, request.params)  # refuses what the run would refuse
    jobs = outline(checked.plan, request.flow_job)
    if _log_format(checked, options) == "json":
        print_json_line({"flow_id": checked.plan.flow_id, "jobs": jobs, "diagnostics": checked.diagnostics})
        return 0
    for job in jobs:
        print_text(str(job))
    number = f"{len(jobs)} job{'' if len(jobs) == 1 else 's'}"
    print_note(f"{options.flow}: {number} would run; {count(checked.diagnostics)}; nothing was run")
    return 0
