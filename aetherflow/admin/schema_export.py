"""Build the JSON Schema of each kind of file, with the installed step types and connectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from aetherflow.admin.event_schema import event_schema
from aetherflow.config.cache_option import CACHE_OPTION, CacheScope
from aetherflow.config.environment import load_environment
from aetherflow.config.project import project_here
from aetherflow.errors import AetherFlowError
from aetherflow.registry import Registry, registry_of
from aetherflow.spec.flow import FlowFile, ProfileSpec
from aetherflow.spec.json_schema import Definitions, Schema, case, described, document_schema
from aetherflow.spec.manifest import ManifestFile
from aetherflow.spec.project import ProjectFile
from aetherflow.spec.schedule import ScheduleFile

Kind = Literal["flow", "profiles", "manifest", "scheduler", "project", "events"]
KINDS: tuple[str, ...] = get_args(Kind)


def schema_of(kind: Kind, process_env: Mapping[str, str]) -> Schema:
    """Return the JSON Schema (draft-07) of a kind of file, or of the records of events.

    Raises:
        ConfigError: a setting cannot be used, or a plugin path cannot be loaded.
    """
    if kind == "events":
        return event_schema()
    if kind == "manifest":
        return document_schema("AetherFlow manifest of a bundle", ManifestFile)
    if kind == "project":
        return document_schema("AetherFlow project file", ProjectFile)
    if kind == "profiles":
        return document_schema("AetherFlow profiles file", dict[str, ProfileSpec])
    environment = load_environment(process_env, project=project_here().project)
    registry = registry_of(environment.settings, own=environment.steps_folders)
    definitions = Definitions()
    if kind == "scheduler":
        schema = document_schema("AetherFlow scheduler file", ScheduleFile, definitions)
        _add_step_types(definitions, registry)
        return schema
    schema = document_schema("AetherFlow flow file", FlowFile, definitions)
    _add_step_types(definitions, registry)
    resource = definitions.written["ResourceSpec"]
    resource["allOf"] = _resource_cases(registry)
    resource["properties"]["options"]["properties"] = {CACHE_OPTION: _cache_option()}
    return schema


def _add_step_types(definitions: Definitions, registry: Registry) -> None:
    """Let the type of a step be one that there is, and its inputs those of its type."""
    step = definitions.written["StepSpec"]
    names = registry.step_names()
    cases = _step_cases(registry, names, definitions)
    step["properties"]["type"]["enum"] = names
    by_type = [{"$ref": "#/definitions/InputsByType"}]
    step["allOf"] = by_type
    for name, inner in definitions.written.items():
        if ":" in name and {"type", "inputs"} <= inner["properties"].keys():  # a nested step
            inner["properties"]["type"]["anyOf"] = [{"enum": names}, {"pattern": r"\{\{"}]
            inner["allOf"] = by_type
    definitions.written["InputsByType"] = {"allOf": cases}


def _cache_option() -> Schema:
    """Return the one option that every resource has."""
    return {
        "description": "Who shares the open connector: the steps of a run, the runs of a process, or nobody.",
        "anyOf": [{"enum": list(get_args(CacheScope))}, {"type": "string", "pattern": r"\{\{"}],
    }


def _step_cases(registry: Registry, names: list[str], definitions: Definitions) -> list[Schema]:
    """Return the schema of the inputs of each step type that declares them."""
    cases = []
    for name in names:
        try:
            step_type = registry.step_type(name)
        except AetherFlowError:
            continue  # its package is not installed: nothing is known of its inputs
        if not issubclass(step_type.input_type, msgspec.Struct):
            continue
        definitions.schema(step_type.input_type, prefix=f"{name}:", inputs=True)
        inputs = f"{name}:{step_type.input_type.__name__}"
        then: Schema = {"properties": {"inputs": {"$ref": f"#/definitions/{inputs}"}}}
        if definitions.written[inputs].get("required"):
            then["required"] = ["inputs"]
        cases.append(case("type", [name], then))
    return cases


def _resource_cases(registry: Registry) -> list[Schema]:
    """Return the drivers of each kind, and the config and options of each driver."""
    drivers: dict[str, list[str]] = {}
    cases = []
    for name in registry.connector_names():
        kind, _, driver = name.partition(":")
        drivers.setdefault(kind, []).append(driver)
        try:
            found = registry.connector_class(name)
        except AetherFlowError:
            continue
        sections = {"config": found.config_type, "options": found.options_type}
        hints = {
            key: {"properties": properties}
            for key, struct in sections.items()
            if (properties := _hints(struct))
        }
        if hints:
            cases.append(case("kind", [kind], case("driver", [driver], {"properties": hints})))
    kinds: list[Schema] = [
        case("kind", [kind], {"properties": {"driver": {"enum": known}}}) for kind, known in drivers.items()
    ]
    return [{"properties": {"kind": {"enum": list(drivers)}}}, *kinds, *cases]


def _hints(struct: type) -> Schema:
    """Return the fields of a connector without types, as values may be templates or come from a profile."""
    if not issubclass(struct, msgspec.Struct):
        return {}
    _, about = described(struct)
    return {
        field.encode_name: {"description": about[field.name]} if field.name in about else {}
        for field in msgspec.structs.fields(struct)
    }
