"""Check the fields of a resource against the config and options Structs of its connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

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
        for section, wanted in shapes.items()
        if (shape := _strict(wanted)) is not None
        for problem in _problems(prepared, (section,), shape, _given(prepared, section))
    ]


def _problems(
    prepared: PreparedResource, place: FieldPath, shape: type[msgspec.Struct], given: Mapping[str, Any]
) -> Iterator[FieldDiagnostic]:
    """Yield the problems of a section, or of a mapping in it that a Struct describes."""
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    see = f"see: aetherflow connectors show {prepared.driver}"
    for key, value in given.items():
        where: FieldPath = (*place, key)
        if key not in known:
            hint = did_you_mean(str(key), known) or f"its {field_name(place)} may have: {', '.join(known)}"
            yield FieldDiagnostic(where, _UNKNOWN, f"{prepared.driver} has no {field_name(where)}", hint)
        elif isinstance(value, Mapping) and not is_reference(value) and (inner := _strict(known[key].type)):
            yield from _problems(prepared, where, inner, value)
        elif _is_plain(prepared, where, value) and (problem := misfit(value, known[key].type)):
            is_unquoted = next(misplaced(value, type_info(known[key].type)), None) is not None
            yield FieldDiagnostic(
                where, _UNFIT, f"{field_name(where)}: {problem}", QUOTES if is_unquoted else see
            )
    for key, field in known.items():
        if field.required and key not in given:
            yield FieldDiagnostic(
                place,
                _MISSING,
                f"{prepared.driver} needs {field_name((*place, key))}",
                f"add it to the resource or its profile; {see}",
                is_missing=True,
            )


def _given(prepared: PreparedResource, section: str) -> dict[str, Any]:
    return {
        key: value
        for key, value in prepared.merged.sections[section].items()
        if (section, key) != ("options", CACHE_OPTION)
    }


def _strict(wanted: Any) -> type[msgspec.Struct] | None:
    """Return the Struct that refuses unknown keys, in `SomeStruct` or `SomeStruct | None`."""
    for kind in get_args(wanted) or (wanted,):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return kind if kind.__struct_config__.forbid_unknown_fields else None
    return None


def _is_plain(prepared: PreparedResource, where: FieldPath, value: Any) -> bool:
    """Whether a value is known already, and no part of it is a secret that a message must not repeat."""
    for path, leaf in fields(value, where):
        if is_reference(leaf) or prepared.is_secret(path) or (isinstance(leaf, str) and "{{" in leaf):
            return False
    return True
