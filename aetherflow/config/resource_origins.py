"""Explain where each field of a resource comes from, for `aetherflow explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aetherflow.config.env_files import value_text
from aetherflow.config.prepared_resource import (
    env_value,
    known_secrets,
    missing_references,
    prepare_resource,
    variable_name,
)
from aetherflow.config.resource_fields import field_name, fields
from aetherflow.config.resources import known_values, register_known
from aetherflow.config.secret_reference import SecretReference
from aetherflow.config.settings import ENVIRONMENT
from aetherflow.language.reference import Reference
from aetherflow.language.scan import scan
from aetherflow.redaction import MASK, Redactor, names_a_secret
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


class Variable(msgspec.Struct, frozen=True):
    """A variable that a field uses, and the layer of the environment that its value comes from, if any.

    Attributes:
        source: "environment", "env file PATH", "expand_env of FILE", "default" or "not set".
    """

    name: str
    source: str


class FieldOrigin(msgspec.Struct, frozen=True):
    """One field of a resource, explained without its secrets.

    Attributes:
        field: its name, `config.url`.
        source: "flow", "profile NAME", or "default" for what neither says and the connector fills in.
        template: its text in the file, literal secrets masked.
        value: the rendered value, masked; empty if a variable is missing or the template is wrong.
        decoded: whether the secrets provider decodes it.
        missing: the variables that it needs and that have no value.
        variables: the variables that its templates name.
        provider: the provider of its secret: env, file, command, keyring; empty if it is not a `{secret:
            ...}`.
    """

    field: str
    source: str
    template: str
    value: str
    decoded: bool = False
    missing: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    provider: str = ""


def explain_resource(
    name: str,
    spec: ResourceSpec,
    profiles: Mapping[str, ProfileSpec] | None,
    env: Mapping[str, str],
    *,
    redactor: Redactor,
    origins: Mapping[str, str] | None = None,
) -> list[FieldOrigin]:
    """Return every field of a resource with its origin; nothing is fetched or decoded, no secret is shown.

    `origins` says which layer of the environment each variable comes from.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
    """
    prepared = prepare_resource(name, spec, profiles)
    leaves = {path: raw for path, raw in fields(prepared.merged.sections) if len(path) > 1}
    register_known(prepared, env, redactor)
    values = known_values(prepared, env)
    secrets = known_secrets(prepared, env)
    missing = missing_references(prepared, env)
    explained = []
    for path, raw in leaves.items():
        references = [one for one in prepared.template.references if one.where[: len(path)] == path]
        lacking = [variable_name(one) for one in missing if one in references]
        found = FieldOrigin(
            field=field_name(path),
            source=prepared.merged.source(path),
            template="",
            value="",
            decoded=path in prepared.decoded,
            missing=tuple(lacking),
            variables=tuple(_variable(one, env, origins or {}) for one in references if one.path[0] == "env"),
        )
        explained.append(
            _secret_field(found, prepared.secrets[path], secrets.get(path), env, origins or {}, redactor)
            if path in prepared.secrets
            else msgspec.structs.replace(
                found,
                template=_shown_template(raw, redactor, is_secret=prepared.is_secret(path)),
                value=_shown_value(values[path], redactor, is_secret=prepared.is_secret(path)),
            )
        )
    return explained


def _variable(reference: Reference, env: Mapping[str, str], origins: Mapping[str, str]) -> Variable:
    name = variable_name(reference)
    if env_value(reference, env):
        return Variable(name, origins.get(name, ENVIRONMENT))
    return Variable(name, "not set" if reference.default is None else "default")


def _secret_field(
    found: FieldOrigin,
    written: str,
    reference: SecretReference | None,
    env: Mapping[str, str],
    origins: Mapping[str, str],
    redactor: Redactor,
) -> FieldOrigin:
    """Return a `{secret: ...}` with where the secret is, never with the secret."""
    template = _shown_template(written, redactor, is_secret=False)
    if reference is None:
        return msgspec.structs.replace(found, template=template)
    if reference.provider == "env":
        is_set = bool(env.get(reference.name))
        source = origins.get(reference.name, ENVIRONMENT) if is_set else "not set"
        found = msgspec.structs.replace(
            found,
            missing=(*found.missing, *(() if is_set else (reference.name,))),
            variables=(*found.variables, Variable(reference.name, source)),
        )
    value = "" if found.missing else MASK
    return msgspec.structs.replace(found, template=template, value=value, provider=reference.provider)


def _shown_value(value: Any, redactor: Redactor, *, is_secret: bool) -> str:
    if is_secret and value not in ("", None):
        return MASK
    return redactor.text(value_text(value))


def _shown_template(raw: Any, redactor: Redactor, *, is_secret: bool) -> str:
    """Return the text of a template with literal secrets masked: plain text and defaults may be some."""
    if not isinstance(raw, str):
        return _shown_value(raw, redactor, is_secret=is_secret)
    parts, problems = scan(raw, ())
    if problems:
        return MASK if is_secret else redactor.text(raw)
    shown = [
        _shown_token(part, is_secret=is_secret)
        if isinstance(part, Reference)
        else MASK
        if is_secret
        else part
        for part in parts
    ]
    return redactor.text("".join(shown))


def _shown_token(reference: Reference, *, is_secret: bool) -> str:
    if is_secret and reference.path[0] != "env":
        return MASK  # an error, and perhaps a literal secret in double braces
    path = ".".join(reference.path)
    if reference.default is None:
        return f"{{{{{reference.written}}}}}"
    hidden = reference.default and (is_secret or names_a_secret(path))
    return f"{{{{{reference.written}:{MASK if hidden else reference.default}}}}}"
