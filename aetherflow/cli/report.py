"""`validate`, `doctor` and `explain`: look at a flow and print what was found."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from aetherflow.app.examine import Examination, examine
from aetherflow.cli.output import count, print_json, print_text, say
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput


class Asked(msgspec.Struct, frozen=True):
    """The flow that a command looks at: a file, or, with a manifest, one of a bundle."""

    flow: Path
    manifest: Path | None = None
    allow_stale: bool = False

    def examine(self) -> Examination:
        """Load and check it; a bundle is synced first.

        Raises:
            AetherFlowError: it cannot be examined.
        """
        if self.manifest is None:
            return examine(self.flow, os.environ)
        from aetherflow.cli.bundle import bundle_in_use  # noqa: PLC0415 - only for bundles

        with bundle_in_use(self.manifest, allow_stale=self.allow_stale) as bundle:
            return examine(bundle.flow_file(self.flow if self.flow.name else None), os.environ, bundle)

    def __str__(self) -> str:
        return str(self.flow if self.manifest is None or self.flow.name else self.manifest)


def validate(flow: Asked, *, as_json: bool) -> int:
    """Check a flow; 0 if it can run, 2 if not."""
    try:
        diagnostics = flow.examine().diagnostics
    except AetherFlowError as error:
        if not as_json and not isinstance(error, InvalidInput):
            raise
        diagnostics = _diagnostics_of(error, flow)
    is_valid = not any(d.severity == "error" for d in diagnostics)
    if as_json:
        print_json({"file": str(flow), "valid": is_valid, "diagnostics": list(map(asdict, diagnostics))})
    else:
        for diagnostic in diagnostics:
            say(str(diagnostic))
        verdict = "valid" if is_valid else "not valid"
        print_text(f"{flow}: {verdict}" + (f" ({count(diagnostics)})" if diagnostics else ""))
    return 0 if is_valid else 2


def doctor(flow: Asked, *, as_json: bool) -> int:
    """Say what this machine lacks for a flow; 2 if it could not run."""
    from aetherflow.app.doctor import examine_machine, settings_in_force  # noqa: PLC0415 - not for validate

    examined = _examined(flow, as_json=as_json)
    if examined is None:
        return 2
    findings = examine_machine(examined)
    bad = any(finding.state == "error" for finding in findings)
    settings = settings_in_force(examined)
    if as_json:
        told = list(map(asdict, findings))
        print_json({"file": str(flow), "ok": not bad, "findings": told, "settings": settings})
        return 2 if bad else 0
    for finding in findings:
        print_text(f"{finding.state:<8} {finding.subject}: {finding.message}")
        if finding.hint:
            print_text(f"         hint: {finding.hint}")
    for setting in settings:
        if setting.source != "default":
            print_text(f"setting  {setting.name} = {setting.value} ({setting.source})")
    return 2 if bad else 0


def explain(flow: Asked, *, as_json: bool) -> int:
    """Show where every field of every resource comes from."""
    from aetherflow.app.doctor import explained_resources  # noqa: PLC0415 - not for validate

    examined = _examined(flow, as_json=as_json)
    if examined is None:
        return 2
    resources = explained_resources(examined)
    if as_json:
        print_json({"file": str(flow), "resources": resources})
        return 0
    for name, origins in resources.items():
        spec = examined.plan.resources[name]
        print_text(f"{name} ({spec.kind}:{spec.driver})")
        for origin in origins:
            notes = [origin.source]
            notes += ["decoded"] if origin.decoded else []
            notes += [f"missing: {', '.join(origin.missing)}"] if origin.missing else []
            rendered = "" if origin.value == origin.template else f" -> {origin.value}"
            print_text(f"  {origin.field}: {origin.template}{rendered}  ({'; '.join(notes)})")
    if not resources:
        print_text(f"{flow}: the flow has no resources")
    return 0


def _examined(flow: Asked, *, as_json: bool) -> Examination | None:
    """Return a flow whose graph and templates are right; what is wrong with resources is the answer itself.

    With `as_json`, what is wrong is printed as JSON, and None returned.

    Raises:
        AetherFlowError: the flow cannot be examined.
    """
    try:
        examined = flow.examine()
        if any(not d.code.startswith("AF5") for d in examined.errors):
            examined.raise_if_invalid()
    except AetherFlowError as error:
        if not as_json:
            raise
        diagnostics = list(map(asdict, _diagnostics_of(error, flow)))
        print_json({"file": str(flow), "ok": False, "diagnostics": diagnostics})
        return None
    return examined


def _diagnostics_of(error: AetherFlowError, flow: Asked) -> list[Diagnostic]:
    if isinstance(error, InvalidInput):
        return list(error.diagnostics)
    return [Diagnostic(code=error.code, message=error.message, file=str(flow), hint=error.hint)]
