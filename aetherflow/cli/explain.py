"""`aetherflow explain`: show where every field of every resource comes from."""

from __future__ import annotations

from aetherflow import exit_codes
from aetherflow.admin.explain_resources import explain_resources
from aetherflow.cli.flow_source import flow_source, runnable_flow
from aetherflow.cli.options import AllowStale, BundleManifest, Flow, FlowOption, Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.config.params import explained_param, params_report
from aetherflow.config.resource_origins import FieldOrigin


def explain(
    *,
    flow: Flow = None,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    json: Json = False,
) -> int:
    """Show where every field of every resource comes from. Values of secrets are masked."""
    source = flow_source(flow, flow_yaml, bundle_manifest, allow_stale=allow_stale_bundle)
    checked = runnable_flow("explain", source, as_json=json)
    resources = explain_resources(checked)
    specs = checked.plan.flow.params
    bad = any(resource.problem for resource in resources.values())
    code = exit_codes.INVALID if bad else exit_codes.SUCCESS
    if json:
        report = {
            "file": str(source),
            "flow_yaml": str(source),
            "resources": resources,
            "params": params_report(specs),
        }
        return print_report("explain", report, code=code)
    for name, resource in resources.items():
        profile = f", profile {resource.profile}" if resource.profile else ""
        print_text(f"{name} ({resource.driver}{profile})")
        if resource.problem:
            print_text(f"  error: {resource.problem}")
        width = max((len(origin.field) for origin in resource.fields), default=0)
        for origin in resource.fields:
            print_text(f"  {origin.field:<{width}}  {_explained(origin)}")
    if not resources:
        print_text(f"{source}: the flow has no resources")
    for name, spec in specs.items():
        print_text(f"params.{name}: {explained_param(name, spec)}")
    return code


def _explained(origin: FieldOrigin) -> str:
    """Return `TEMPLATE -> VALUE  (WHERE FROM; WHAT IS DONE WITH IT)`."""
    if origin.source == "default":
        return f"{origin.value}  (default)"
    notes = [origin.source]
    notes += [f"{variable.name}: {variable.source}" for variable in origin.variables]
    notes += [f"secret by {origin.provider}"] if origin.provider else []
    notes += ["decoded"] if origin.decoded else []
    value = "not set" if origin.missing else origin.value
    rendered = "" if value == origin.template else f" -> {value}"
    return f"{origin.template}{rendered}  ({'; '.join(notes)})"
