"""`validate`, `doctor` and `explain`: look at a flow and print what was found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from aetherflow.cli.output import count, diagnostics_of, print_json, print_text, say
from aetherflow.config.environment import load_environment
from aetherflow.errors import AetherFlowError, BundleError, Diagnostic, InvalidInput, UsageError
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow

if TYPE_CHECKING:
    from aetherflow.admin.check_result import Finding
    from aetherflow.admin.doctor import Setting
    from aetherflow.config.resource_origins import FieldOrigin


class Asked(msgspec.Struct, frozen=True):
    """The flow that a command looks at: a file, or, with a manifest, one of a bundle."""

    flow: Path
    manifest: Path | None = None
    allow_stale: bool = False

    def load_checked_flow(self) -> CheckedFlow:
        """Load and check it; a bundle is synced first.

        Raises:
            AetherFlowError: it cannot be examined.
        """
        if self.manifest is None:
            return load_checked_flow(self.flow, os.environ)
        from aetherflow.cli.bundle import bundle_in_use  # noqa: PLC0415 - only for bundles

        try:
            with bundle_in_use(self.manifest, allow_stale=self.allow_stale) as bundle:
                return load_checked_flow(bundle.flow_file(self.flow), os.environ, bundle)
        except BundleError as error:  # nothing ran that could have failed: 2, as for any other finding
            raise UsageError(error.message, hint=error.hint, code=error.code) from None

    def __str__(self) -> str:
        return str(self.flow if self.manifest is None or self.flow.name else self.manifest)


def validate(flow: Asked, *, as_json: bool) -> int:
    """Check a flow; 0 if it can run, 2 if not."""
    try:
        diagnostics = _diagnostics(flow)
    except AetherFlowError as error:
        if not as_json and not isinstance(error, InvalidInput):
            raise
        diagnostics = diagnostics_of(error, str(flow))
    is_valid = not any(d.severity == "error" for d in diagnostics)
    if as_json:
        print_json({"file": str(flow), "valid": is_valid, "diagnostics": list(map(asdict, diagnostics))})
    else:
        for diagnostic in diagnostics:
            say(str(diagnostic))
        verdict = "valid" if is_valid else "not valid"
        print_text(f"{flow}: {verdict}" + (f" ({count(diagnostics)})" if diagnostics else ""))
    return 0 if is_valid else 2


def _diagnostics(asked: Asked) -> list[Diagnostic]:
    """Return what is wrong with a flow, or with a scheduler file and the flows that it names."""
    from aetherflow.server import schedule_files as schedules  # noqa: PLC0415 - not for doctor

    if asked.manifest is not None or not schedules.looks_like_schedule(asked.flow):
        return asked.load_checked_flow().diagnostics
    checked = schedules.examine_schedule(asked.flow)
    schedules.check_flows(checked, os.environ)
    return checked.diagnostics


def doctor(flow: Asked | None, *, as_json: bool, connect: bool) -> int:
    """Say what this machine lacks, for a flow or for any; 2 if it could not run.

    Raises:
        UsageError: resources are to be tried, and there is no flow that has some.
    """
    from aetherflow.admin import doctor  # noqa: PLC0415 - not for validate
    from aetherflow.cli.state_access import newest_time  # noqa: PLC0415 - as above

    if flow is None:
        if connect:
            raise UsageError(
                "--connect tries the resources of a flow", hint="aetherflow doctor FLOW --connect"
            )
        redactor = Redactor()
        try:
            environment = load_environment(os.environ, redactor=redactor)
        except AetherFlowError as error:
            if as_json:
                findings = [
                    doctor.Finding("settings", "error", f"[{error.code}] {error.message}", error.hint)
                ]
                return _print_findings("", findings, [], as_json=True)
            raise
        findings = doctor.examine_surroundings(environment, redactor, newest_time)
        return _print_findings("", findings, doctor.settings_in_force(environment, redactor), as_json=as_json)
    checked = _examined(flow, as_json=as_json)
    if checked is None:
        return 2
    findings = doctor.examine_machine(checked, newest_time)
    if connect:
        from aetherflow.admin.connection_checks import try_resources  # noqa: PLC0415 - only when it is asked for

        findings += try_resources(checked)
    settings = doctor.settings_in_force(checked.environment, checked.redactor)
    return _print_findings(str(flow), findings, settings, as_json=as_json)


def _print_findings(flow: str, findings: list[Finding], settings: list[Setting], *, as_json: bool) -> int:
    """Print what was found; with a flow, of the settings only those that somebody has set."""
    bad = any(finding.state == "error" for finding in findings)
    if as_json:
        told = list(map(asdict, findings))
        print_json({"file": flow or None, "ok": not bad, "findings": told, "settings": settings})
        return 2 if bad else 0
    for finding in findings:
        print_text(f"{finding.state:<8} {finding.subject}: {finding.message}")
        if finding.hint:
            print_text(f"         hint: {finding.hint}")
    for setting in settings:
        if not flow or setting.source != "default":
            print_text(f"setting  {setting.name} = {setting.value or '-'} ({setting.source})")
    return 2 if bad else 0


def explain(flow: Asked, *, as_json: bool) -> int:
    """Show where every field of every resource comes from; 2 if one cannot be explained."""
    from aetherflow.admin.explain_resources import explained_resources  # noqa: PLC0415 - not for validate

    checked = _examined(flow, as_json=as_json)
    if checked is None:
        return 2
    resources = explained_resources(checked)
    bad = any(resource.problem for resource in resources.values())
    if as_json:
        print_json({"file": str(flow), "resources": resources})
        return 2 if bad else 0
    for name, resource in resources.items():
        profile = f", profile {resource.profile}" if resource.profile else ""
        print_text(f"{name} ({resource.driver}{profile})")
        if resource.problem:
            print_text(f"  error: {resource.problem}")
        width = max((len(origin.field) for origin in resource.fields), default=0)
        for origin in resource.fields:
            print_text(f"  {origin.field:<{width}}  {_explained(origin)}")
    if not resources:
        print_text(f"{flow}: the flow has no resources")
    return 2 if bad else 0


def _explained(origin: FieldOrigin) -> str:
    """Return `TEMPLATE -> VALUE  (WHERE FROM; WHAT IS DONE WITH IT)`."""
    if origin.source == "default":
        return f"{origin.value}  (default)"
    notes = [origin.source]
    notes += [f"{variable.name}: {variable.source}" for variable in origin.variables]
    notes += [f"secret by {origin.provider}"] if origin.provider else []
    notes += ["decoded"] if origin.decoded else []
    value = "nothing yet" if origin.missing else origin.value
    rendered = "" if value == origin.template else f" -> {value}"
    return f"{origin.template}{rendered}  ({'; '.join(notes)})"


def _examined(flow: Asked, *, as_json: bool) -> CheckedFlow | None:
    """Return a flow whose graph and templates are right; what is wrong with resources is the answer itself.

    With `as_json`, what is wrong is printed as JSON, and None returned.

    Raises:
        AetherFlowError: the flow cannot be examined.
    """
    try:
        checked = flow.load_checked_flow()
        if any(not d.code.startswith("AF5") for d in checked.errors):
            checked.raise_if_invalid()
    except AetherFlowError as error:
        if not as_json:
            raise
        diagnostics = list(map(asdict, diagnostics_of(error, str(flow))))
        print_json({"file": str(flow), "ok": False, "diagnostics": diagnostics})
        return None
    return checked
