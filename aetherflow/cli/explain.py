"""`aetherflow explain`: where every field of every resource of a flow comes from; or why a run came so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from aetherflow import exit_codes
from aetherflow.admin.explain_resources import explain_resources
from aetherflow.cli import completers
from aetherflow.cli.explain_run import explain_run_of
from aetherflow.cli.flow_source import flow_source, runnable_flow
from aetherflow.cli.options import AllowStale, BundleManifest, FlowOption, Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.state_access import State
from aetherflow.config.params import explained_param, params_report
from aetherflow.config.resource_origins import FieldOrigin
from aetherflow.errors import UsageError


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="[FLOW|RUN]",
            help="The flow file (YAML): its resources. Or the id of a run, or its beginning: what happened.",
            autocompletion=completers.runs,
        ),
    ] = "",
    part: Annotated[
        str,
        typer.Argument(
            metavar="[JOB[.STEP]]",
            help="A job or step of the run.",
            autocompletion=completers.jobs_and_steps_of_subject,
        ),
    ] = "",
    *,
    flow_yaml: FlowOption = None,
    bundle_manifest: BundleManifest = None,
    allow_stale_bundle: AllowStale = False,
    state: State = None,
    json: Json = False,
) -> int:
    """Show what a run did and why, or where resources come from. Values of secrets are masked."""
    if subject and not is_flow(subject):
        return explain_run_of(subject, part, state, flow_yaml, json=json)
    if part or state is not None:
        raise UsageError("give a run to explain what happened", hint="aetherflow explain RUN JOB.STEP")
    flow = Path(subject) if subject else None
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


def is_flow(subject: str) -> bool:
    """Whether a word names a flow file, and not a run."""
    return Path(subject).suffix in (".yaml", ".yml") or os.sep in subject or Path(subject).is_file()
