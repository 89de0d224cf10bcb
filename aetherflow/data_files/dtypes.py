"""The words of `dtypes`: how a flow names the kinds of columns. Imports only the errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from aetherflow.data_files.columns import Column, Kind
from aetherflow.errors import StepError

WORDS: tuple[Kind, ...] = get_args(Kind)
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_OTHER_WORDS: dict[str, Kind] = {
    "str": "string",
    "text": "string",
    "integer": "int",
    "int64": "int",
    "float64": "float",
    "double": "float",
    "boolean": "bool",
    "timestamp": "datetime",
    "bytes": "binary",
}


def dtype_word(column: Column) -> str:
    """Return the word for a column: `int`, `decimal(18,2)`; a column of no known kind is `string`."""
    if column.kind == "decimal" and column.precision is not None and column.scale is not None:
        return f"decimal({column.precision},{column.scale})"
    return column.kind or "string"


def dtype_words(columns: Iterable[Column]) -> dict[str, str]:
    """Return the words of columns by name."""
    return {column.name: dtype_word(column) for column in columns}


def read_dtypes(dtypes: Mapping[str, Any] | str | None, dtypes_json: Any = None) -> dict[str, Column]:
    """Return the columns that the inputs `dtypes` and `dtypes_json` describe, by name.

    Args:
        dtypes: a mapping {column: word}, or such a mapping as JSON text.
        dtypes_json: another name of `dtypes`, which wins over it.

    Raises:
        StepError: it is no mapping, or a word is unknown (AF901).
    """
    given = dtypes if dtypes is not None else dtypes_json
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given) if given.strip() else {}
        except msgspec.DecodeError as error:
            raise _no_mapping(f"it is no JSON: {error}") from None
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise _no_mapping(f"it is a {type(given).__name__}")
    return {str(name): _column(str(name), word) for name, word in given.items()}


def with_dtypes(columns: Sequence[Column], dtypes: Mapping[str, Column]) -> tuple[Column, ...]:
    """Return columns with the kinds that dtypes give to some of them.

    Raises:
        StepError: dtypes name a column that is not there (AF901).
    """
    names = [column.name for column in columns]
    if unknown := [name for name in dtypes if name not in names]:
        raise StepError(
            f"dtypes name the column {unknown[0]!r}, which is not there",
            hint=f"the columns are: {', '.join(names)}",
            code="AF901",
        )
    return tuple(
        msgspec.structs.replace(dtypes[column.name], is_zoned=column.is_zoned)
        if column.name in dtypes
        else column
        for column in columns
    )


def _column(name: str, word: Any) -> Column:
    text = word.strip().lower() if isinstance(word, str) else ""
    if found := _DECIMAL.fullmatch(text):
        precision, scale = int(found[1]), int(found[2])
        if precision >= 1 and scale <= precision:
            return Column(name, "decimal", precision, scale)
    kind = text if text in WORDS else _OTHER_WORDS.get(text)
    if kind is None:
        raise StepError(
            f"dtypes: the column {name!r} has the type {word!r}, which does not exist",
            hint=f"one of {', '.join(WORDS)}, or decimal(18,2) with the number of digits",
            code="AF901",
        )
    return Column(name, kind)


def _no_mapping(why: str) -> StepError:
    return StepError(
        f"dtypes must be a mapping of columns to types, and {why}",
        hint="write dtypes: {amount: decimal, day: date}, or the same as JSON",
        code="AF901",
    )
