"""Check the `for_each` of a job as far as the file alone shows what it gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from aetherflow.language.reference import PATH, kind_of
from aetherflow.language.seen import shown_value
from aetherflow.language.template import compile_template
from aetherflow.plan.diagnostics import DiagnosticSink, Path
from aetherflow.plan.items import (
    MATRIX,
    MATRIX_KEYS,
    MOST_ITEMS,
    SELECTIONS,
    TooManyItems,
    UnfitItems,
    axes_of,
    has,
    is_matrix,
    items_of,
    listed,
    selection,
)
from aetherflow.spec.suggest import did_you_mean

_MAPPINGS: dict[tuple[str, ...], str] = {
    (MATRIX,): "write lists by name: {day: [mon, tue], region: [eu, us]}",
    **{(key,): f"write a list of mappings: {key}: [{{day: mon}}]" for key in SELECTIONS},
}
ITEM_OF_MAPPING = ("key", "value")
_ITEMS_SHOWN = 20
_PATH = re.compile(rf"(?:jobs|params|env)\.{PATH}")


def check_for_each(raw: Any, job_id: str, base: Path, sink: DiagnosticSink) -> None:
    """Report what gives no items, whatever happens in a run."""
    if compile_template(raw)[1]:
        return  # a template with an error, which is reported itself
    if is_matrix(raw):
        _check_matrix(raw, job_id, base, sink)
    elif is_constant(raw):
        try:
            items_of(raw, raw)
        except UnfitItems as unfit:
            _report(unfit, job_id, base, sink)


def item_keys(raw: Any) -> tuple[str, ...] | None:
    """Return the keys that an `item` can have; () if it has none, None if only the run knows."""
    if is_matrix(raw):
        return _keys_of_matrix(raw)
    if isinstance(raw, Mapping):
        return ITEM_OF_MAPPING
    if not is_constant(raw):
        return None
    try:
        items = listed(raw)
    except UnfitItems:
        return None
    if any(isinstance(item, list) for item in items):
        return None
    return tuple({str(key): None for item in items if isinstance(item, Mapping) for key in item})


def called(raw: Any) -> str:
    """Return what an item is in words: `day and region` for a matrix, else `item`."""
    matrix = raw[MATRIX] if is_matrix(raw) else None
    names = [str(name) for name in matrix if name not in SELECTIONS] if isinstance(matrix, Mapping) else []
    return " and ".join(names) or "item"


def part_hint(raw: Any, name: str, keys: Sequence[str]) -> str:
    """Return what to write instead of a part of an item that no item has."""
    if isinstance(raw, Mapping) and not is_matrix(raw) and isinstance(raw.get(name), list):
        return (
            f"the items are the entries of the mapping; for the product of its lists: {{{MATRIX}: {{...}}}}"
        )
    has = f"an item has {', '.join(keys)}" if keys else "an item has no parts: write {{item}}"
    return did_you_mean(name, keys) or has


def is_constant(value: Any) -> bool:
    """Whether a value of the file holds no template."""
    return compile_template(value)[0].is_constant


def _keys_of_matrix(parts: Mapping[str, Any]) -> tuple[str, ...] | None:
    matrix = parts[MATRIX]
    if not isinstance(matrix, Mapping) or not is_constant(parts.get("include")):
        return None
    if not is_constant(matrix.get("include")):
        return None
    try:
        added = selection(parts, "include")
    except UnfitItems:
        return None
    names = (*(name for name in matrix if name not in SELECTIONS), *(key for one in added for key in one))
    return tuple(dict.fromkeys(map(str, names)))


def _check_matrix(parts: Mapping[str, Any], job_id: str, base: Path, sink: DiagnosticSink) -> None:
    for key in parts:
        if key not in MATRIX_KEYS:
            hint = did_you_mean(str(key), MATRIX_KEYS) or f"a list of the matrix is written below {MATRIX}"
            message = f"for_each of job {job_id!r} has {', '.join(MATRIX_KEYS)}, but no {key!r}"
            sink.add((*base, key), "AF423", message, hint)
    matrix = parts[MATRIX]
    if isinstance(matrix, str) and not is_constant(matrix):
        return
    known = {key: value for key, value in parts.items() if key not in SELECTIONS or is_constant(value)}
    if isinstance(matrix, Mapping):
        known[MATRIX] = {key: value for key, value in matrix.items() if is_constant(value)}
    try:
        axes = axes_of(known)
        excluded = selection(known, "exclude")
        selection(known, "include")
        if isinstance(matrix, Mapping):
            _check_excluded(axes, excluded, matrix, base, sink)
        if is_constant(parts):
            items_of(parts, parts)
    except UnfitItems as unfit:
        _report(unfit, job_id, base, sink)


def _check_excluded(
    axes: Mapping[str, list[Any]],
    excluded: list[dict[str, Any]],
    matrix: Mapping[str, Any],
    base: Path,
    sink: DiagnosticSink,
) -> None:
    """Report what `exclude` names and the matrix does not have; `axes` are its constant lists."""
    names = [str(name) for name in matrix if name not in SELECTIONS]
    where: Path = (*base, "exclude") if not matrix.get("exclude") else (*base, MATRIX, "exclude")
    for number, entry in enumerate(excluded):
        unknown = [key for key in entry if key not in names]
        for key in unknown:
            hint = did_you_mean(key, names) or f"its lists: {', '.join(names)}"
            sink.add(
                (*where, number), "AF424", f"exclude names {key!r}, which is no list of the matrix", hint
            )
        missing = [
            key
            for key, value in entry.items()
            if key in axes and not any(has({key: one}, {key: value}) for one in axes[key])
        ]
        for key in missing:
            message = f"exclude removes nothing: the list {key!r} does not have {_shown(entry[key])}"
            sink.add((*where, number), "AF425", message, f"{key} has {_shown(axes[key])}", "warning")


def _report(unfit: UnfitItems, job_id: str, base: Path, sink: DiagnosticSink) -> None:
    where = (*base, *(int(key) if key.isdigit() else key for key in unfit.where))
    if isinstance(unfit, TooManyItems):
        message = f"for_each of job {job_id!r} {unfit.reason}"
        sink.add(where, "AF716", message, f"split the work; {MOST_ITEMS:,} is the limit")
        return
    value = "" if unfit.value is None else f": {_shown(unfit.value)}"
    hint = _MAPPINGS.get(unfit.where[-1:]) or _list_of(unfit.value)
    sink.add(where, "AF712", f"{unfit.name} of job {job_id!r} {unfit.reason}{value}", hint)


def _list_of(value: Any) -> str:
    """Return how to write what is no list as one."""
    if isinstance(value, str) and _PATH.fullmatch(value.strip()):
        return f'write a template: "{{{{{value.strip()}}}}}"'
    if isinstance(value, str) and value.strip():
        items = [item for item in re.split(r"\s*[,;\n]\s*|\s+", value.strip()) if item]
        if len(items) <= _ITEMS_SHOWN and not any(set(item) & set("[]{}\"'#&*!|>%@`:") for item in items):
            return f"write a list: [{', '.join(items)}]"
    if isinstance(value, int | float | bool):
        return f"write a list: [{_shown(value)}]"
    other = "" if value is None else f", not {kind_of(value)}"
    return f"write a list: [a, b], or a template that gives one{other}"


def known_item(path: tuple[str, ...], keys: Container[str]) -> bool:
    """Whether a path after `item` can lead somewhere; keys may hold dots."""
    return any(".".join(path[:end]) in keys for end in range(1, len(path) + 1))


def _shown(value: Any) -> str:
    return shown_value("for_each", value, lambda one: one)
