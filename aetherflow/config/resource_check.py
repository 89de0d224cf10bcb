"""Check a resource before it is opened, for `validate` and `doctor`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from aetherflow.config.cache_option import CACHE_OPTION, is_cache_scope
from aetherflow.config.cache_option import HINT as CACHE_HINT
from aetherflow.config.merge import UnknownProfile
from aetherflow.config.prepared_resource import (
    PreparedResource,
    known_secrets,
    missing_references,
    prepare_resource,
    variable_name,
)
from aetherflow.config.resource_fields import FieldDiagnostic, FieldPath, field_name, fields
from aetherflow.config.resource_shape import shape_problems
from aetherflow.config.secrets_provider import Decoder
from aetherflow.errors import Diagnostic
from aetherflow.spec.document import Document
from aetherflow.spec.flow import ProfileSpec, ResourceSpec
from aetherflow.spec.suggest import quoted

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


class MissingVariable(msgspec.Struct, frozen=True):
    """A variable that a field needs and that is not set, or is empty; `path` leads to it in the resource."""

    field: str
    variable: str
    path: FieldPath = ()


def check_resource(
    name: str,
    spec: ResourceSpec,
    profiles: Mapping[str, ProfileSpec] | None,
    env: Mapping[str, str],
    *,
    document: Document,
    decoder: Decoder | None = None,
    provider: str = "",
    shapes: Mapping[str, type[Any]] | None = None,
) -> list[Diagnostic]:
    """Return everything wrong or doubtful about a resource, with its place in the flow file.

    `provider` names the secrets provider that is set, even one that cannot decode; `shapes` are the Structs
    of its connector's `config` and `options`.

    What comes from a profile is reported at the key `profile`. Missing variables are not included, see
    `missing_variables`.
    """
    try:
        prepared = prepare_resource(name, spec, profiles)
    except UnknownProfile as error:
        problem = FieldDiagnostic(("profile",), error.code, error.message, error.hint)
        return [_diagnostic(document, name, problem)]
    problems = [*prepared.problems, *_bare_variables(prepared, env), *_cache_option(prepared)]
    if prepared.decoded and decoder is None:
        problems.append(_no_decoder(prepared, provider))
    problems += shape_problems(prepared, shapes or {})
    return [_diagnostic(document, name, _placed(prepared, problem)) for problem in problems]


def missing_variables(
    name: str, spec: ResourceSpec, profiles: Mapping[str, ProfileSpec] | None, env: Mapping[str, str]
) -> list[MissingVariable]:
    """Return the variables that a resource needs, that have no value, and that have no default.

    A secret of the provider `env` is one of them.

    Raises:
        UnknownProfile: the resource names a profile that does not exist.
    """
    prepared = prepare_resource(name, spec, profiles)
    missing = [(one.where, variable_name(one)) for one in missing_references(prepared, env)]
    missing += [
        (field, reference.name)
        for field, reference in known_secrets(prepared, env).items()
        if reference.provider == "env" and not env.get(reference.name)
    ]
    source = prepared.merged.source
    return [
        MissingVariable(field_name(where), variable, where if source(where) == "flow" else ("profile",))
        for where, variable in missing
    ]


def _cache_option(prepared: PreparedResource) -> list[FieldDiagnostic]:
    value = prepared.merged.options.get(CACHE_OPTION)
    if value is None or is_cache_scope(value) or (isinstance(value, str) and "{{" in value):
        return []
    where = ("options", CACHE_OPTION)
    return [FieldDiagnostic(where, "AF513", f"options.cache cannot be {quoted(str(value))}", CACHE_HINT)]


def _bare_variables(prepared: PreparedResource, env: Mapping[str, str]) -> list[FieldDiagnostic]:
    """Return a warning for each text that is the name of a variable that is set: an old spelling."""
    return [
        FieldDiagnostic(
            field,
            "AF537",
            f"{field_name(field)} is the text {value!r}, which is also the name of a variable that is set",
            f"write '{{{{env.{value}}}}}' to take the value of the variable",
            "warning",
        )
        for field, value in fields(prepared.merged.sections)
        if isinstance(value, str) and _VARIABLE.fullmatch(value) and value in env
    ]


def _no_decoder(prepared: PreparedResource, provider: str) -> FieldDiagnostic:
    named = ", ".join(map(field_name, prepared.decoded))
    if provider:
        message = f"{provider} has no function `decode`, which {named} needs"
        hint = "define `def decode(value: str) -> str`, or remove `decode` from the resource"
        return FieldDiagnostic(("decode",), "AF521", message, hint)
    message = f"no secrets provider is set: {named} will be used without decoding"
    hint = "set AETHERFLOW_SECRETS_MODULE or AETHERFLOW_SECRETS_PATH"
    return FieldDiagnostic(("decode",), "AF538", message, hint, "warning")


def _placed(prepared: PreparedResource, problem: FieldDiagnostic) -> FieldDiagnostic:
    """Return the diagnostic at its place in the flow file: the key `profile` for what a profile brings."""
    source = prepared.merged.source(problem.path)
    if source == "flow" or problem.is_missing:
        return problem
    path: FieldPath = ("profile",)
    return msgspec.structs.replace(problem, path=path, message=f"{problem.message} (from {source})")


def _diagnostic(document: Document, name: str, problem: FieldDiagnostic) -> Diagnostic:
    message = problem.message if problem.path == ("profile",) else f"resource {name!r}: {problem.message}"
    path = ("resources", name, *problem.path)
    return document.diagnostic(path, problem.code, message, problem.hint, problem.severity)
