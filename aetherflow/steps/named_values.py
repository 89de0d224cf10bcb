"""Read what programs write: `name=value` lines, blocks `name<<END`, lines of text, or JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from aetherflow.errors import StepError
from aetherflow.spec.suggest import shortened

Parse = Literal["lines", "json", "kv"]

NAME = re.compile(r"[^\W\d][\w-]*")
"""A name that a template can read: `{{result.NAME}}`."""

_ALLOWED = "write NAME=VALUE, or NAME<<END, lines of text and a line END; a name has letters, digits, _ and -"


class Source:
    """A text of a program and how errors call it; `mask` masks the secrets in what an error shows."""

    def __init__(self, text: str, called: str, code: str, mask: Callable[[str], str]) -> None:
        self.text = text
        self._called = called
        self._code = code
        self._mask = mask

    def refuse(self, line: int, reason: str, text: str = "", hint: str = "") -> NoReturn:
        """Raise the error about a line, which is counted from 1.

        Raises:
            StepError: always.
        """
        shown = shortened(self._mask(text))  # masked before it is cut: half a secret is not found
        where = f"{self._called}, line {line}: {shown!r}: " if text else f"{self._called}, line {line}: "
        raise StepError(f"{where}{reason}", hint=hint, code=self._code)


def parsed(source: Source, parse: Parse) -> Any:
    """Return the value of a text: a list of lines, a JSON value, or a mapping of texts.

    Raises:
        StepError: it is not such a text; the error names the line.
    """
    match parse:
        case "lines":
            return [line for line in _lines(source.text) if line.strip()]
        case "json":
            return json_value(source)
        case "kv":
            return named_values(source)


def object_or_named_values(source: Source) -> dict[str, Any]:
    """Return the values of a file: those of a JSON object if it begins with `{`, else named texts.

    Raises:
        StepError: it is neither; the error names the line.
    """
    if not source.text.lstrip().startswith("{"):
        return named_values(source)
    values: dict[str, Any] = json_value(source)  # what begins with a brace is an object
    for name in values:
        if not NAME.fullmatch(name):
            source.refuse(_line_of(source.text, f'"{name}"'), "it is no name", name, _ALLOWED)
    return values


def named_values(source: Source) -> dict[str, Any]:
    """Return named texts; of one name that is written twice, the last value, as GitHub Actions does.

    Raises:
        StepError: a line is neither empty, nor NAME=VALUE, nor the begin of a block that has an end.
    """
    values: dict[str, Any] = {}
    lines = _lines(source.text)
    number = 0
    while number < len(lines):
        line, at = lines[number], number + 1
        number += 1
        if not line.strip():
            continue
        found = re.match(r"(?P<name>.*?)(?P<sign>=|<<)(?P<rest>.*)", line)
        if found is None:
            source.refuse(at, "it has no =", line, _ALLOWED)
        name, rest = found["name"], found["rest"]
        if not NAME.fullmatch(name):
            source.refuse(at, f"{name!r} is no name", line, _ALLOWED)
        if found["sign"] == "<<":
            if not rest:
                source.refuse(at, "no word ends the block", line, _ALLOWED)
            try:
                end = lines.index(rest, number)
            except ValueError:
                source.refuse(at, f"no line {rest!r} ends the block", line, _ALLOWED)
            rest, number = "\n".join(lines[number:end]), end + 1
        values[name] = rest
    return values


def json_value(source: Source) -> Any:
    """Return the value of a JSON text.

    Raises:
        StepError: it is no JSON, or has numbers that JSON does not know, as NaN.
    """
    if not source.text.strip():
        source.refuse(1, "there is no JSON, it is empty")

    def refuse_constant(name: str) -> NoReturn:
        source.refuse(_line_of(source.text, name), f"{name} is no JSON", hint="write null, or a text")

    try:
        return json.loads(source.text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        line = source.text.split("\n")[error.lineno - 1]
        source.refuse(error.lineno, f"it is no JSON: {error.msg} at column {error.colno}", line)
    except (RecursionError, ValueError) as error:
        source.refuse(1, f"its JSON cannot be read: {error}")


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")]


def _line_of(text: str, part: str) -> int:
    return text.count("\n", 0, max(text.find(part), 0)) + 1
