r"""Parse the dotenv format: `KEY=VALUE` lines, read without a shell.

A value is plain (up to ` #` or the end of the line), single quoted (literal, but for `\'`) or double quoted.
In quotes it may span lines, as a key in PEM does. In double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are
escapes, other backslashes stay. `$X` is plain text.
"""

from __future__ import annotations

import re

from aetherflow.errors import ConfigError

_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_KEY = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*=")
_QUOTE = re.compile(r"[ \t]*(?P<quote>['\"])")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'(?P<value>(?:\\'|[^'\n])*)'")
_SINGLE_OF_LINES = re.compile(r"'(?P<value>(?:\\'|[^'])*)'(?=[ \t]*(?:#|\n|\Z))")
_COMMENT = re.compile(r"[ \t]#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str, file: str) -> dict[str, str]:
    """Return the variables of a dotenv text; a later line wins over an earlier one.

    Args:
        text: the content of the file, lines ended by a newline.
        file: the name that errors show.

    Raises:
        ConfigError: a line is not `KEY=VALUE`, or a quote is not closed; names file and line, never a value.
    """
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        key = _KEY.match(text, at)
        if key is None:
            raise _error(text, at, file, "this line is not KEY=VALUE", "a comment starts with #")
        variables[key["key"]], at = _value(text, key, file)
    return variables


def _value(text: str, key: re.Match[str], file: str) -> tuple[str, int]:
    """Return the value that follows a key, and where the next line starts."""
    opened = _QUOTE.match(text, key.end())
    if opened is None:
        end_of_line = text.find("\n", key.end())
        stop = len(text) if end_of_line < 0 else end_of_line
        return _COMMENT.sub("", text[key.end() : stop]).strip(" \t\r"), stop + 1
    quote, start = opened["quote"], opened.start("quote")
    quoted = _DOUBLE.match(text, start) if quote == '"' else _single(text, start)
    if quoted is None:
        hint = "close it, or write the quote inside the value as \\" + quote
        raise _error(text, start, file, f"the quote that opens the value of {key['key']} is not closed", hint)
    end = _BLANK.match(text, quoted.end())
    if end is None:
        message = f"there is text after the closing quote of {key['key']}"
        raise _error(text, quoted.end(), file, message, f"write a quote inside the value as \\{quote}")
    if quote == '"':
        return _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[0]), quoted["value"]), end.end()
    return quoted["value"].replace("\\'", "'"), end.end()


def _single(text: str, start: int) -> re.Match[str] | None:
    """Return a single quoted value: on one line if that can be, for a backslash may stand before its end."""
    quoted = _SINGLE.match(text, start)
    if quoted is not None and _BLANK.match(text, quoted.end()):
        return quoted
    return _SINGLE_OF_LINES.match(text, start) or quoted


def _error(text: str, at: int, file: str, message: str, hint: str) -> ConfigError:
    line = text.count("\n", 0, at) + 1
    return ConfigError(f"{file}:{line}: {message}", hint=hint, code="AF503")
