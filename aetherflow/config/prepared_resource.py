"""Prepare a resource: compile its templates, read its decode rules, collect the diagnostics of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from aetherflow.config.decode_rules import decoded_fields
from aetherflow.config.merge import MergedResource, merge_resource
from aetherflow.config.resource_fields import (
    SECRET_KEY,
    FieldDiagnostic,
    FieldPath,
    field_at,
    field_name,
    fields,
    is_reference,
    is_secret_field,
)
from aetherflow.config.resource_scope import is_of_resource
from aetherflow.config.secret_reference import (
    SecretReference,
    beside_others,
    reference_problem,
    rendered_reference,
)
from aetherflow.language.reference import MissingValue, NoValue, Reference, TextDiagnostic, look_up
from aetherflow.language.scan import scan
from aetherflow.language.template import Template, compile_template
from aetherflow.spec.flow import ProfileSpec, ResourceSpec


class PreparedResource(msgspec.Struct, frozen=True):
    """A resource that is complete except for values of the environment.

    Attributes:
        merged: the resource with its profile.
        template: the tree `{config, options}`.
        decoded: the fields that go through the provider's `decode`.
        secrets: the fields that are `{secret: ...}`, with its text.
        problems: the errors that no environment can repair.
    """

    merged: MergedResource
    template: Template
    decoded: tuple[FieldPath, ...]
    problems: tuple[FieldDiagnostic, ...]
    secrets: Mapping[FieldPath, str] = {}

    @property
    def driver(self) -> str:
        """The `kind:driver` of its connector."""
        return self.merged.own.connector

    def is_secret(self, field: FieldPath) -> bool:
        """Whether the value of a field is masked as a whole: decoded, fetched, or named like a secret."""
        return field in self.decoded or field in self.secrets or is_secret_field(field)


def prepare_resource(
    name: str, spec: ResourceSpec, profiles: Mapping[str, ProfileSpec] | None
) -> PreparedResource:
    """Merge a resource with its profile and compile it.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
    """
    merged = merge_resource(name, spec, profiles)
    decoded, problems = decoded_fields(merged)
    template, wrong = compile_template(merged.sections)
    problems += [_template_problem(problem, decoded) for problem in wrong]
    problems += [
        _foreign(reference, decoded) for reference in template.references if not is_of_resource(reference)
    ]
    broken = {problem.where for problem in wrong}
    problems += [
        _mixed(field)
        for field in decoded
        if field not in broken and _is_mixed(field_at(merged.sections, field))
    ]
    secrets = {path: value for path, value in fields(merged.sections) if is_reference(value)}
    problems += [bad for path, value in secrets.items() if (bad := reference_problem(path, value))]
    problems += [bad for path, value in _mappings(merged.sections) if (bad := beside_others(path, value))]
    return PreparedResource(
        merged,
        template,
        tuple(decoded),
        tuple(problems),
        {path: str(value[SECRET_KEY]) for path, value in secrets.items()},
    )


def _mappings(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Mapping[str, Any]]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    if isinstance(value, Mapping) and len(path) > 1:
        yield path, value
    for key, item in items:
        if isinstance(item, Mapping | list):
            yield from _mappings(item, (*path, key))


def missing_references(prepared: PreparedResource, env: Mapping[str, str]) -> list[Reference]:
    """Return the references to the environment that have neither a value nor a default."""
    references = prepared.template.references
    return [one for one in references if one.default is None and _is_env(one) and not env_value(one, env)]


def known_secrets(prepared: PreparedResource, env: Mapping[str, str]) -> dict[FieldPath, SecretReference]:
    """Return the secret references of a resource whose templates can be rendered with this environment."""
    known = {}
    for field, written in prepared.secrets.items():
        with suppress(MissingValue, ValueError):  # the checks report both
            known[field] = rendered_reference(written, env, prepared.merged.folder(field))
    return known


def env_value(reference: Reference, env: Mapping[str, str]) -> str:
    """Return the value of the variable that a reference names; an empty text if it is not set."""
    try:
        value = look_up({"env": env}, reference.path)
    except NoValue:
        return ""
    return value if isinstance(value, str) else ""


def variable_name(reference: Reference) -> str:
    """Return the variable that a reference `env.NAME` names."""
    return ".".join(reference.path[1:])


def _is_env(reference: Reference) -> bool:
    return reference.path[0] == "env" and len(reference.path) > 1


def _is_mixed(value: object) -> bool:
    """Whether a text is neither plain nor one token alone (spaces around it do not count)."""
    if not isinstance(value, str):
        return False
    parts, _ = scan(value, ())
    tokens = [part for part in parts if isinstance(part, Reference)]
    texts = [part for part in parts if isinstance(part, str) and part.strip()]
    return len(tokens) > 1 or bool(tokens and texts)


def _mixed(field: FieldPath) -> FieldDiagnostic:
    message = f"{field_name(field)} is decoded, so it must be one token alone or plain text"
    hint = "write '{{env.NAME}}' and put the rest into the variable"
    return FieldDiagnostic(field, "AF530", message, hint)


def _template_problem(problem: TextDiagnostic, decoded: list[FieldPath]) -> FieldDiagnostic:
    """Translate a diagnostic of a template; the text of a secret field is never repeated."""
    is_secret = problem.where in decoded or is_secret_field(problem.where)
    hint = "this secret holds braces: put it into an environment variable" if is_secret else problem.hint
    message = f"{field_name(problem.where)}: {problem.message}"
    return FieldDiagnostic(problem.where, problem.code, message, hint)


def _foreign(reference: Reference, decoded: list[FieldPath]) -> FieldDiagnostic:
    is_secret = reference.where in decoded or is_secret_field(reference.where)
    token = "this token" if is_secret else f"{{{{{'.'.join(reference.path)}}}}}"
    message = f"{field_name(reference.where)}: a resource cannot use {token}"
    hint = "resources may use only {{env.NAME}} and {{flow.dir}}: they are opened before any step has run"
    return FieldDiagnostic(reference.where, "AF535", message, hint)
