"""Find where in a statement the database saw an error, from what its driver says. Imports no driver."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from aetherflow_db.named_parameters import spelled
from aetherflow_db.query import Query
from aetherflow_db.sql_dialects import POSTGRES

_LINE = re.compile(r"\bline:? (\d+)", re.IGNORECASE)
_CARET = re.compile(r"^LINE (\d+): (.*)\n( *)\^", re.MULTILINE)
_NEAR = re.compile(
    r"""near[ ]"([^"]+)":[ ]syntax[ ]error|no[ ]such[ ](?:column|table|function):[ ]([\w.]+)
    |Unknown[ ]column[ ]'([^']+)'|Table[ ]'(?:[^'.]*\.)?([^'.]+)'[ ]doesn't[ ]exist
    |near[ ]'(.+)'[ ]at[ ]line[ ]\d+""",
    re.DOTALL | re.VERBOSE,
)


class Position(msgspec.Struct, frozen=True):
    """A place in a statement, both from 1.

    Attributes:
        line: the line.
        column: the character in it; None: not known.
    """

    line: int
    column: int | None = None


def error_position(error: Any, query: Query) -> Position | None:
    """Return where the database saw an error, by what its driver raised; None: it does not say.

    With parameters the database got another text, in which only the lines are the same.
    """
    sql = _sent_by_psycopg(query.sql) if query.params and hasattr(error, "diag") else query.sql
    message = next((one for one in getattr(error, "args", ()) if isinstance(one, str)), str(error))
    found = _by_offset(error, sql) or _by_caret(message, sql) or _by_token(message, sql)
    if found is None and (said := _LINE.search(message)):
        found = Position(int(said[1]))
    if found is None or found.line > sql.count("\n") + 1:
        return None
    return Position(found.line) if query.params else found


def _sent_by_psycopg(sql: str) -> str:
    """Return the text that PostgreSQL gets for a statement with parameters: they are `$1`, `$2`."""
    numbers: dict[str, int] = {}
    return spelled(
        sql,
        POSTGRES.syntax,
        lambda name: f"${numbers.setdefault(name, len(numbers) + 1)}",
        lambda other: other,
    )


def _place(sql: str, offset: int) -> Position:
    return Position(sql.count("\n", 0, offset) + 1, offset - sql.rfind("\n", 0, offset))


def _by_offset(error: Any, sql: str) -> Position | None:
    """Return the place that PostgreSQL and Oracle say: a number of characters."""
    said = getattr(getattr(error, "diag", None), "statement_position", None)
    if said is not None:
        return _place(sql, int(said) - 1)
    first = error.args[0] if getattr(error, "args", ()) else None
    offset = getattr(first, "offset", None)
    return _place(sql, offset) if isinstance(offset, int) and offset > 0 else None


def _by_caret(message: str, sql: str) -> Position | None:
    """Return the place that DuckDB shows: the line, shortened at both ends, with a caret below."""
    said = _CARET.search(message)
    if said is None:
        return None
    line, shown = int(said[1]), said[2]
    at = len(said[3]) - len(f"LINE {line}: ")
    lines = sql.split("\n")
    if line > len(lines):
        return None
    shown, cut = (shown[3:], 3) if shown.startswith("...") else (shown, 0)
    begin = lines[line - 1].find(shown.removesuffix("..."))
    return Position(line, begin + at - cut + 1) if begin >= 0 else Position(line)


def _by_token(message: str, sql: str) -> Position | None:
    """Return the place of the word, or the text, that SQLite or MySQL names, if the statement has it once."""
    said = _NEAR.search(message)
    if said is None:
        return None
    name = next(filter(None, said.groups()))
    word = re.escape(name)
    is_word = re.fullmatch(r"[\w.]+", name) is not None
    places = [one.start() for one in re.finditer(rf"(?<!\w){word}(?!\w)" if is_word else word, sql)]
    return _place(sql, places[0]) if len(places) == 1 else None
