"""Check the fields of a resource against the config and options Structs of its connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aetherflow.config.cache_option import CACHE_OPTION
from aetherflow.config.prepared_resource import PreparedResource
from aetherflow.config.resource_fields import FieldDiagnostic, FieldPath, field_name, fields, is_reference
from aetherflow.spec.convert import misfit, type_info
from aetherflow.spec.missing_quotes import QUOTES
from aetherflow.spec.spelling import misplaced
from aetherflow.spec.suggest import did_you_mean

_MISSING = "AF554"
_UNKNOWN, _UNFIT = "AF553", "AF555"


def shape_problems(prepared: PreparedResource, shapes: Mapping[str, type[Any]]) -> list[FieldDiagnostic]:
    """Return a diagnostic for each field that does not fit the Structs of a connector.

    Args:
        prepared: the resource with its profile.
        shapes: the Struct of `config` and of `options`; a plain `dict` accepts everything.
    """
    return [
        problem
        for section, shape in shapes.items()
        if issubclass(shape, msgspec.Struct) and shape.__struct_config__.forbid_unknown_fields
        for problem in _problems(prepared, section, shape)
    ]


def _problems(
    prepared: PreparedResource, section: str, shape: type[msgspec.Struct]
) -> Iterator[FieldDiagnostic]:
    given = {
        key: value
        for key, value in prepared.merged.sections[section].items()
        if (section, key) != ("options", CACHE_OPTION)
    }
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for key, value in given.items():
        where: FieldPath = (section, key)
        if key not in known:
            hint = did_you_mean(str(key), known) or f"its {section} may have: {', '.join(known)}"
            yield FieldDiagnostic(where, _UNKNOWN, f"{prepared.driver} has no {field_name(where)}", hint)
        elif _is_plain(prepared, where, value) and (problem := misfit(value, known[key].type)):
            is_unquoted = next(misplaced(value, type_info(known[key].type)), None) is not None
            hint = QUOTES if is_unquoted else f"see: aetherflow connectors show {prepared.driver}"
            yield FieldDiagnostic(where, _UNFIT, f"{field_name(where)}: {problem}", hint)
    for key, field in known.items():
        if field.required and key not in given:
            where = (section, key)
            yield FieldDiagnostic(
                (section,),
                _MISSING,
                f"{prepared.driver} needs {field_name(where)}",
                f"add it to the resource or its profile; see: aetherflow connectors show {prepared.driver}",
                is_missing=True,
            )


def _is_plain(prepared: PreparedResource, where: FieldPath, value: Any) -> bool:
    """Whether a value is known already, and no part of it is a secret that a message must not repeat."""
    for path, leaf in fields(value, where):
        if is_reference(leaf) or prepared.is_secret(path) or (isinstance(leaf, str) and "{{" in leaf):
            return False
    return True
