"""Print the installed step types or connectors, and the fields of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import asdict

from aetherflow import exit_codes
from aetherflow.cli.printing import print_note, print_text
from aetherflow.cli.report import print_report
from aetherflow.config.environment import load_environment
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import Redactor
from aetherflow.registry import STEP, Registry, registry_of

Field = dict[str, Any]


def installed_types() -> Registry:
    """Return the registry of what is installed here."""
    redactor = Redactor()
    settings = load_environment(os.environ, redactor=redactor).settings
    return registry_of(settings, redactor=redactor)


def found_type(registry: Registry, load: Callable[[str], Any], name: str) -> Any:
    """Load a type by its name; if it cannot be loaded, print the diagnostics of plugins first."""
    try:
        return load(name)
    except AetherFlowError:
        print_problems(registry)
        raise


def print_problems(registry: Registry) -> int:
    """Print the diagnostics of plugins, and return the exit code."""
    for diagnostic in registry.diagnostics:
        print_note(str(diagnostic))
    return _code(registry)


def _code(registry: Registry) -> int:
    """Return the exit code of a command that loaded plugins."""
    bad = any(diagnostic.severity == "error" for diagnostic in registry.diagnostics)
    return exit_codes.INVALID if bad else exit_codes.SUCCESS


def _report(registry: Registry, command: str, keys: dict[str, Any]) -> int:
    """Print a report with the diagnostics of plugins in it, and return the exit code."""
    diagnostics = list(map(asdict, registry.diagnostics))
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
    registry: Registry, kind: str, name: str, summary: str, sections: dict[str, list[Field]], *, as_json: bool
) -> int:
    """Print one type with the fields of each section, and return the exit code."""
    source = registry.source(kind, name)
    if as_json:
        command = "steps.show" if kind == STEP else "connectors.show"
        return _report(registry, command, {"name": name, "summary": summary, "source": source, **sections})
    print_text(f"{name}: {summary}" if summary else name)
    if source != "aetherflow":
        print_text(f"from {source}")
    for title, fields in sections.items():
        print_text(f"{title}:" if fields else f"{title}: anything")
        _print_fields(fields, "  ", _given if title == "outputs" else _needed)
    return print_problems(registry)


def _print_fields(fields: list[Field], indent: str, note: Callable[[Field], str]) -> None:
    for field in fields:
        print_text(f"{indent}{field['name']}: {field['type']}{note(field)}")
        _print_fields(field.get("fields", []), indent + "  ", note)


def _needed(field: Field) -> str:
    return " (required)" if field["required"] else f" (default {field.get('default', 'none')})"


def _given(field: Field) -> str:
    return "" if field["required"] or "default" in field else " (may be missing)"


def fields_of(struct: type[Any]) -> list[Field]:
    """Return the fields of a Struct, with those of inner Structs in `fields`; none for any other type."""
    if not issubclass(struct, msgspec.Struct):
        return []
    schema = msgspec.json.schema(struct)
    return _described(schema, schema.get("$defs", {}))


def _described(form: dict[str, Any], definitions: dict[str, Any]) -> list[Field]:
    """Return the fields of a JSON Schema, with those of inner structures in `fields`."""
    form = _definition(form, definitions)
    described = []
    for name, part in form.get("properties", {}).items():
        entry: Field = {"name": name, "type": _type_text(part), "required": name in form.get("required", ())}
        if "default" in part:
            entry["default"] = msgspec.json.encode(part["default"]).decode()
        for option in part.get("anyOf", [part]):
            if inner := _described(option, definitions):
                entry["fields"] = inner
        described.append(entry)
    return described


def _definition(form: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions[str(form["$ref"]).rpartition("/")[2]] if "$ref" in form else form
    return found


def _type_text(form: dict[str, Any]) -> str:
    """Return a JSON Schema as a few words."""
    if "anyOf" in form:
        return " or ".join(_type_text(option) for option in form["anyOf"])
    if form.get("format") == "duration":
        return "duration"
    if "enum" in form:
        return " | ".join(map(str, form["enum"]))
    if "$ref" in form:
        return "mapping"
    if form.get("type") == "array":
        return f"list of {_type_text(form['items'])}" if form.get("items") else "list"
    return {"string": "text", "object": "mapping"}.get(
        form.get("type", ""), str(form.get("type", "anything"))
    )
