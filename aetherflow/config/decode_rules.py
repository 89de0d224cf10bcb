"""Decode rules: which fields of a resource go through the `decode` of the secrets provider.

Two spellings: a tree of switches (`config: {password: true}`) and a list of paths
(`config_paths: [auth.password]`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aetherflow.config.merge import MergedResource
from aetherflow.config.resource_fields import (
    SECTIONS,
    FieldDiagnostic,
    FieldPath,
    field_at,
    field_name,
    fields,
    find_field,
    is_reference,
)
from aetherflow.spec.suggest import nearest

_KEYS = (*SECTIONS, *(f"{section}_paths" for section in SECTIONS))


class _Rule(NamedTuple):
    """The place of a rule, and the field that it names."""

    where: FieldPath
    field: FieldPath


def decoded_fields(resource: MergedResource) -> tuple[list[FieldPath], list[FieldDiagnostic]]:
    """Return the fields to decode, and the diagnostics of the rules."""
    found: list[FieldPath] = []
    problems: list[FieldDiagnostic] = []
    for rule in _rules(resource.decode):
        target = rule if isinstance(rule, FieldDiagnostic) else _target(resource, rule)
        if isinstance(target, FieldDiagnostic):
            problems.append(target)
        elif target not in found:
            found.append(target)
    return found, problems


def _rules(decode: Mapping[str, Any]) -> Iterator[_Rule | FieldDiagnostic]:
    for key, value in decode.items():
        where: FieldPath = ("decode", key)
        if key in SECTIONS:
            yield from _switches(value, where, (key,))
        elif key in _KEYS:
            yield from _paths(value, where, key.removesuffix("_paths"))
        else:
            meant = nearest(key, _KEYS)
            hint = f"did you mean {meant!r}?" if meant else f"write decode: {{config: {{{key}: true}}}}"
            yield _malformed(where, "is not a decode rule", hint)


def _switches(value: Any, where: FieldPath, field: FieldPath) -> Iterator[_Rule | FieldDiagnostic]:
    is_whole_section = len(field) == 1
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _switches(item, (*where, key), (*field, key))
    elif value is True and not is_whole_section:
        yield _Rule(where, field)
    elif value is not False and value is not None:
        hint = "name its fields: {password: true}" if is_whole_section else "write true to decode this field"
        yield _malformed(where, "is not true, false or a mapping of fields", hint)


def _paths(value: Any, where: FieldPath, section: str) -> Iterator[_Rule | FieldDiagnostic]:
    paths = value if isinstance(value, list) else [None]
    for index, path in enumerate(paths):
        if isinstance(path, str) and path:
            yield _Rule((*where, index), (section, *path.split(".")))
        else:
            hint = f"write {field_name(where)}: [password, auth.token]"
            yield _malformed(where, "is not a list of field names", hint)


def _malformed(where: FieldPath, problem: str, hint: str) -> FieldDiagnostic:
    return FieldDiagnostic(where, "AF532", f"{field_name(where)} {problem}", hint)


def _target(resource: MergedResource, rule: _Rule) -> FieldPath | FieldDiagnostic:
    """Return the field that a rule names, list indices as numbers, or why there is none."""
    rule_name, name = field_name(rule.where), field_name(rule.field)
    target = find_field(resource.sections, rule.field)
    if target is None:
        known = [field_name(field) for field, _ in fields(resource.sections) if len(field) > 1]
        meant = nearest(name, known)
        hint = f"did you mean {meant}?" if meant else f"fields there: {', '.join(known) or 'none'}"
        message = f"{rule_name} names {name}, which this resource does not have"
        return FieldDiagnostic(rule.where, "AF531", message, hint)
    found = field_at(resource.sections, target)
    if isinstance(found, Mapping | list) and not is_reference(found):
        message = f"{rule_name} names {name}, which is not a single value"
        return FieldDiagnostic(rule.where, "AF532", message, "name each text in it that is to be decoded")
    return target
