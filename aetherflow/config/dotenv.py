r"""Parse the dotenv format: `KEY=VALUE` lines, read without a shell.

A value is plain (up to ` #` or the end of the line), single quoted (literal, but for `\'`) or double quoted.
In quotes it may span lines, as a key in PEM does. In double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are
escapes, other backslashes stay; in a plain value only `\$` is one. `$X` and `${X}` are expanded in both (see
`dotenv_expansion`).

Not python-dotenv: it logs a line that it cannot read and continues without it, knows no columns, and takes a
variable that is not set for an empty text.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping

from aetherflow.config.dotenv_expansion import Expansion, UnusableText
from aetherflow.errors import ConfigError

NOT_SUPPORTED = "AF165"
_MALFORMED = "AF503"

_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_KEY = re.compile(rf"[ \t]*(?:export[ \t]+)?(?P<key>{_NAME})(?:[ \t]*=|:(?=[ \t]))")
_EXPORTED = re.compile(rf"[ \t]*export(?P<keys>(?:[ \t]+{_NAME})+)[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_QUOTE = re.compile(r"[ \t]*(?P<quote>['\"`])")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'(?P<value>(?:\\'|[^'\n])*)'")
_SINGLE_OF_LINES = re.compile(r"'(?P<value>(?:\\'|[^'])*)'(?=[ \t]*(?:#|\n|\Z))")
_COMMENT = re.compile(r"[ \t]#.*")
_IN_DOUBLE_QUOTES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_IN_PLAIN = {"$": "$"}


def parse_dotenv(
    text: str,
    file: str,
    environment: Mapping[str, str] | None = None,
    winning: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables of a dotenv text; a later line wins over an earlier one.

    Args:
        text: the content of the file.
        file: the name that errors show.
        environment: what `${NAME}` may name, beside the lines above it.
        winning: variables that win over those lines, as they will in the end.

    Raises:
        ConfigError: a line cannot be read; names file, line and column, never a value.
    """
    variables: dict[str, str] = {}
    known = ChainMap(dict(winning or {}), variables, dict(environment or {}))
    return _Reader(text.replace("\r\n", "\n").replace("\r", "\n"), file, variables, known).read()


class _Reader:
    """Reads the lines of one file in order."""

    def __init__(self, text: str, file: str, variables: dict[str, str], known: Mapping[str, str]) -> None:
        self.text = text
        self.file = file
        self.variables = variables
        self.known = known

    def read(self) -> dict[str, str]:
        """Return the variables."""
        at = 0
        while at < len(self.text):
            if blank := _BLANK.match(self.text, at):
                at = blank.end()
            elif key := _KEY.match(self.text, at):
                self.variables[key["key"]], at = self.value(key)
            else:
                at = self.other_line(at)
        return self.variables

    def other_line(self, at: int) -> int:
        """Return where the line ends that only exports variables of earlier lines; refuse any other."""
        exported = _EXPORTED.match(self.text, at)
        if exported is not None and all(key in self.variables for key in exported["keys"].split()):
            return exported.end()
        hint = "write NAME= for an empty value; a comment starts with #"
        raise self.error(self.first_of(at), "this line is not KEY=VALUE", hint)

    def value(self, key: re.Match[str]) -> tuple[str, int]:
        """Return the value that follows a key, and where the next line starts."""
        opened = _QUOTE.match(self.text, key.end())
        if opened is None:
            return self.plain(key.end())
        quote, start = opened["quote"], opened.start("quote")
        if quote == "`":
            message = f"the value of {key['key']} begins with a backtick, which is not supported"
            hint = "write it in single quotes, or in double quotes; no command is run"
            raise self.error(start, message, hint, NOT_SUPPORTED)
        quoted = _DOUBLE.match(self.text, start) if quote == '"' else self.single(start)
        if quoted is None:
            hint = "close it, or write the quote inside the value as \\" + quote
            raise self.error(start, f"the quote that opens the value of {key['key']} is not closed", hint)
        end = _BLANK.match(self.text, quoted.end())
        if end is None:
            message = f"there is text after the closing quote of {key['key']}"
            hint = f"write a quote inside the value as \\{quote}"
            raise self.error(self.first_of(quoted.end()), message, hint)
        if quote == '"':
            return self.expanded(quoted["value"], quoted.start("value"), _IN_DOUBLE_QUOTES), end.end()
        return quoted["value"].replace("\\'", "'"), end.end()

    def plain(self, start: int) -> tuple[str, int]:
        """Return a value without quotes."""
        end_of_line = self.text.find("\n", start)
        stop = len(self.text) if end_of_line < 0 else end_of_line
        value = _COMMENT.sub("", self.text[start:stop])
        begin = start + len(value) - len(value.lstrip(" \t"))
        return self.expanded(value.strip(" \t"), begin, _IN_PLAIN), stop + 1

    def single(self, start: int) -> re.Match[str] | None:
        """Return a single quoted value: on one line if possible, as a backslash may be its last character."""
        quoted = _SINGLE.match(self.text, start)
        if quoted is not None and _BLANK.match(self.text, quoted.end()):
            return quoted
        return _SINGLE_OF_LINES.match(self.text, start) or quoted

    def expanded(self, value: str, start: int, escapes: Mapping[str, str]) -> str:
        """Return a value with its escapes and variables replaced."""
        try:
            return Expansion(value, self.known, escapes).whole()
        except UnusableText as error:
            raise self.error(start + error.at, error.problem, error.hint, error.code) from None

    def first_of(self, at: int) -> int:
        """Return the place of the first character that is no blank."""
        while self.text[at : at + 1] in (" ", "\t"):
            at += 1
        return at

    def error(self, at: int, message: str, hint: str, code: str = _MALFORMED) -> ConfigError:
        """Return an error about a place of the text."""
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return ConfigError(f"{self.file}:{line}:{column}: {message}", hint=hint, code=code)
