"""Spell a statement's `:name` parameters the way a driver takes them; values stay beside the statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

ParamStyle = Literal["qmark", "named", "pyformat", "format", "numeric", "dollar"]
"""As in DB-API: `?`, `:name`, `%(name)s`, `%s`, `:1`; and `$name`."""

_TOKENS = r"""
    (?P<passed> '(?:[^'{escape}]|{escaped}'')*' | "(?:[^"]|"")*" | `[^`]*`
      | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ | --[^\n]* | {hash} /\*.*?\*/ | ::
    )
  | (?<![\w:\\]) : (?P<name>[^\W\d]\w*)
"""
"""Quoted texts and names, comments, and casts, in which no parameter is looked for; and parameters."""


def _pattern(escape: str, escaped: str, hash_comment: str) -> re.Pattern[str]:
    text = _TOKENS.format(escape=escape, escaped=escaped, hash=hash_comment)
    return re.compile(text, re.VERBOSE | re.DOTALL)


_STANDARD = _pattern("", "", "")
_MYSQL = _pattern(r"\\", r"\\.|", r"\#[^\n]* |")
"""MySQL has backslashes in quoted texts, and a further comment."""


class UnboundParameterError(Exception):
    """A statement names a parameter that has no value; the argument is its name."""


def bound(
    sql: str, params: Mapping[str, Any], style: ParamStyle, *, is_mysql: bool = False
) -> tuple[str, dict[str, Any] | list[Any]]:
    """Return a statement with its parameters in a driver's style, and the values that it takes.

    `:name` in quotes, in comments and after a word or a colon is no parameter, and a colon after a backslash
    is a colon.

    Raises:
        UnboundParameterError: `params` has no value for one.
    """
    by_name: dict[str, Any] = {}
    in_order: list[Any] = []

    def spelled(name: str) -> str:
        if name not in params:
            raise UnboundParameterError(name)
        by_name[name] = params[name]
        in_order.append(params[name])
        return _SPELLINGS[style](name, len(in_order))

    doubles_percent = style in {"pyformat", "format"}
    pieces, at = [], 0
    for found in (_MYSQL if is_mysql else _STANDARD).finditer(sql):
        if found["name"]:
            pieces += [_plain(sql[at : found.start()], doubles_percent), spelled(found["name"])]
            at = found.end()
    pieces.append(_plain(sql[at:], doubles_percent))
    if style == "dollar":  # a statement may have this spelling itself
        by_name |= {name: params[name] for name in params if re.search(rf"\${re.escape(name)}\b", sql)}
    takes_names = style in {"named", "pyformat", "dollar"}
    return "".join(pieces), by_name if takes_names else in_order


def first_param(sql: str) -> str | None:
    """Return the name of the first `:name` of a statement; None: there is none."""
    return next((found["name"] for found in _STANDARD.finditer(sql) if found["name"]), None)


_SPELLINGS: Mapping[ParamStyle, Callable[[str, int], str]] = {
    "qmark": lambda _name, _number: "?",
    "named": lambda name, _number: f":{name}",
    "pyformat": lambda name, _number: f"%({name})s",
    "format": lambda _name, _number: "%s",
    "numeric": lambda _name, number: f":{number}",
    "dollar": lambda name, _number: f"${name}",
}


def _plain(text: str, doubles_percent: bool) -> str:  # noqa: FBT001 - private, and its two calls are above
    text = text.replace("\\:", ":")
    return text.replace("%", "%%") if doubles_percent else text
