"""The text of Arrow's dates and times that Python has none for: infinity, far years, 24:00.

Imports pyarrow only inside of its functions.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
"""After so many days, or years, the calendar repeats itself."""

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_INFINITY_DAYS, _INFINITY = 2**31 - 1, 2**63 - 1


def with_far_texts(column: Any, text: Any, offset: str = "") -> Any:
    """Return the texts of a column, with those of the values that Python has none for corrected.

    Args:
        column: an array of date32, or of timestamp or time64 in microseconds.
        text: the text of each value, as an array.
        offset: what the text of a moment ends with.
    """
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    is_date, is_time = pa.types.is_date32(column.type), pa.types.is_time(column.type)
    numbers = column.cast(pa.int32()).cast(pa.int64()) if is_date else column.cast(pa.int64())
    unit = 1 if is_date else _DAY
    least, most = (0, _DAY - 1) if is_time else (_FIRST_DAY * unit, _LAST_DAY * unit + unit - 1)
    found = pc.min_max(numbers).as_py()
    if found["min"] is None or (found["min"] >= least and found["max"] <= most):
        return text
    far = pc.fill_null(pc.or_(pc.less(numbers, least), pc.greater(numbers, most)), fill_value=False)
    written = [
        _far_date(number) if is_date else "24:00:00" if is_time else _far_moment(number, offset)
        for number in numbers.filter(far).to_pylist()
    ]
    return pc.replace_with_mask(text, far, pa.array(written, pa.string()))


def _far_date(days: int) -> str:
    if abs(days) == _INFINITY_DAYS:
        return "infinity" if days > 0 else "-infinity"
    return _day_text(days)


def _far_moment(microseconds: int, offset: str) -> str:
    if abs(microseconds) == _INFINITY:
        return "infinity" if microseconds > 0 else "-infinity"
    days, rest = divmod(microseconds, _DAY)
    clock = (_EPOCH + timedelta(microseconds=rest)).time().isoformat()
    return f"{_day_text(days)}T{clock}{offset}"


def _day_text(days: int) -> str:
    cycles, rest = divmod(days, _CYCLE_DAYS)
    near = (_EPOCH + timedelta(days=rest)).date()
    year = near.year + cycles * _CYCLE_YEARS
    text = f"{year if year > 0 else 1 - year:04}-{near:%m-%d}"
    return text if year > 0 else f"{text} (BC)"
