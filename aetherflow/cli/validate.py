"""`aetherflow validate`: check a flow, or a scheduler file and its flows, and print the diagnostics."""

from __future__ import annotations

import os

from msgspec.structs import asdict

from aetherflow import exit_codes
from aetherflow.cli.flow_source import FlowSource, flow_source
from aetherflow.cli.options import AllowStale, BundleManifest, Flow, FlowOption, Json
from aetherflow.cli.printing import count, diagnostics_of, print_note, print_text
from aetherflow.cli.report import as_findings, print_report
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput
from aetherflow.server import item_flows, schedule_files


def validate(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    json: Json = False,
) -> int:
    """Check a flow and all it refers to; nothing is run."""
    source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    return print_verdict(source, as_json=json)


def print_verdict(flow: FlowSource, *, as_json: bool) -> int:
    """Check a flow; 0 if it can run, 2 if not."""
    try:
        diagnostics = _diagnostics(flow)
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
        return print_report("validate", report, code=code)
    for diagnostic in diagnostics:
        print_note(str(diagnostic))
    verdict = "valid" if is_valid else "not valid"
    print_text(f"{flow}: {verdict}" + (f" ({count(diagnostics)})" if diagnostics else ""))
    return code


def _diagnostics(flow: FlowSource) -> list[Diagnostic]:
    """Return the diagnostics of a flow, or of a scheduler file and the flows that it names."""
    if flow.manifest is not None or not schedule_files.is_schedule_file(flow.flow):
        return flow.load_checked_flow().diagnostics
    checked = schedule_files.check_schedule_file(flow.flow)
    item_flows.check_item_flows(checked, os.environ)
    return checked.diagnostics
