"""Make record batches of rows of Python values, for text only: each value keeps its text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from importlib.util import find_spec
from typing import Any

from aetherflow.data_files.arrow_memory import use_system_memory
from aetherflow.data_files.columns import Row
from aetherflow.data_files.value_text import text_of_value

WORTH_ROWS = 10_000
"""From so many rows on it is worth to import pyarrow."""


def is_worth_it(rows: int) -> bool:
    """Whether a file with so many rows, or more, is written faster with pyarrow."""
    return "pyarrow" in sys.modules or (rows >= WORTH_ROWS and _is_installed())


@cache
def _is_installed() -> bool:
    return find_spec("pyarrow") is not None


def text_batch(rows: Sequence[Row], names: Sequence[str]) -> Any:
    """Return rows as a record batch whose text (`arrow_text`) is that of the values."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    use_system_memory()
    arrays = [_array(values) for values in zip(*rows, strict=True)]
    return pa.record_batch(arrays, names=list(names))


def _array(values: Sequence[Any]) -> Any:
    """Return values as an array: typed where pyarrow changes nothing, else as texts."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    try:
        array = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # ValueError: a NaN beside a date
        array = None
    if array is not None and _is_exact(array.type, values):
        return array
    return pa.array([text_of_value(value) for value in values], pa.string())


def _is_exact(kind: Any, values: Sequence[Any]) -> bool:
    """Whether an array of this type has the same values; pyarrow makes floats of ints, and dates of times."""
    import pyarrow.types as of  # noqa: PLC0415 - an optional dependency, and slow to import

    if of.is_string(kind) or of.is_int64(kind) or of.is_boolean(kind) or of.is_null(kind):
        return True
    exact = float if of.is_float64(kind) else date if of.is_date32(kind) else datetime
    if not (of.is_float64(kind) or of.is_date32(kind) or (of.is_timestamp(kind) and kind.tz is None)):
        return False
    if not {*map(type, values)} <= {exact, type(None)}:
        return False
    return exact is not datetime or all(value is None or value.tzinfo is None for value in values)
