"""`aetherflow validate`: check a flow, or a scheduler file and its flows, and print the diagnostics."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from aetherflow import exit_codes
from aetherflow.cli.flow_source import FlowSource, flow_source
from aetherflow.cli.options import AllowStale, BundleManifest, Flow, FlowOption, Json
from aetherflow.cli.printing import count, diagnostics_of, print_note, print_text
from aetherflow.cli.report import as_findings, print_report
from aetherflow.config import project as project_files
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.spec.schedule_file import is_schedule_file

if TYPE_CHECKING:
    from aetherflow.admin.resolved_paths import ResolvedPath
    from aetherflow.schedule.item import Schedule


def validate(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print every path, and what names it.")
    ] = False,
    json: Json = False,
) -> int:
    """Check a flow and all it refers to; nothing is run."""
    source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    return print_verdict(source, as_json=json, verbose=verbose)


def print_verdict(flow: FlowSource, *, as_json: bool, verbose: bool = False) -> int:
    """Check a flow; 0 if it can run, 2 if not. With `verbose` also print its paths."""
    paths: list[ResolvedPath] = []
    try:
        diagnostics, find_paths = _checked(flow)
        paths = find_paths() if verbose else []
    except AetherFlowError as error:
        if not as_json and not isinstance(error, InvalidInput):
            raise
        diagnostics = diagnostics_of(error, str(flow))
    is_valid = not any(d.severity == "error" for d in diagnostics)
    code = exit_codes.SUCCESS if is_valid else exit_codes.INVALID
    if as_json:
        report = {
            "valid": is_valid,
            "file": str(flow),
            "flow_yaml": str(flow),
            "diagnostics": list(map(asdict, diagnostics)),
            "errors": as_findings(d for d in diagnostics if d.severity == "error"),
            "warnings": as_findings(d for d in diagnostics if d.severity == "warning"),
        }
        if verbose:
            report["paths"] = list(map(asdict, paths))
        return print_report("validate", report, code=code)
    for diagnostic in diagnostics:
        print_note(str(diagnostic))
    if verbose:
        from aetherflow.cli.print_paths import print_paths  # noqa: PLC0415 - it needs the databases

        print_paths(paths)
    verdict = "valid" if is_valid else "not valid"
    print_text(f"{flow}: {verdict}" + (f" ({count(diagnostics)})" if diagnostics else ""))
    return code


def _checked(flow: FlowSource) -> tuple[list[Diagnostic], Callable[[], list[ResolvedPath]]]:
    """Return the diagnostics of a flow, a project file, or a scheduler file and its flows; and its paths."""
    if flow.manifest is None and project_files.is_project_file(flow.flow):
        project_files.check_project(flow.flow)
        return [], list
    if flow.manifest is not None or not is_schedule_file(flow.flow):
        checked_flow = flow.load_checked_flow()
        return checked_flow.diagnostics, partial(_paths_for_flow, checked_flow)
    from aetherflow.check import schedule_advice  # noqa: PLC0415 - not for a flow
    from aetherflow.server import item_flows, schedule_files  # noqa: PLC0415 - as above

    checked = schedule_files.check_schedule_file(flow.flow)
    schedule_advice.advise_items(checked.schedule, checked.sink)
    item_flows.check_item_flows(checked, os.environ)
    return checked.diagnostics, partial(_paths_for_schedule, checked.schedule)


def _paths_for_flow(checked: CheckedFlow) -> list[ResolvedPath]:
    from aetherflow.admin.resolved_paths import paths_for_flow  # noqa: PLC0415 - only with --verbose

    return paths_for_flow(checked)


def _paths_for_schedule(schedule: Schedule) -> list[ResolvedPath]:
    from aetherflow.admin.resolved_paths import paths_for_schedules  # noqa: PLC0415 - only with --verbose

    return paths_for_schedules([schedule], os.environ)
