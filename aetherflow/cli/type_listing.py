"""Print the installed step types or connectors, and the fields of one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

from msgspec.structs import asdict

from aetherflow import exit_codes
from aetherflow.cli.environment_here import environment_here
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import print_report
from aetherflow.cli.type_fields import Field
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import Redactor
from aetherflow.registry import STEP, Registry, registry_of

WIDTH = 100
"""How long a line of a description is, at most."""


def installed_types() -> Registry:
    """Return the registry of what is installed here."""
    redactor = Redactor()
    environment = environment_here(redactor)
    return registry_of(environment.settings, redactor=redactor, own=environment.steps_folders)


def found_type(registry: Registry, load: Callable[[str], Any], name: str) -> Any:
    """Load a type by its name; if it cannot be loaded, print the diagnostics of plugins first."""
    try:
        return load(name)
    except AetherFlowError:
        print_problems(registry)
        raise


def print_problems(registry: Registry) -> int:
    """Print the diagnostics of plugins, and return the exit code."""
    for diagnostic in (*registry.diagnostics, *registry.unneeded_problems):
        print_note(str(diagnostic))
    return _code(registry)


def _code(registry: Registry) -> int:
    """Return the exit code of a command that loaded plugins."""
    bad = any(diagnostic.severity == "error" for diagnostic in registry.diagnostics)
    return exit_codes.INVALID if bad else exit_codes.SUCCESS


def _report(registry: Registry, command: str, keys: dict[str, Any]) -> int:
    """Print a report with the diagnostics of plugins in it, and return the exit code."""
    diagnostics = list(map(asdict, (*registry.diagnostics, *registry.unneeded_problems)))
    print_report(command, {**keys, "diagnostics": diagnostics}, code=_code(registry))
    return print_problems(registry)


def _summary(name: str, summary_of: Callable[[str], str | None]) -> str:
    try:
        return first_line(summary_of(name))
    except AetherFlowError as error:
        return f"cannot be used: {error.message}"


def first_line(text: str | None) -> str:
    """Return the first line of a docstring."""
    return (text or "").strip().partition("\n")[0]


def print_types(
    registry: Registry, kind: str, summary_of: Callable[[str], str | None], *, as_json: bool
) -> int:
    """Print all types of a kind, one a line: name, summary, and where it comes from; return the exit code."""
    names = registry.step_names() if kind == STEP else registry.connector_names()
    rows = [
        {"name": name, "summary": _summary(name, summary_of), "source": registry.source(kind, name)}
        for name in names
    ]
    if as_json:
        command = "steps" if kind == STEP else "connectors"
        return _report(registry, f"{command}.list", {command: rows})
    width = max(map(len, names))
    for row in rows:
        source = "" if row["source"] == "aetherflow" else f"  [{row['source']}]"
        print_text(f"{row['name']:<{width}}  {row['summary']}".rstrip() + source)
    return print_problems(registry)


def print_type(
    registry: Registry,
    kind: str,
    name: str,
    summary: str,
    sections: dict[str, list[Field]],
    example: str,
    *,
    as_json: bool,
) -> int:
    """Print one type with the fields of each section and an example, and return the exit code."""
    source = registry.source(kind, name)
    if as_json:
        command = "steps.show" if kind == STEP else "connectors.show"
        about = {"name": name, "summary": summary, "source": source, "example": example}
        return _report(registry, command, {**about, **sections})
    print_text(f"{name}: {summary}" if summary else name)
    if source != "aetherflow":
        print_text(f"from {source}")
    for title, fields in sections.items():
        print_text(f"{title}:" if fields else f"{title}: anything")
        _print_fields(fields, "  ", _given if title == "outputs" else _needed)
    print_text(f"example:\n{textwrap.indent(example, '  ')}")
    return print_problems(registry)


def _print_fields(fields: list[Field], indent: str, note: Callable[[Field], str]) -> None:
    for field in fields:
        print_text(f"{indent}{field['name']}: {field['type']}{note(field)}")
        deeper = f"{indent}    "
        for line in textwrap.wrap(field.get("description", ""), WIDTH - len(deeper)):
            print_text(deeper + line)
        _print_fields(field.get("fields", []), f"{indent}  ", note)


def _needed(field: Field) -> str:
    if "one_of" in field:
        return f" (required: {' or '.join(field['one_of'])})"
    return " (required)" if field["required"] else f" (default {field.get('default', 'none')})"


def _given(field: Field) -> str:
    return "" if field["required"] or "default" in field else " (may be missing)"
