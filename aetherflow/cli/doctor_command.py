"""`aetherflow doctor`: check that this machine has what a flow, or any flow, needs."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer
from msgspec.structs import asdict, replace

from aetherflow import exit_codes
from aetherflow.admin import doctor as machine
from aetherflow.admin.resolved_paths import ResolvedPath, paths_for_flow, paths_of_settings
from aetherflow.cli.environment_here import environment_here
from aetherflow.cli.flow_source import FlowSource, flow_source, runnable_flow
from aetherflow.cli.options import AllowStale, BundleManifest, Flow, FlowOption, Json
from aetherflow.cli.print_paths import print_paths
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import as_findings, print_report
from aetherflow.cli.state_access import newest_time
from aetherflow.config.environment import Environment
from aetherflow.errors import AetherFlowError, Diagnostic, UsageError
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.sdk.checks import CheckResult
from aetherflow.working_directory import absolute


def doctor(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Also connect to every resource of the flow: login, rights, free space."
        ),
    ] = False,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="Also look at the workers of this executor: what they offer, and what differs.",
            metavar="NAME",
        ),
    ] = "",
    json: Json = False,
) -> int:
    """Check that this machine has what FLOW, or any flow, needs. Variables, packages, clock, disk space."""
    if flow or flow_yaml or bundle_manifest:
        source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
        return _examine_for_flow(source, as_json=json, connect=connect, executor=executor)
    if connect:
        raise UsageError("--connect tries the resources of a flow", hint="aetherflow doctor FLOW --connect")
    return _examine(as_json=json, executor=executor)


def _examine(*, as_json: bool, executor: str) -> int:
    """Check the machine for any flow, and print the results; return the exit code."""
    redactor = Redactor()
    try:
        environment = environment_here(redactor)
    except AetherFlowError as error:
        if as_json:
            results = [CheckResult("settings", "error", f"[{error.code}] {error.message}", error.hint)]
            return _print_results("", results, [], paths=[], as_json=True)
        raise
    results = machine.check_machine(environment, redactor, newest_time)
    if executor:
        results += _workers(executor, environment, redactor, None)
    settings, paths = (
        machine.settings_in_force(environment, redactor),
        paths_of_settings(environment, redactor),
    )
    return _print_results("", results, settings, paths=paths, as_json=as_json)


def _examine_for_flow(flow: FlowSource, *, as_json: bool, connect: bool, executor: str) -> int:
    """Check the machine for one flow, and print the results; return the exit code."""
    checked = runnable_flow("doctor", flow, as_json=as_json)
    results = machine.check_machine_for_flow(checked, newest_time)
    if connect:
        from aetherflow.admin.connection_checks import check_connections  # noqa: PLC0415 - only for --connect

        results += check_connections(checked)
    if executor:
        results += _workers(executor, checked.environment, checked.redactor, checked)
    settings = machine.settings_in_force(checked.environment, checked.redactor)
    mask = checked.redactor.text
    unset = [replace(one, message=mask(one.message)) for one in checked.diagnostics if one in checked.unset]
    paths = paths_for_flow(checked)
    return _print_results(str(flow), results, settings, unset, paths=paths, as_json=as_json)


def _workers(
    name: str, environment: Environment, redactor: Redactor, checked: CheckedFlow | None
) -> list[CheckResult]:
    """Look at the workers of an executor, with the options of the flow if it has some."""
    from aetherflow.admin.executor_checks import Folders, check_executor  # noqa: PLC0415 - only with --executor
    from aetherflow.runs.chosen_executors import named_executor  # noqa: PLC0415 - as above
    from aetherflow.spec.flow import LOCAL  # noqa: PLC0415 - as above

    if name == LOCAL:
        raise UsageError("--executor local: that is this process", hint="aetherflow doctor --executor dask")
    settings = environment.settings
    work_root, flow_file = absolute(settings.work_root), ""
    try:
        choices = {} if checked is None else checked.executors
        choice = next((one for one in choices.values() if one.name == name), None)
        choice = choice or named_executor(name, environment, redactor)
        if checked is not None:
            work_root, flow_file = (
                run_paths_of(checked, None).work_root,
                str(absolute(Path(checked.plan.file))),
            )
    except AetherFlowError as error:
        found = [CheckResult(f"executor {name}", "error", f"[{error.code}] {error.message}", error.hint)]
    else:
        folders = Folders(work_root, flow_file, settings.file_access)
        found = check_executor(choice, folders, lambda _level, text: print_note(redactor.text(text)))
    mask = redactor.text
    return [CheckResult(one.subject, one.state, mask(one.message), mask(one.hint)) for one in found]


def _print_results(
    flow: str,
    results: list[CheckResult],
    settings: list[machine.Setting],
    unset: list[Diagnostic] | None = None,
    *,
    paths: list[ResolvedPath],
    as_json: bool,
) -> int:
    """Print results and settings (with a flow, only settings that are not defaults); return the exit code."""
    bad = any(result.state == "error" for result in results)
    code = exit_codes.INVALID if bad else exit_codes.SUCCESS
    if as_json:
        warnings = [one for one in results if one.state == "warning"]
        report = {
            "file": flow or None,
            "flow_yaml": flow or None,
            "results": list(map(asdict, results)),
            "settings": settings,
            "paths": list(map(asdict, paths)),
            "missing_env": as_findings(unset or []),
            "warnings": [{"code": "doctor", "loc": one.subject, "msg": one.message} for one in warnings],
        }
        return print_report("doctor", report, code=code)
    for result in results:
        print_text(f"{result.state:<8} {result.subject}: {result.message}")
        if result.excerpt:
            print_text(indent(result.excerpt, " " * 7))
        if result.hint:
            print_text(f"         hint: {result.hint}")
    print_paths(paths)
    for setting in settings:
        if not flow or setting.source != "default":
            print_text(f"setting  {setting.name} = {setting.value or '-'} ({setting.source})")
    return code
