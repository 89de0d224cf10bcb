"""Find the `{{...}}` tokens in a text; everything around them is plain text.

A token is a path, perhaps with a calculation and a default, or a text in quotes: `{{`{{.Names}}`}}` is the
text `{{.Names}}`, the only way to write double braces.
"""

from __future__ import annotations

import re

from aetherflow.language.date_format import format_problem
from aetherflow.language.dates import STEP, Calculation, parse_steps
from aetherflow.language.reference import MAX_PARTS, PATH, Reference, TextDiagnostic
from aetherflow.language.token_hints import FORMAT, format_hint, hint_of

UNSUPPORTED = "Unsupported templating syntax. Use {{VAR}} or {{VAR:DEFAULT}}"
MAX_PROBLEMS = 20
"""How many problems of one text are reported; the rest are mostly consequences."""

_TOKEN = re.compile(
    rf"\{{\{{(?P<padding>\s*)(?P<path>{PATH})(?P<steps>(?:\s+{STEP})*)\s*(?P<end>:|\||\}}\}})"
)
_FORMAT = re.compile(r"\s*format\s*:(?P<format>[^{}]*)\}\}")
_QUOTED = re.compile(r"\{\{\s*(?P<quote>['\"`])(?P<text>(?:(?!(?P=quote)).)*)(?P=quote)\s*\}\}", re.DOTALL)
# Besides braces: statements and comments of other template languages. `{%` counts when it is closed, or when
# a space follows as in `{% if`; `printf {%s}` and the shell's `${#list}` are plain text.
_MARK = re.compile(r"\{\{|(?<!\$)\{(?P<sign>[%#])(?:[-+]?\s|[^{}]*(?P=sign)\})|[{}]")
_BRACES = re.compile(r"\{\{|[{}]")

Part = str | Reference


def scan(text: str, where: tuple[str | int, ...]) -> tuple[list[Part], list[TextDiagnostic]]:
    """Split a text into plain texts and references, and return its problems.

    `}}` that closes single braces before it, as in JSON, is plain text; one that closes nothing is an error.
    """
    parts: list[Part] = []
    problems: list[TextDiagnostic] = []
    start = position = depth = 0
    while len(problems) < MAX_PROBLEMS and (mark := _MARK.search(text, position)):
        at, position = mark.start(), mark.end()
        match mark[0]:
            case "{{":
                token = _token(text, at, where)
                if isinstance(token, TextDiagnostic):
                    problems.append(token)
                    position = _resume(text, at)
                else:
                    part, end = token
                    parts += [text[start:at], part]
                    start = position = end
            case "{":
                depth += 1
            case "}" if depth:
                depth -= 1
            case "}":
                if not problems and (text.startswith("}}", at) or text.endswith("}", start, at)):
                    problems.append(_problem(text, at, where, "these braces close nothing"))
            case _:
                problems.append(_problem(text, at, where, "statements and comments are not supported"))
    parts.append(text[start:])
    return [part for part in parts if part != ""], problems


def _token(text: str, at: int, where: tuple[str | int, ...]) -> tuple[Part, int] | TextDiagnostic:
    """Parse the token that begins at `at`; return its reference, or its text in quotes, and its end."""
    token = _TOKEN.match(text, at)
    if token is None:
        if (quoted := _QUOTED.match(text, at)) is not None:
            return quoted["text"], quoted.end()
        return _no_token(text, at, where)
    path = tuple(token["path"].split("."))
    if len(path) > MAX_PARTS:
        return _problem(text, at, where, f"a path has at most {MAX_PARTS} parts")
    steps = parse_steps(token["steps"])
    calculation = Calculation(steps, "", token["steps"].rstrip()) if steps else None
    if token["end"] == "|":
        return _formatted(text, token, where, calculation or Calculation(()))
    default, end = None, token.end()
    if token["end"] == ":":
        close = _end_of_default(text, token.end())
        if close < 0:
            return _problem(text, at, where, "it is not closed, or another token is in its default")
        default, end = text[token.end() : close], close + 2
        if FORMAT.search(default):
            return _problem(text, at, where, "a format and a default do not go together")
        if token["padding"]:
            default = default.strip()
    return Reference(path, default, where, token.start("path"), calculation), end


def _formatted(
    text: str, token: re.Match[str], where: tuple[str | int, ...], calculation: Calculation
) -> tuple[Part, int] | TextDiagnostic:
    """Parse the pipe of a token: `format:` and the format, up to the closing braces."""
    found = _FORMAT.match(text, token.end())
    if found is None:
        return _no_token(text, token.start(), where)
    written = found["format"].strip()
    if problem := format_problem(written):
        return TextDiagnostic(problem, where, found.start("format"), "AF566", format_hint(written))
    calculation = Calculation(calculation.steps, written, calculation.text)
    reference = Reference(tuple(token["path"].split(".")), None, where, token.start("path"), calculation)
    return reference, found.end()


def _end_of_default(text: str, start: int) -> int:
    """Return where the `}}` of a token is; single braces inside the default are balanced. -1: nowhere."""
    depth = 0
    for brace in _BRACES.finditer(text, start):
        match brace[0]:
            case "{{":
                return -1
            case "{":
                depth += 1
            case "}" if depth:
                depth -= 1
            case "}" if text.startswith("}}", brace.start()):
                return brace.start()
    return -1


def _resume(text: str, at: int) -> int:
    """Return where to continue after the bad token at `at`: behind its `}}`, or at the next `{{`."""
    next_open = text.find("{{", at + 2)
    limit = len(text) if next_open < 0 else next_open
    close = text.find("}}", at + 2, limit)
    return limit if close < 0 else close + 2


def _no_token(text: str, at: int, where: tuple[str | int, ...]) -> TextDiagnostic:
    is_closed = text.startswith("}}", _resume(text, at) - 2)
    reason = "only names joined by dots may be between the braces" if is_closed else "it is not closed"
    return _problem(text, at, where, reason)


def _problem(text: str, at: int, where: tuple[str | int, ...], reason: str) -> TextDiagnostic:
    return TextDiagnostic(UNSUPPORTED, where, at, "AF401", hint_of(text, at, _resume(text, at), reason))
