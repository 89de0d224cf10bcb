"""Find the parameters `:name` in a statement: not in quotes, comments or casts (`::int`). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aetherflow_db.script import UnclosedError, comment_end, quote_end
from aetherflow_db.sql_dialects import Syntax

_NAMED = re.compile(r"(?<![:\w\\]):([^\W\d]\w*)(?!:)")
_INTERESTING = re.compile(r"[:'\"`\[$/\-#eE]")


def named_binds(sql: str, syntax: Syntax) -> Iterator[re.Match[str]]:
    """Yield where a statement has parameters; group 1 is the name."""
    at = 0
    while found := _INTERESTING.search(sql, at):
        at = found.start()
        try:
            end = max(comment_end(sql, at, syntax), quote_end(sql, at, syntax))
        except UnclosedError:
            return  # the database says it better
        if end > at:
            at = end
        elif bind := _NAMED.match(sql, at):
            yield bind
            at = bind.end()
        else:
            at += 1


def used_params(sql: str, syntax: Syntax, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some parameters that a statement names."""
    names = {bind[1] for bind in named_binds(sql, syntax)}
    return {name: value for name, value in params.items() if name in names}


def spelled(sql: str, syntax: Syntax, bind: Callable[[str], str], other: Callable[[str], str]) -> str:
    """Return a statement with its parameters in another spelling, and all other text changed by `other`."""
    parts, at = [], 0
    for found in named_binds(sql, syntax):
        parts += [other(sql[at : found.start()]), bind(found[1])]
        at = found.end()
    return "".join([*parts, other(sql[at:])])
