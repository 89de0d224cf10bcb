"""Resolve resources: merge the profile, render templates, decode and fetch secrets, mask them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.config.prepared_resource import (
    PreparedResource,
    env_value,
    known_secrets,
    missing_references,
    prepare_resource,
    variable_name,
)
from aetherflow.config.resource_fields import (
    SECRET_KEY,
    FieldDiagnostic,
    FieldPath,
    field_at,
    field_name,
    fields,
)
from aetherflow.config.resource_scope import resource_scope
from aetherflow.config.secret_reference import rendered_reference
from aetherflow.config.secrets_provider import Decoder
from aetherflow.config.value_providers import Known, Surroundings, fetch_secret, nothing_known
from aetherflow.errors import ConfigError
from aetherflow.language.reference import Lenient, MissingValue, Reference
from aetherflow.language.template import compile_template
from aetherflow.redaction import Redactor, names_a_secret
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.suggest import nearest


class ResolvedResource(msgspec.Struct, frozen=True):
    """A resource with all values resolved, ready to open its connector; the values may be secret."""

    name: str
    kind: str
    driver: str
    config: dict[str, Any] = {}
    options: dict[str, Any] = {}


def resolve_resource(
    name: str,
    spec: ResourceSpec,
    profiles: Mapping[str, ProfileSpec] | None,
    env: Mapping[str, str],
    *,
    decoder: Decoder | None,
    redactor: Redactor,
    strict: bool = True,
    mark: Callable[[], Mapping[str, str]] = dict,
    warn: Callable[[str], None] | None = None,
    known: Known = nothing_known,
) -> ResolvedResource:
    """Resolve a resource of a flow; blocking, when secrets are fetched from files, programs or a keyring.

    Args:
        name: the name of the resource.
        spec: the resource in the flow file.
        profiles: the profiles, or None if no profiles file is set.
        env: the environment snapshot.
        decoder: `decode` of the secrets provider; without one, fields to decode keep their value.
        redactor: gets every secret of the resource before this function returns.
        strict: whether a variable without a value is an error, or an empty text and a warning.
        mark: returns extra variables for a program that prints a secret.
        warn: called with each warning.
        known: returns what was fetched or decoded a moment ago, so that it is not fetched again.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
        ConfigError: a template, a decode rule or a variable is wrong (all are named), a secret cannot be
            fetched, or decoding failed.
    """

    def doubt(message: str) -> None:
        if warn is not None:
            warn(f"resource {name!r}: {message}")

    prepared = prepare_resource(name, spec, profiles)
    problems = list(prepared.problems)
    if strict:
        problems += [missing_problem(reference, env) for reference in missing_references(prepared, env)]
    if problems:
        raise _invalid(name, problems)
    register_references(prepared.template.references, env, redactor)
    scope: Mapping[str, Any] = resource_scope(env)
    if not strict:
        scope = Lenient(scope, lambda gap: doubt(f"{gap.message}; an empty text is used"))
    values: dict[str, Any] = prepared.template.render(scope)
    around = Surroundings(env, mark, doubt, known)
    for field, written in prepared.secrets.items():
        place = f"resource {name!r}: {field_name(field)}"
        secret = _fetch_secret(written, around, place, prepared.merged.folder(field))
        redactor.add(secret)
        values = _replaced(values, field, secret)
    for field in prepared.decoded:
        value = field_at(values, field)
        if not isinstance(value, str):
            continue
        redactor.add(value)
        if decoder is not None:
            plain = known(value) or _decode(decoder, value, f"resource {name!r}: {field_name(field)}")
            redactor.add(plain)
            values = _replaced(values, field, plain)
    register_values(values, redactor)
    return ResolvedResource(name, spec.kind, spec.driver, values["config"], values["options"])


def known_values(prepared: PreparedResource, env: Mapping[str, str]) -> dict[FieldPath, Any]:
    """Return each rendered field except `{secret: ...}`; an empty text if it cannot be rendered."""
    leaves = fields(prepared.merged.sections)
    return {path: _render(raw, env) for path, raw in leaves if len(path) > 1 and path not in prepared.secrets}


def register_known(prepared: PreparedResource, env: Mapping[str, str], redactor: Redactor) -> None:
    """Register the secrets that are known before a resource is opened: a program may print them earlier."""
    register_references(prepared.template.references, env, redactor)
    for path, value in known_values(prepared, env).items():
        register_values({str(path[-1]): value}, redactor)
        if path in prepared.decoded and isinstance(value, str):
            redactor.add(value)
        elif prepared.is_secret(path):  # by the name of what it is in
            redactor.add_named({SECRET_KEY: value})
    for reference in known_secrets(prepared, env).values():
        if reference.provider == "env":
            redactor.add(env.get(reference.name, ""))


def _render(raw: Any, env: Mapping[str, str]) -> Any:
    template, problems = compile_template(raw)
    if problems:
        return ""
    try:
        return template.render(resource_scope(env))
    except MissingValue:
        return ""


def register_references(references: Iterable[Reference], env: Mapping[str, str], redactor: Redactor) -> None:
    """Register the values of referenced variables that are named like a secret."""
    for reference in references:
        redactor.add_named({variable_name(reference): env_value(reference, env) or reference.default or ""})


def register_values(values: dict[str, Any], redactor: Redactor) -> None:
    """Register what is named like a secret, and the passwords inside of URLs and other texts."""
    redactor.add_named(values)


def missing_problem(reference: Reference, env: Mapping[str, str]) -> FieldDiagnostic:
    """Return message and hint about a reference without value and default; they never show values."""
    variable = variable_name(reference)
    state = "is empty" if variable in env else "is not set"
    message = f"{field_name(reference.where)}: the environment variable {variable} {state}"
    meant = nearest(variable, tuple(env)) if variable not in env else ""
    hint = (
        "set it" if names_a_secret(variable) else f"set it, or give a default: {{{{env.{variable}:DEFAULT}}}}"
    )
    if meant:
        hint = f"did you mean {meant}? otherwise {hint}"
    return FieldDiagnostic(reference.where, "AF536", message, hint)


def _invalid(name: str, problems: list[FieldDiagnostic]) -> ConfigError:
    first = problems[0]
    if len(problems) == 1:
        return ConfigError(f"resource {name!r}: {first.message}", hint=first.hint, code=first.code)
    lines = [f"resource {name!r}: {one.message}\n    hint: {one.hint}" for one in problems]
    return ConfigError("\n".join(lines), code=first.code)


def _fetch_secret(written: str, around: Surroundings, place: str, folder: Path | None) -> str:
    try:
        reference = rendered_reference(written, around.env, folder)
        return around.known(reference) or fetch_secret(reference, around)
    except MissingValue as error:  # with lenient templates: where a secret is cannot be guessed
        raise ConfigError(f"{place}: {error.message}", hint=error.hint, code="AF536") from None
    except ValueError as error:
        hint = "the reference comes from the environment: correct the variable"
        raise ConfigError(f"{place}: this names no secret: {error}", hint=hint, code="AF570") from None
    except ConfigError as error:
        raise type(error)(f"{place}: {error.message}", hint=error.hint, code=error.code) from None


def _decode(decoder: Decoder, value: str, place: str) -> str:
    try:
        return decoder(value)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.message}", hint=error.hint, code=error.code) from None


def _replaced(tree: Any, path: FieldPath, value: str) -> Any:
    """Return the tree with another value at `path`; what is not on the way is shared, nothing is changed."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    copied = dict(tree) if isinstance(tree, Mapping) else list(tree)
    copied[part] = _replaced(tree[part], rest, value)  # type: ignore[index]  # a key of a mapping or an index of a list
    return copied
