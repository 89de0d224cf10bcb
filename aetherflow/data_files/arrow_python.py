"""Make Python values of Arrow columns: moments with nanoseconds lose what Python cannot hold."""

from __future__ import annotations

from typing import Any


def python_values(column: Any) -> list[Any]:
    """Return the values of an Arrow column; nanoseconds are cut to microseconds.

    Raises:
        ValueError: a date or time is not in the years 1 to 9999.
        OverflowError: as ValueError.
    """
    kind = _coarse(column.type)
    values: list[Any] = (column if kind == column.type else column.cast(kind, safe=False)).to_pylist()
    return values


def _coarse(kind: Any) -> Any:
    """Return a type with microseconds where this one has nanoseconds, also inside of lists and structs."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.types as of  # noqa: PLC0415 - the same

    if of.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if of.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if of.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if of.is_dictionary(kind):
        value = _coarse(kind.value_type)
        return kind if value == kind.value_type else value
    if of.is_list(kind) or of.is_large_list(kind):
        make = pa.list_ if of.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_coarse(kind.value_type)))
    if of.is_struct(kind):
        return pa.struct([field.with_type(_coarse(field.type)) for field in kind])
    if of.is_map(kind):
        return pa.map_(_coarse(kind.key_type), kind.item_field.with_type(_coarse(kind.item_type)))
    return kind
