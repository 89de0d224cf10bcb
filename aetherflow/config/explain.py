"""Where each field of a resource comes from: what `explain` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aetherflow.config.env_files import value_text
from aetherflow.config.fields import field_name, fields
from aetherflow.config.prepared import missing_references, prepare_resource, variable_name
from aetherflow.config.resources import register_references, register_values
from aetherflow.language.reference import MissingValue, Reference
from aetherflow.language.scan import scan
from aetherflow.language.template import compile_template
from aetherflow.secret import MASK, Redactor, names_a_secret
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


class FieldOrigin(msgspec.Struct, frozen=True):
    """One field of a resource, explained without its secrets.

    Attributes:
        field: its name, `config.url`.
        source: "flow" or "profile NAME".
        template: what stands there, literal secrets masked.
        value: what it becomes, masked; empty when a variable is missing or the template is wrong.
        decoded: whether it goes through the secrets provider.
        missing: the variables that it needs and that have no value.
    """

    field: str
    source: str
    template: str
    value: str
    decoded: bool = False
    missing: tuple[str, ...] = ()


def explain_resource(
    name: str,
    spec: ResourceSpec,
    profiles: Mapping[str, ProfileSpec] | None,
    env: Mapping[str, str],
    *,
    redactor: Redactor,
) -> list[FieldOrigin]:
    """Return every field of a resource with its origin; nothing is decoded and no secret is shown.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
    """
    prepared = prepare_resource(name, spec, profiles)
    leaves = {path: raw for path, raw in fields(prepared.merged.sections) if len(path) > 1}
    register_references(prepared.template.references, env, redactor)
    values = {path: _rendered(raw, env) for path, raw in leaves.items()}
    for path, value in values.items():
        register_values({str(path[-1]): value}, redactor)
        if prepared.is_secret(path) and isinstance(value, str):
            redactor.add(value)
    missing = missing_references(prepared, env)
    return [
        FieldOrigin(
            field=field_name(path),
            source=prepared.merged.source(path),
            template=_shown_template(raw, redactor, is_secret=prepared.is_secret(path)),
            value=_shown_value(values[path], redactor, is_secret=prepared.is_secret(path)),
            decoded=path in prepared.decoded,
            missing=tuple(variable_name(one) for one in missing if one.where == path),
        )
        for path, raw in leaves.items()
    ]


def _rendered(raw: Any, env: Mapping[str, str]) -> Any:
    """Return what a field becomes; an empty text if its template is wrong or a variable is missing."""
    template, problems = compile_template(raw)
    if problems:
        return ""
    try:
        return template.render({"env": env})
    except MissingValue:
        return ""


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
        return f"{{{{{path}}}}}"
    hidden = reference.default and (is_secret or names_a_secret(path))
    return f"{{{{{path}:{MASK if hidden else reference.default}}}}}"
