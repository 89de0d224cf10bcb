"""`steps` and `connectors`: what is installed, and what each type takes and gives."""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow import registry
from aetherflow.cli.output import print_json, print_text
from aetherflow.errors import AetherFlowError

Field = dict[str, Any]


def list_steps(*, as_json: bool) -> None:
    """Print all step types with their summaries."""
    _print_list(
        [_summary(name, registry.step_type, "summary") for name in registry.step_names()], as_json=as_json
    )


def list_connectors(*, as_json: bool) -> None:
    """Print all connectors with their summaries."""
    rows = [_summary(name, registry.connector_class, "__doc__") for name in registry.connector_names()]
    _print_list(rows, as_json=as_json)


def show_step(name: str, *, as_json: bool) -> None:
    """Print the inputs and outputs of a step type."""
    found = registry.step_type(name)
    _print_type(
        found.name,
        found.summary,
        {"inputs": _fields(found.input_type), "outputs": _fields(found.output_type)},
        as_json=as_json,
    )


def show_connector(name: str, *, as_json: bool) -> None:
    """Print the config and options of a connector."""
    found = registry.connector_class(name)
    sections = {"config": _fields(found.config_type), "options": _fields(found.options_type)}
    _print_type(name, _first_line(found.__doc__), sections, as_json=as_json)


def _summary(name: str, load: Any, attribute: str) -> dict[str, str]:
    try:
        return {"name": name, "summary": _first_line(getattr(load(name), attribute))}
    except AetherFlowError as error:
        return {"name": name, "summary": f"cannot be used: {error.message}"}


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _print_list(rows: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print_text(f"{row['name']:<{width}}  {row['summary']}".rstrip())


def _print_type(name: str, summary: str, sections: dict[str, list[Field]], *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "summary": summary, **sections})
        return
    print_text(f"{name}: {summary}" if summary else name)
    for title, fields in sections.items():
        print_text(f"{title}:" if fields else f"{title}: anything")
        _print_fields(fields, "  ")


def _print_fields(fields: list[Field], indent: str) -> None:
    for field in fields:
        needed = "required" if field["required"] else f"default {field.get('default', 'none')}"
        print_text(f"{indent}{field['name']}: {field['type']} ({needed})")
        _print_fields(field.get("fields", []), indent + "  ")


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
