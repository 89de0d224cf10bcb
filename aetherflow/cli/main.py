"""The commands: parse, call the app, print. No logic, and nothing heavy is imported before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aetherflow.cli import authoring
from aetherflow.cli.asked import asked_for
from aetherflow.cli.bundle_commands import bundle_app
from aetherflow.cli.init_commands import init_app
from aetherflow.cli.options import Events, Flow, FlowOfState, FlowOption, Json, LogFormat, State
from aetherflow.cli.pools_commands import pools_app
from aetherflow.cli.scheduler_commands import scheduler_app, serve

SUMMARY = "Data workflows written in YAML: validated before they run, resumed where they failed."

READER_GONE = 141
"""What a shell says of a program that SIGPIPE ended."""

app = typer.Typer(
    name="aetherflow",
    help=SUMMARY,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
steps_app = typer.Typer(help="Step types that are installed.", no_args_is_help=True, rich_markup_mode=None)
connectors_app = typer.Typer(
    help="Connectors that are installed.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(steps_app, name="steps")
app.add_typer(connectors_app, name="connectors")
app.add_typer(bundle_app, name="bundle")
runs_app = typer.Typer(
    help="Runs, as the state database has them.", no_args_is_help=True, rich_markup_mode=None
)
locks_app = typer.Typer(help="Locks that steps hold.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
app.add_typer(locks_app, name="locks")
app.add_typer(pools_app, name="pools")
app.add_typer(init_app, name="init")
app.add_typer(scheduler_app, name="scheduler")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run.")]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="A parameter of the flow; repeatable.", metavar="K=V")
]
ParamsFile = Annotated[
    Path | None, typer.Option(help="Parameters from a YAML or JSON file; --param wins.", metavar="FILE")
]
BundleManifest = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Sync this bundle, and take the flow from it; without FLOW its entry flow."
    ),
]
AllowStale = Annotated[
    bool, typer.Option("--allow-stale-bundle", help="Use what is here if the bundle cannot be synced.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of failed steps, and debug records.")]


def run_command_line(arguments: list[str]) -> int:
    """Run one command and return the exit code (README, «Exit codes»)."""
    try:
        result = asked_for(app, arguments)(args=arguments, prog_name="aetherflow", standalone_mode=False)
    except (typer.Exit, typer.Abort) as leaving:
        return getattr(leaving, "exit_code", 1)
    except Exception as error:  # noqa: BLE001 - an error of ours, a usage error of typer, or a bug: all are told
        return _told(error, show_trace="--debug" in arguments)
    return result if isinstance(result, int) else 0


def _told(error: Exception, *, show_trace: bool) -> int:
    """Tell an error and return the exit code that it has."""
    from aetherflow.errors import AetherFlowError  # noqa: PLC0415 - only errors need it

    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    if isinstance(error, OSError):
        from aetherflow.cli.refusal import refusal  # noqa: PLC0415 - as above

        if show_trace:
            _show_trace(error)
        error = refusal(error) or error
    if isinstance(error, AetherFlowError):
        from aetherflow.cli.output import print_error  # noqa: PLC0415 - as above

        if isinstance(error.__cause__, BrokenPipeError):
            return READER_GONE  # `| head` has seen enough: say nothing more, as other tools do
        print_error(error)
        return error.exit_code
    if not hasattr(error, "format_message"):
        return _internal_error(error, show_trace=show_trace)
    _tell_usage(error)
    return 2


def _tell_usage(error: Any) -> None:
    """Tell what is wrong with the command line; a command without arguments gets its help."""
    message = error.format_message()
    if message.startswith("Usage:"):
        typer.echo(message, err=True)
        return
    usage = getattr(error, "ctx", None)
    help_command = f"{usage.command_path} --help" if usage else "aetherflow --help"
    typer.echo(f"error[AF002]: {message}\n    hint: {help_command}", err=True)


def _internal_error(error: Exception, *, show_trace: bool) -> int:
    """Tell a bug of ours as such."""
    hint = "this is a bug of AetherFlow; aetherflow --debug COMMAND ... shows the traceback to report"
    if show_trace:
        _show_trace(error)
        hint = "this is a bug of AetherFlow; report this traceback"
    typer.echo(f"error[AF000]: internal error: {type(error).__name__}: {error}\n    hint: {hint}", err=True)
    return 1


def _show_trace(error: Exception) -> None:
    import traceback  # noqa: PLC0415 - only bugs need it

    typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)


def _one_flow(
    argument: Path | None, option: Path | None, manifest: Path | None = None, *, allow_stale: bool = False
) -> Path:
    from aetherflow.errors import UsageError  # noqa: PLC0415 - only errors need it

    if allow_stale and manifest is None:
        raise UsageError("--allow-stale-bundle belongs to --bundle-manifest FILE")
    if manifest is not None and argument is None and option is None:
        return Path()  # the entry flow of the bundle
    if (argument is None) == (option is None):
        raise UsageError(
            "name one flow file: aetherflow COMMAND FLOW (or --flow-yaml FLOW)",
            hint="aetherflow init writes a first flow; aetherflow run --help shows the options",
        )
    return argument or option or Path()


@app.callback(invoke_without_command=True, help=SUMMARY)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[  # noqa: ARG001 - looked up in the command line: an error may come before it is read
        bool, typer.Option("--debug", help="Show the traceback of an internal error.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    if version:
        from aetherflow._version import __version__  # noqa: PLC0415 - only here

        typer.echo(f"aetherflow {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@app.command()
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
) -> None:
    """Run a flow, or go on with an earlier run of it."""
    from aetherflow.cli import run as command  # noqa: PLC0415 - imports the engine

    options = command.RunOptions(
        flow=_one_flow(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle),
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
    raise typer.Exit(command.run(options))


@app.command()
def validate(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    json: Json = False,
) -> None:
    """Check a flow and all it refers to; nothing is run."""
    from aetherflow.cli import report  # noqa: PLC0415 - imports the spec

    one = _one_flow(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    asked = report.Asked(one, bundle_manifest, allow_stale_bundle)
    raise typer.Exit(report.validate(asked, as_json=json))


@app.command()
def doctor(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    connect: Annotated[
        bool, typer.Option("--connect", help="Also open every resource of the flow: login, rights, room.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what this machine lacks, for FLOW or for any. Variables, packages, clock, room for the state."""
    from aetherflow.cli import report  # noqa: PLC0415 - imports the spec

    asked = None
    if flow or flow_yaml or bundle_manifest:
        one = _one_flow(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
        asked = report.Asked(one, bundle_manifest, allow_stale_bundle)
    raise typer.Exit(report.doctor(asked, as_json=json, connect=connect))


@app.command()
def explain(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    json: Json = False,
) -> None:
    """Show where every field of every resource comes from. Values of secrets are masked."""
    from aetherflow.cli import report  # noqa: PLC0415 - imports the spec

    one = _one_flow(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    asked = report.Asked(one, bundle_manifest, allow_stale_bundle)
    raise typer.Exit(report.explain(asked, as_json=json))


app.command()(serve)


@steps_app.command("list")
def steps_list(*, json: Json = False) -> None:
    """List the step types."""
    from aetherflow.cli import types  # noqa: PLC0415 - imports the registry

    raise typer.Exit(types.list_steps(as_json=json))


@steps_app.command("show")
def steps_show(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="The step type, as `steps list` names it.")],
    *,
    json: Json = False,
) -> None:
    """Show the inputs and outputs of a step type."""
    from aetherflow.cli import types  # noqa: PLC0415 - imports the registry

    raise typer.Exit(types.show_step(name, as_json=json))


@connectors_app.command("list")
def connectors_list(*, json: Json = False) -> None:
    """List the connectors."""
    from aetherflow.cli import types  # noqa: PLC0415 - imports the registry

    raise typer.Exit(types.list_connectors(as_json=json))


@connectors_app.command("show")
def connectors_show(
    name: Annotated[
        str, typer.Argument(metavar="KIND:DRIVER", help="The connector, as `connectors list` names it.")
    ],
    *,
    json: Json = False,
) -> None:
    """Show the config and options of a connector."""
    from aetherflow.cli import types  # noqa: PLC0415 - imports the registry

    raise typer.Exit(types.show_connector(name, as_json=json))


@runs_app.command("list")
def runs_list(
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    flow: Annotated[str, typer.Option(metavar="ID", help="Only runs of the flow with this id.")] = "",
    status: Annotated[str, typer.Option(metavar="STATUS", help="Only runs with this status.")] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many, the newest first.")] = 20,
    json: Json = False,
) -> None:
    """List the newest runs."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    runs.list_runs(state, flow_yaml, flow_id=flow, status=status, limit=limit, as_json=json)


@runs_app.command("show")
def runs_show(run: RunId, *, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """Show a run with its jobs, steps and errors."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    runs.show_run(run, state, flow_yaml, as_json=json)


@runs_app.command("cancel")
def runs_cancel(
    run: RunId,
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the run has ended.")] = False,
    json: Json = False,
) -> None:
    """Cancel a run that another process executes, as Ctrl-C would."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    runs.cancel_run(run, state, flow_yaml, wait=wait, as_json=json)


@runs_app.command("retry")
def runs_retry(
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
) -> None:
    """Go on with a run, with its flow file as it is now."""
    from aetherflow.cli import retry as command  # noqa: PLC0415 - imports the engine

    options = command.RetryOptions(
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
    raise typer.Exit(command.retry(options))


@runs_app.command("prune")
def runs_prune(
    *,
    keep_days: Annotated[
        int | None, typer.Option(min=0, max=36500, metavar="N", help="Keep what ended in the last N days.")
    ] = None,
    keep_runs: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep the newest N ended runs of each flow.")
    ] = None,
    state: State = None,
    flow_yaml: FlowOfState = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted.")] = False,
    json: Json = False,
) -> None:
    """Delete old runs that no option keeps. Their logs too; also while others run."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    raise typer.Exit(
        runs.prune(state, flow_yaml, keep_days=keep_days, keep_runs=keep_runs, dry_run=dry_run, as_json=json)
    )


@app.command()
def logs(
    run: RunId,
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes as they are, control characters too.")
    ] = False,
) -> None:
    """Print what the programs of a run wrote."""
    from aetherflow.cli import logs as command  # noqa: PLC0415 - opens the state database

    command.show_logs(run, state, flow_yaml, raw=raw)


@locks_app.command("list")
def locks_list(*, state: State = None, flow_yaml: FlowOfState = None, json: Json = False) -> None:
    """List the locks that are held."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    runs.list_locks(state, flow_yaml, as_json=json)


@locks_app.command("release")
def locks_release(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The lock, as `locks list` names it.")],
    *,
    state: State = None,
    flow_yaml: FlowOfState = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also take it from a holder that lives; its work is stopped.")
    ] = False,
    json: Json = False,
) -> None:
    """Release a lock whose holder is dead or whose lease ran out."""
    from aetherflow.cli import runs  # noqa: PLC0415 - opens the state database

    runs.release_lock(key, state, flow_yaml, force=force, as_json=json)


authoring.add_to(app)
