"""Replace `$NAME`, `${NAME}` and `${NAME:-default}` in a value of a dotenv file, as a shell would.

A variable that is not set is an error, not an empty text: a password that holds a `$` must not lose its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_SPECIAL = re.compile(r"[\\$}]")
_BARE = re.compile(r"\$(?P<name>[A-Za-z_][A-Za-z0-9_]*)")
_BRACED = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_.]*)(?P<operator>:?[-+?])?")
_NOT_SUPPORTED, _NOT_SET = "AF165", "AF166"
_PLAIN_DOLLAR = r"for a plain dollar sign write \$, or put the value in single quotes"


class UnusableText(Exception):
    """A value that cannot be expanded.

    Attributes:
        at: the character of the value that is concerned.
        problem: what is wrong; never the value of a variable.
    """

    def __init__(self, at: int, problem: str, hint: str, code: str) -> None:
        super().__init__(problem)
        self.at = at
        self.problem = problem
        self.hint = hint
        self.code = code


class Expansion:
    """Expands one value, from left to right; what was inserted is not expanded again.

    Args:
        text: the value as it is written.
        known: the variables.
        escapes: what follows a backslash, and what both mean; other backslashes stay.
    """

    def __init__(self, text: str, known: Mapping[str, str], escapes: Mapping[str, str]) -> None:
        self.text = text
        self.known = known
        self.escapes = escapes
        self.at = 0

    def whole(self) -> str:
        """Return the whole value, expanded.

        Raises:
            UnusableText: a variable is not set, or a form of `$` is not supported.
        """
        return self._until_end(nested=False, used=True)

    def _until_end(self, *, nested: bool, used: bool) -> str:
        """Return what follows, expanded: the rest, or (nested) up to the brace that closes a default.

        A part that is not `used` is only read past, so that its variables need not be set.
        """
        parts: list[str] = []
        while special := _SPECIAL.search(self.text, self.at):
            parts.append(self.text[self.at : special.start()])
            self.at = special.start()
            if special[0] == "}" and nested:
                return "".join(parts)
            parts.append(self._special(special[0], used=used))
        parts.append(self.text[self.at :])
        self.at = len(self.text)
        return "".join(parts)

    def _special(self, character: str, *, used: bool) -> str:
        """Return the value of the escape or variable at this place, and move behind it."""
        following = self.text[self.at + 1 : self.at + 2]
        if character == "\\" and following in self.escapes:
            self.at += 2
            return self.escapes[following]
        if character == "$" and following == "(":
            problem = "'$(' would begin a command, and no command is run here"
            raise UnusableText(self.at, problem, _PLAIN_DOLLAR, _NOT_SUPPORTED)
        if character == "$" and following == "{":
            return self._braced(used=used)
        if character == "$" and (bare := _BARE.match(self.text, self.at)):
            self.at = bare.end()
            return self._value(bare["name"], bare.start()) if used else ""
        self.at += 1
        return character

    def _braced(self, *, used: bool) -> str:
        start = self.at
        braced = _BRACED.match(self.text, start)
        if braced is None:
            raise self._not_supported(start)
        self.at = braced.end()
        name, operator = braced["name"], braced["operator"] or ""
        is_given = bool(self.known.get(name)) if operator.startswith(":") else name in self.known
        word_start, word = self.at, ""
        if operator:
            word = self._until_end(nested=True, used=used and is_given == operator.endswith("+"))
        written = self.text[word_start : self.at]
        if self.text[self.at : self.at + 1] != "}":
            raise self._not_supported(start)
        self.at += 1
        if not used:
            return ""
        if operator.endswith("+"):
            return word if is_given else ""
        if operator.endswith("-") and not is_given:
            return word
        if operator.endswith("?") and not is_given:
            problem = f"{name} must be set: {written}" if written else f"{name} must be set"
            raise UnusableText(start, problem, f"set {name}", _NOT_SET)
        return self._value(name, start)

    def _value(self, name: str, at: int) -> str:
        if name not in self.known:
            hint = f"set {name} above or in the environment, or write ${{{name}:-}}; {_PLAIN_DOLLAR}"
            raise UnusableText(at, f"the variable {name} is not set", hint, _NOT_SET)
        return self.known[name]

    def _not_supported(self, at: int) -> UnusableText:
        problem = "this form of '${' is not supported, or its '}' is missing"
        hint = f"write ${{NAME}} or ${{NAME:-default}}; {_PLAIN_DOLLAR}"
        return UnusableText(at, problem, hint, _NOT_SUPPORTED)
