"""Read plain scalars by the core schema of YAML 1.2: numbers, booleans, null, text. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from aetherflow.spec.suggest import quoted

MAX_DIGITS = 1000

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NULLS = frozenset(("", "~", "null", "Null", "NULL"))
"""Plain scalars that are null; the first one is nothing at all."""
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(NULLS),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
OTHER_THAN_TEXT = frozenset("~nNtTfF+-.0123456789") | {""}
"""First characters of plain scalars that may be something other than text."""


def scalar_value(text: str) -> Any:
    """Return the value of a plain scalar in the core schema of YAML 1.2.

    Raises:
        ValueError: the number is too large.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a whole number of {len(text)} characters is too long")
        return int(text, 0) if text[1:2] in ("o", "x") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"the number {quoted(text)} is too large")
        return number
    return text


def json_text(value: Any) -> str:
    """Return a scalar as JSON writes it; a text as it is."""
    if isinstance(value, str):
        return value
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
