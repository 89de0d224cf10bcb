"""What this machine lacks for a flow: `doctor` and `explain`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from aetherflow.app.examine import Examination
from aetherflow.app.places import places_of
from aetherflow.config.explain import FieldOrigin, explain_resource
from aetherflow.config.resource_check import missing_variables
from aetherflow.errors import AetherFlowError


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at, and how it is."""

    subject: str
    state: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""


class Setting(msgspec.Struct, frozen=True):
    """A setting as it is in force, and where it came from."""

    name: str
    value: str
    source: str


def examine_machine(examined: Examination) -> list[Finding]:
    """Look at everything a run would need; problems do not stop the others from being told."""
    findings = [
        Finding(f"{d.file}:{d.line}:{d.column}", d.severity, f"[{d.code}] {d.message}", d.hint)
        for d in examined.diagnostics
        if d.code != "AF536"
    ]
    findings += _variables(examined)
    findings += _places(examined)
    if examined.environment.secrets is not None:
        findings.append(Finding("secrets provider", "ok", examined.environment.secrets.source.origin))
    return findings


def settings_in_force(examined: Examination) -> list[Setting]:
    """Return every setting with its value and source, masked."""
    settings = examined.environment.settings
    return [
        Setting(name, examined.redactor.text(_spelled(getattr(settings, name))), source)
        for name, source in settings.sources.items()
    ]


def _spelled(value: object) -> str:
    """Return a setting as its variable would spell it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)


def explained_resources(examined: Examination) -> dict[str, list[FieldOrigin]]:
    """Return where each field of each resource comes from, values masked."""
    return {
        name: explain_resource(
            name, spec, examined.profiles, examined.environment.variables, redactor=examined.redactor
        )
        for name, spec in examined.plan.resources.items()
    }


def _variables(examined: Examination) -> list[Finding]:
    findings: list[Finding] = []
    for name, spec in examined.plan.resources.items():
        try:
            missing = missing_variables(name, spec, examined.profiles, examined.environment.variables)
        except AetherFlowError:
            continue  # told already, as a diagnostic of the flow
        findings += [
            Finding(
                f"resource {name}",
                "error",
                f"{one.field} needs the environment variable {one.variable}, which is not set",
                f"export {one.variable}=...",
            )
            for one in missing
        ]
        if not missing:
            findings.append(Finding(f"resource {name}", "ok", "all variables are set"))
    return findings


def _places(examined: Examination) -> list[Finding]:
    try:
        places = places_of(examined, None)
    except AetherFlowError as error:
        return [Finding("flow", "error", error.message, error.hint)]
    return [_state(places.state), _place("workspace", places.work_root)]


def _state(path: Path) -> Finding:
    """Say whether the state database can be kept there; a run looks into the file itself."""
    if path.is_dir():
        return Finding("state", "error", f"{path} is a folder, and should be a file")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return Finding(
            "state", "error", f"{path} cannot be read and written", "give read and write permission"
        )
    folder = _place("state", path.parent)
    if folder.state == "ok":
        return Finding("state", "ok", f"{path}{'' if path.exists() else ' can be made'}")
    return folder


def _place(subject: str, directory: Path) -> Finding:
    """Say whether a folder exists, or could be made, and can be written."""
    nearest = next((path for path in (directory, *directory.parents) if path.exists()), Path("/"))
    if not nearest.is_dir():
        return Finding(subject, "error", f"{nearest} is a file, and {directory} should be a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        hint = f"give write permission, or choose another place for the {subject}"
        return Finding(subject, "error", f"{nearest} cannot be written", hint)
    return Finding(subject, "ok", f"{directory}{'' if nearest == directory else ' can be made'}")
