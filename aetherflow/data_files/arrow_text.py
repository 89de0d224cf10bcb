"""Write record batches of Arrow as csv or tsv text: the same bytes as `csv_writing`, in less time.

Every rule of `value_text` has its twin here; what has none goes through Python's values.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow.data_files.arrow_python import python_values
from aetherflow.data_files.dialect import Dialect
from aetherflow.data_files.far_dates import with_far_texts
from aetherflow.data_files.value_text import field_of, text_of_value

_USUAL = (1e-4, 1e10)
"""Where Python and Arrow write floats alike, but for the `.0` of whole ones."""

_CANNOT_BE_IN_NUMBERS = frozenset(",;\t|")


def can_be_vectorized(dialect: Dialect) -> bool:
    """Whether record batches can be written in this dialect without a detour through Python's values."""
    return dialect.is_plain and dialect.delimiter in _CANNOT_BE_IN_NUMBERS


def batch_text(batch: Any, dialect: Dialect) -> memoryview:
    """Return the rows of a record batch as bytes; the dialect is one that can be vectorized."""
    import pyarrow.compute as pc  # noqa: PLC0415 - an optional dependency, and slow to import

    if batch.num_columns == 1:  # readers pass over an empty line
        null = "" if dialect.empty_is_quoted else dialect.quotechar * 2
        quoting = msgspec.structs.replace(dialect, empty_is_quoted=True)
        fields = [pc.fill_null(_field(batch.columns[0], quoting), null)]
    else:
        fields = [_field(column, dialect) for column in batch.columns]
    fields[-1] = pc.binary_join_element_wise(
        fields[-1], dialect.linefeed, "", null_handling="replace", null_replacement=""
    )
    if len(fields) == 1:
        return _content(fields[0])
    return _content(
        pc.binary_join_element_wise(*fields, dialect.delimiter, null_handling="replace", null_replacement="")
    )


def _content(text: Any) -> memoryview:
    """Return the bytes of the values of a text array, which lie behind each other."""
    _, offsets, values = text.buffers()
    if len(text) == 0 or values is None:
        return memoryview(b"")
    places = memoryview(offsets).cast("i")
    return memoryview(values).cast("B")[places[text.offset] : places[text.offset + len(text)]]


def _field(column: Any, dialect: Dialect) -> Any:
    """Return a column as text, quoted where it must be."""
    text, may_need_quotes = as_text(column)
    return _quoted(text, dialect) if may_need_quotes else text


def as_text(column: Any) -> tuple[Any, bool]:  # noqa: PLR0911 - a table, one branch for each type
    """Return a column as text without quotes, and whether some values may need them."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    of, kind = pa.types, column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _in_python(column)
    if of.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if of.is_string(kind):
        return column, True
    if of.is_large_string(kind) or of.is_string_view(kind):
        return column.cast(pa.string()), True
    if of.is_integer(kind) or of.is_boolean(kind) or of.is_null(kind):
        return column.cast(pa.string()), False
    if of.is_date32(kind) or of.is_time(kind):
        return _dates_or_times(column), False
    if of.is_floating(kind) and not of.is_float16(kind):
        return _floats(column), False
    if of.is_decimal(kind):
        return _decimals(column), False
    if of.is_timestamp(kind):
        return _timestamps(column), False
    return _in_python(column)


def _in_python(column: Any) -> tuple[Any, bool]:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    return pa.array([text_of_value(value) for value in python_values(column)], pa.string()), True


def _floats(column: Any) -> Any:
    """Write floats as Python does."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    text = column.cast(pa.string())
    size = pc.abs(column)
    least, most = (pa.scalar(limit, column.type) for limit in _USUAL)
    usual = pc.or_(pc.and_(pc.greater_equal(size, least), pc.less(size, most)), pc.equal(size, 0))
    whole = pc.equal(pc.trunc(column), column)
    if pc.any(whole).as_py():
        text = pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    if pc.all(usual).as_py() is not False:
        return text
    rare = pc.fill_null(pc.invert(usual), fill_value=False)
    if pa.types.is_float32(column.type):  # its shortest text is not that of the float64 of the same value
        written = [repr(float(one)) for one in column.filter(rare).cast(pa.string()).to_pylist()]
    else:
        written = [str(field_of(one)) for one in column.filter(rare).to_pylist()]
    return pc.replace_with_mask(text, rare, pa.array(written, pa.string()))


def _decimals(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    text = column.cast(pa.string())
    return _in_python(column)[0] if pc.any(pc.match_substring(text, "E")).as_py() else text


def _dates_or_times(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    if pa.types.is_time(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    return with_far_texts(column, _without_zeros(column.cast(pa.string())))


def _timestamps(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    is_zoned = column.type.tz is not None
    moments = column.cast(pa.timestamp("us", "UTC" if is_zoned else None), safe=False)
    if is_zoned:
        moments = moments.cast(pa.timestamp("us"))  # the same in UTC, without the Z
    text = pc.replace_substring(moments.cast(pa.string()), " ", "T", max_replacements=1)
    text = _without_zeros(text)
    if is_zoned:
        text = pc.binary_join_element_wise(text, "+00:00", "")
    return with_far_texts(moments, text, "+00:00" if is_zoned else "")


def _without_zeros(text: Any) -> Any:
    """Return texts of times without a fraction where it is zero."""
    import pyarrow.compute as pc  # noqa: PLC0415 - an optional dependency, and slow to import

    ends = pc.ends_with(text, ".000000")
    if pc.any(ends).as_py():
        text = pc.if_else(ends, pc.utf8_slice_codeunits(text, 0, -len(".000000")), text)
    return text


def _quoted(text: Any, dialect: Dialect) -> Any:
    """Quote the texts that hold a delimiter, a quote or a line end, and the empty ones."""
    import pyarrow.compute as pc  # noqa: PLC0415 - an optional dependency, and slow to import

    quote, special = dialect.quotechar, (dialect.delimiter, dialect.quotechar, "\n", "\r")
    content = bytes(_content(text))
    if any(mark.encode() in content for mark in special):
        marked = pc.match_substring_regex(text, f"[{''.join(special)}]")
        inside = pc.replace_substring(text, quote, quote * 2)
        text = pc.if_else(marked, pc.binary_join_element_wise(quote, inside, quote, ""), text)
    if dialect.empty_is_quoted:
        empty = pc.equal(pc.binary_length(text), 0)
        if pc.any(empty).as_py():
            text = pc.if_else(empty, quote * 2, text)
    return text
