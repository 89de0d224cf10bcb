"""What the type of a table's column says about its values: the names that databases give to types. Pure."""

from __future__ import annotations

import re

from aetherflow.data_files import Column, Kind

_NUMBERS = re.compile(r"\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")

_KINDS: dict[Kind, str] = {
    "bool": "bool boolean",
    "int": (
        "int integer bigint smallint tinyint mediumint int2 int4 int8 int16 int32 int64 hugeint uhugeint"
        " utinyint usmallint uinteger ubigint serial bigserial smallserial"
    ),
    "float": "real float float4 float8 double binary_float binary_double",
    "decimal": "decimal numeric dec fixed number money smallmoney",
    "date": "date",
    "time": "time timetz",
    "datetime": (
        "datetime datetime2 smalldatetime datetimeoffset timestamp timestamptz timestamp_s timestamp_ms"
        " timestamp_ns"
    ),
    "string": (
        "text char character varchar varchar2 nvarchar nvarchar2 nchar bpchar string clob nclob ntext"
        " tinytext mediumtext longtext enum set uuid uniqueidentifier xml name citext long hashtype"
    ),
    "binary": "blob bytea binary varbinary raw longblob mediumblob tinyblob image",
    "json": "json jsonb",
}
_KIND_OF: dict[str, Kind] = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_ZONED = {"timestamptz", "datetimeoffset"}


def typed_column(name: str, declared: str, *, has_date_times: bool = False) -> Column:
    """Return the column that a declared type describes; of an unknown type only the name is known.

    `has_date_times` says that DATE has a time in it, as in Oracle.
    """
    text = declared.lower()
    words = re.findall(r"[a-z_]\w*", text)
    kind = _KIND_OF.get(words[0]) if words and not text.rstrip().endswith("[]") else None
    if kind == "date" and has_date_times:
        kind = "datetime"
    if kind == "decimal":
        numbers = _NUMBERS.search(text)
        precision = int(numbers[1]) if numbers else None
        return Column(name, kind, precision, int(numbers[2] or 0) if numbers else None)
    is_zoned = kind == "datetime" and (words[0] in _ZONED or "with time zone" in text)
    return Column(name, kind, is_zoned=is_zoned)
