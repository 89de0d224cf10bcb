"""The kind that values have, and the kind that two kinds need together, for untyped columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from aetherflow.data_files.columns import Column, Kind

_LONGEST_INT = 2**63
_KINDS: dict[type, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    Decimal: "decimal",
    date: "date",
    time: "time",
    str: "string",
    bytes: "binary",
    bytearray: "binary",
    memoryview: "binary",
    dict: "json",
    list: "json",
}


def kind_of_values(values: Sequence[Any]) -> Column | None:
    """Return the kind that some values need, as a column without a name; None: all are NULL."""
    found: Column | None = None
    for kind in {*map(type, values)} - {type(None)}:
        found = _with(found, _kind_of_type(kind, values))
    return found


def _kind_of_type(kind: type, values: Sequence[Any]) -> Column:
    if kind is datetime:
        zoned = {value.tzinfo is not None for value in values if type(value) is datetime}
        return Column("", "datetime", is_zoned=True) if zoned == {True} else _naive(zoned)
    if kind is int and any(
        not -_LONGEST_INT <= value < _LONGEST_INT for value in values if type(value) is int
    ):
        return Column("", "string")
    if kind is time and any(value.tzinfo is not None for value in values if type(value) is time):
        return Column("", "string")  # no type of Arrow has the offset of a time
    return Column("", _KINDS.get(kind, "string"))


def _naive(zoned: set[bool]) -> Column:
    return Column("", "datetime") if zoned == {False} else Column("", "string")


def _with(found: Column | None, other: Column) -> Column:
    return other if found is None else widened(found, other)


def widened(one: Column, other: Column) -> Column:
    """Return the kind that holds the values of both: int and float are float, all other pairs are text."""
    if (one.kind, one.precision, one.scale, one.is_zoned) == (
        other.kind,
        other.precision,
        other.scale,
        other.is_zoned,
    ):
        return one
    return Column("", "float" if {one.kind, other.kind} == {"int", "float"} else "string")
