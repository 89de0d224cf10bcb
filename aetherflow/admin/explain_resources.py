"""Explain where each field of each resource of a flow comes from, for `explain`."""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow.config.cache_option import CACHE_OPTION
from aetherflow.config.env_files import value_text
from aetherflow.config.merge import merge_resource
from aetherflow.config.resource_origins import FieldOrigin, explain_resource
from aetherflow.errors import AetherFlowError
from aetherflow.redaction import MASK, names_a_secret
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.spec.flow import ResourceSpec


class ResourceOrigin(msgspec.Struct, frozen=True):
    """Where the fields of one resource come from.

    Attributes:
        driver: its connector, `kind:driver`.
        decode: the fields that go through the secrets provider, as profile and flow say together.
        problem: why that is unknown, for instance because its profile does not exist.
    """

    driver: str
    profile: str | None
    fields: list[FieldOrigin]
    problem: str = ""
    kind: str = ""
    decode: dict[str, Any] = {}


def explain_resources(checked: CheckedFlow) -> dict[str, ResourceOrigin]:
    """Return where each field of each resource comes from, with masked values."""
    return {name: _explained(checked, name, spec) for name, spec in checked.plan.resources.items()}


def _explained(checked: CheckedFlow, name: str, spec: ResourceSpec) -> ResourceOrigin:
    driver = spec.connector
    try:
        fields = explain_resource(
            name,
            spec,
            checked.profiles,
            checked.environment.variables,
            redactor=checked.redactor,
            origins=checked.environment.origins,
        )
    except AetherFlowError as error:
        return ResourceOrigin(driver, spec.profile, [], checked.redactor.text(error.message), spec.kind)
    found = [*fields, *_defaults(checked, driver, fields)]
    decode = merge_resource(name, spec, checked.profiles).decode
    return ResourceOrigin(driver, spec.profile, found, kind=spec.kind, decode=decode)


def _defaults(checked: CheckedFlow, driver: str, given: list[FieldOrigin]) -> list[FieldOrigin]:
    """Return the connector's defaults for fields that neither the flow nor the profile sets."""
    try:
        cls = checked.registry.connector_class(driver)
    except AetherFlowError:
        return []  # a diagnostic of the flow says why
    known = {".".join(origin.field.split(".")[:2]) for origin in given}
    found = [
        FieldOrigin(f"{section}.{name}", "default", shown, shown)
        for section, shape in (("config", cls.config_type), ("options", cls.options_type))
        for name, text in _defaults_of(shape)
        if f"{section}.{name}" not in known
        for shown in (MASK if text and names_a_secret(name) else text,)
    ]
    settings = checked.environment.settings
    if f"options.{CACHE_OPTION}" not in known:
        cache = "none" if settings.connector_cache_disabled else settings.connector_cache_default
        found.append(FieldOrigin(f"options.{CACHE_OPTION}", "default", cache, cache))
    return found


def _defaults_of(shape: type[Any]) -> list[tuple[str, str]]:
    """Return the fields of a Struct with a default other than null, and these defaults as text."""
    if not issubclass(shape, msgspec.Struct):
        return []
    found = []
    for field in msgspec.structs.fields(shape):
        if field.required:
            continue
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if default is not None:
            plain = msgspec.to_builtins(default, enc_hook=str)
            found.append((field.encode_name, value_text(plain)))
    return found
