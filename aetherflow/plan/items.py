"""Make the items of a mapped job from its `for_each`: a list, a mapping, JSON text, or a matrix. Pure.

    for_each: [a, b]                       the items a and b
    for_each: {de: 1, fr: 2}               {key: de, value: 1} and {key: fr, value: 2}
    for_each: {matrix: {day: [1, 2], region: [eu, us]}, exclude: [{day: 2, region: us}], include: [...]}

A matrix is the product of its lists, as in GitHub Actions: each item is {day, region}, the first list varies
slowest; `exclude` and `include` may also be written inside `matrix`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice, product
from typing import Any

import msgspec

from aetherflow.language.comparison import equal
from aetherflow.language.reference import kind_of
from aetherflow.sdk.json_values import NotJson, check_numbers, text_or_json
from aetherflow.spec.suggest import LONGEST_SHOWN, shortened
from aetherflow.spec.yaml_scalars import json_text

MATRIX = "matrix"
SELECTIONS = ("exclude", "include")
MATRIX_KEYS = (MATRIX, *SELECTIONS)
MOST_ITEMS = 100_000
"""How many instances a job may have."""

Item = dict[str, Any]


class UnfitItems(Exception):
    """A value that gives no items.

    Attributes:
        where: the keys that lead to it; empty: the whole value.
        value: what is there; None if it is not worth showing.
        reason: why it does not fit, in words that follow its name: `must give a list, not a number`.
    """

    def __init__(self, where: tuple[str, ...], value: Any, reason: str) -> None:
        super().__init__(reason)
        self.where = where
        self.value = value
        self.reason = reason

    @property
    def name(self) -> str:
        """The value in words: `for_each.matrix.day`."""
        return ".".join(("for_each", *self.where))


class TooManyItems(UnfitItems):
    """There are more items than a job may have instances."""


def is_matrix(raw: Any) -> bool:
    """Whether a `for_each`, as it is written in the file, is a matrix."""
    return isinstance(raw, Mapping) and MATRIX in raw


def items_of(raw: Any, rendered: Any) -> list[Any]:
    """Return the items of a `for_each`; `raw` is as it is written, `rendered` its value in this run.

    Raises:
        UnfitItems: it gives no list, or too many items.
    """
    items = _of_matrix(rendered) if is_matrix(raw) else listed(rendered)
    _check_count(len(items))
    try:
        check_numbers(items)
    except NotJson as error:
        reason = f"has an item ({error.path}) that is {error.value}, which JSON does not have"
        raise UnfitItems((), None, reason) from None
    return items


def listed(value: Any, *where: str) -> list[Any]:
    """Return a list, or a mapping as a list of {key, value}; either may be JSON text.

    Raises:
        UnfitItems: the value is neither.
    """
    found = _decoded(value)
    if isinstance(found, list | tuple):
        return list(found)
    if isinstance(found, Mapping):
        return [{"key": key, "value": item} for key, item in found.items()]
    raise UnfitItems(where, value, f"must give a list, not {kind_of(value)}")


def in_short(item: Any) -> str:
    """Return an item in few characters, as people see it: `a.csv`, or `day=mon region=eu`."""
    if isinstance(item, Mapping):
        text = " ".join(f"{key}={text_or_json(value)}" for key, value in islice(item.items(), LONGEST_SHOWN))
    else:
        text = text_or_json(item)
    return shortened(text)


def axes_of(parts: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the lists of a matrix by name.

    Raises:
        UnfitItems: one is no list.
    """
    matrix = _mapping(parts[MATRIX], MATRIX)
    return {
        str(name): listed(values, MATRIX, str(name))
        for name, values in matrix.items()
        if name not in SELECTIONS
    }


def selection(parts: Mapping[str, Any], key: str) -> list[Item]:
    """Return the entries of `exclude` or `include`, beside and inside `matrix`.

    Raises:
        UnfitItems: they are no list of mappings.
    """
    entries: list[Item] = []
    for where, holder in (((), parts), ((MATRIX,), _mapping(parts[MATRIX], MATRIX))):
        if holder.get(key) is None:
            continue
        found = _decoded(holder[key])
        if not isinstance(found, list | tuple):
            raise UnfitItems((*where, key), found, f"must give a list of mappings, not {kind_of(found)}")
        entries += [dict(_mapping(one, *where, key, str(number))) for number, one in enumerate(found)]
    return entries


def has(combination: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    """Whether a combination has all values of an entry of `exclude`."""
    return all(key in combination and _same(combination[key], value) for key, value in entry.items())


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a matrix are the same; unlike in a condition, 3.1 is not the text `3.10`."""
    if isinstance(one, str) is isinstance(other, str):
        return equal(one, other)
    text, value = (one, other) if isinstance(one, str) else (other, one)
    return json_text(value) == text if type(value) in (int, float) else equal(value, text)


def _of_matrix(parts: Mapping[str, Any]) -> list[Item]:
    axes = axes_of(parts)
    excluded, included = selection(parts, "exclude"), selection(parts, "include")
    _check_count(math.prod(map(len, axes.values())))
    combinations = [
        one
        for one in (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
        if axes and not any(has(one, entry) for entry in excluded)
    ]
    originals = [dict(one) for one in combinations]
    for entry in included:
        fitting = [
            number
            for number, one in enumerate(originals)
            if all(key not in one or _same(one[key], value) for key, value in entry.items())
        ]
        for number in fitting:
            combinations[number] |= {k: v for k, v in entry.items() if k not in originals[number]}
        if not fitting:
            combinations.append(dict(entry))
    return combinations


def _check_count(count: int) -> None:
    if count > MOST_ITEMS:
        raise TooManyItems((), None, f"gives {count:,} items, at most {MOST_ITEMS:,} are allowed")


def _mapping(value: Any, *where: str) -> Mapping[str, Any]:
    found = _decoded(value)
    if not isinstance(found, Mapping):
        raise UnfitItems(where, value, f"must be a mapping, not {kind_of(value)}")
    return found


def _decoded(value: Any) -> Any:
    """Return what a text is as JSON, if that is a list or a mapping; else the value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value
