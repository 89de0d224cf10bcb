"""Read rows that are in the inputs of a step: lists, mappings, or either as JSON text; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from aetherflow import StepError

_KINDS = MappingProxyType({dict: "a mapping", bool: "a truth value", int: "a number", float: "a number"})


class SmallRows(msgspec.Struct, frozen=True):
    """The rows of a target.

    Attributes:
        columns: the names of the columns; empty if there are none.
        rows: the values.
        width: how many columns there are.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    width: int


def small_rows(target: str, rows: Any, columns: Any) -> SmallRows:
    """Return the rows and columns that the inputs `rows_json` and `columns_json` mean.

    Rows that are mappings are put into the order of the columns, by default that of their first appearance.

    Raises:
        StepError: they are no lists, or some rows are lists and others mappings (AF974).
    """
    names = tuple(str(name) for name in listed(target, "columns_json", columns))
    given = listed(target, "rows_json", rows)
    if any(isinstance(row, Mapping) for row in given):
        if not all(isinstance(row, Mapping) for row in given):
            raise _wrong(target, "rows_json", "has lists and mappings")
        names = names or tuple(dict.fromkeys(str(key) for row in given for key in row))
        given = [[row.get(name) for name in names] for row in given]
    for number, row in enumerate(given, 1):
        if not isinstance(row, list | tuple):
            raise _wrong(target, "rows_json", f"has the row {number:,}, which is no list: {row!r:.60}")
    return SmallRows(names, given, len(names) or max(map(len, given), default=0))


def listed(target: str, key: str, given: Any) -> list[Any]:
    """Return a list that is given as such or as JSON text; nothing is an empty one.

    Raises:
        StepError: it is no list (AF974).
    """
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given) if given.strip() else None
        except msgspec.DecodeError as error:
            raise _wrong(target, key, f"is no JSON: {error}") from None
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise _wrong(target, key, f"is no list, but {_KINDS.get(type(given), 'something else')}")
    return list(given)


def no_names(target: str) -> StepError:
    """Return the error for a header that is written, and has no names."""
    return _wrong(target, "columns_json", "is missing, and the names of the columns are to be written")


def _wrong(target: str, key: str, why: str) -> StepError:
    wanted = "rows, such as {{steps.ID.rows_json}}" if key == "rows_json" else "names, such as [shop, amount]"
    return StepError(
        f"target {target!r}: {key} {why}",
        hint=f"give a list of {wanted}",
        code="AF974",
        detail={"target": target, "input": key},
    )
