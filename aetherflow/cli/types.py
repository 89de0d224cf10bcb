"""`steps` and `connectors`: what is installed, and what each type takes and gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from aetherflow.cli.output import print_json, print_text, say
from aetherflow.config.environment import load_environment
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import Redactor
from aetherflow.registry import CONNECTOR, STEP, Registry, registry_of

Field = dict[str, Any]


def list_steps(*, as_json: bool) -> int:
    """Print all step types with their summaries and where they come from; 2 if a plugin is broken."""
    registry = _registry()
    rows = [
        _row(name, registry.source(STEP, name), lambda name: registry.step_type(name).summary)
        for name in registry.step_names()
    ]
    _print_list(rows, as_json=as_json)
    return _tell_problems(registry)


def list_connectors(*, as_json: bool) -> int:
    """Print all connectors with their summaries and where they come from; 2 if a plugin is broken."""
    registry = _registry()
    rows = [
        _row(name, registry.source(CONNECTOR, name), lambda name: registry.connector_class(name).__doc__)
        for name in registry.connector_names()
    ]
    _print_list(rows, as_json=as_json)
    return _tell_problems(registry)


def step_names() -> list[str]:
    """Return the names of all step types."""
    return _registry().step_names()


def show_step(name: str, *, as_json: bool) -> int:
    """Print the inputs and outputs of a step type; 2 if a plugin is broken."""
    registry = _registry()
    found = _found(registry, registry.step_type, name)
    sections = {"inputs": _fields(found.input_type), "outputs": _fields(found.output_type)}
    _print_type(name, found.summary, registry.source(STEP, name), sections, as_json=as_json)
    return _tell_problems(registry)


def show_connector(name: str, *, as_json: bool) -> int:
    """Print the config and options of a connector; 2 if a plugin is broken."""
    registry = _registry()
    found = _found(registry, registry.connector_class, name)
    sections = {"config": _fields(found.config_type), "options": _fields(found.options_type)}
    source = registry.source(CONNECTOR, name)
    _print_type(name, _first_line(found.__doc__), source, sections, as_json=as_json)
    return _tell_problems(registry)


def _registry() -> Registry:
    redactor = Redactor()
    settings = load_environment(os.environ, redactor=redactor).settings
    return registry_of(settings, redactor=redactor)


def _found(registry: Registry, load: Callable[[str], Any], name: str) -> Any:
    try:
        return load(name)
    except AetherFlowError:
        _tell_problems(registry)
        raise


def _tell_problems(registry: Registry) -> int:
    """Tell what is wrong with plugins, and return the exit code."""
    for diagnostic in registry.diagnostics:
        say(str(diagnostic))
    return 2 if any(diagnostic.severity == "error" for diagnostic in registry.diagnostics) else 0


def _row(name: str, source: str, summary_of: Callable[[str], str | None]) -> dict[str, str]:
    try:
        summary = _first_line(summary_of(name))
    except AetherFlowError as error:
        summary = f"cannot be used: {error.message}"
    return {"name": name, "summary": summary, "source": source}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _print_list(rows: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        source = "" if row["source"] == "aetherflow" else f"  [{row['source']}]"
        print_text(f"{row['name']:<{width}}  {row['summary']}".rstrip() + source)


def _print_type(
    name: str, summary: str, source: str, sections: dict[str, list[Field]], *, as_json: bool
) -> None:
    if as_json:
        print_json({"name": name, "summary": summary, "source": source, **sections})
        return
    print_text(f"{name}: {summary}" if summary else name)
    if source != "aetherflow":
        print_text(f"from {source}")
    for title, fields in sections.items():
        print_text(f"{title}:" if fields else f"{title}: anything")
        _print_fields(fields, "  ", _given if title == "outputs" else _needed)


def _print_fields(fields: list[Field], indent: str, note: Callable[[Field], str]) -> None:
    for field in fields:
        print_text(f"{indent}{field['name']}: {field['type']}{note(field)}")
        _print_fields(field.get("fields", []), indent + "  ", note)


def _needed(field: Field) -> str:
    return " (required)" if field["required"] else f" (default {field.get('default', 'none')})"


def _given(field: Field) -> str:
    return "" if field["required"] or "default" in field else " (may be missing)"


def _fields(struct: type[Any]) -> list[Field]:
    if not issubclass(struct, msgspec.Struct):
        return []
    schema = msgspec.json.schema(struct)
    return _described(schema, schema.get("$defs", {}))


def _described(form: dict[str, Any], definitions: dict[str, Any]) -> list[Field]:
    """Return the fields of a JSON Schema, those of the structures in it as `fields` of theirs."""
    form = _definition(form, definitions)
    described = []
    for name, part in form.get("properties", {}).items():
        entry: Field = {
            "name": name,
            "type": _type_text(part),
            "required": name in form.get("required", ()),
        }
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
    if "enum" in form:
        return " | ".join(map(str, form["enum"]))
    if "$ref" in form:
        return "mapping"
    if form.get("type") == "array":
        return f"list of {_type_text(form['items'])}" if form.get("items") else "list"
    return {"string": "text", "object": "mapping"}.get(
        form.get("type", ""), str(form.get("type", "anything"))
    )
