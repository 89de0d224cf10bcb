"""The differences between databases that writing to them must know: quotes, scripts, transactions; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_COMMENTS = (("--", "\n"), ("/*", "*/"))
_QUOTES = ("''", '""')


class Syntax(msgspec.Struct, frozen=True):
    """How a script is divided into statements.

    Attributes:
        quotes: the character that opens a quoted text or name, and the one that closes it.
        comments: what opens a comment, and what closes it.
        nests_comments: whether a `/*` inside a comment needs an end of its own.
        has_dollar_quotes: `$$ ... $$` and `$tag$ ... $tag$`.
        has_backslash_escapes: a backslash in a text quotes the next character.
        has_escape_strings: the same, only in `E'...'`.
        delimiter: what ends a statement; empty: only a line of `batch_lines` does.
        has_delimiter_command: `DELIMITER //`, a line for the client.
        batch_lines: words that end what is before them where they are alone on a line, in upper case.
        has_triggers: `CREATE TRIGGER ... BEGIN ...; END` is one statement.
        has_atomic_blocks: `BEGIN ATOMIC ...; END` is part of one statement.
        has_programs: what begins with BEGIN, DECLARE or CREATE PROCEDURE (FUNCTION ...) ends at a batch line.
        begin_words: the first words of what begins a transaction.
    """

    quotes: tuple[str, ...] = _QUOTES
    comments: tuple[tuple[str, str], ...] = _COMMENTS
    nests_comments: bool = False
    has_dollar_quotes: bool = False
    has_backslash_escapes: bool = False
    has_escape_strings: bool = False
    delimiter: str = ";"
    has_delimiter_command: bool = False
    batch_lines: tuple[str, ...] = ()
    has_triggers: bool = False
    has_atomic_blocks: bool = False
    has_programs: bool = False
    begin_words: frozenset[str] = frozenset({"BEGIN", "START"})


class SqlDialect(msgspec.Struct, frozen=True):
    """One database.

    Attributes:
        name: as SQLAlchemy names it.
        syntax: how its scripts are divided.
        quote: what opens and closes a quoted name.
        folds_to_upper: a name in lower case means the same in upper case, as it does without quotes.
    """

    name: str
    syntax: Syntax = Syntax()
    quote: tuple[str, str] = ('"', '"')
    folds_to_upper: bool = False

    def quoted(self, name: str) -> str:
        """Return a name as the database takes it, whatever characters it has."""
        opening, closing = self.quote
        return opening + self.folded(name).replace(closing, closing * 2) + closing

    def folded(self, name: str) -> str:
        """Return a name as the database stores it."""
        return name.upper() if self.folds_to_upper and name == name.lower() else name


SQLITE = SqlDialect(
    "sqlite", Syntax(quotes=(*_QUOTES, "``", "[]"), has_triggers=True, begin_words=frozenset({"BEGIN"}))
)
POSTGRES = SqlDialect(
    "postgresql",
    Syntax(nests_comments=True, has_dollar_quotes=True, has_escape_strings=True, has_atomic_blocks=True),
)
DUCKDB = SqlDialect("duckdb", Syntax(nests_comments=True, has_dollar_quotes=True, has_escape_strings=True))
MYSQL = SqlDialect(
    "mysql",
    Syntax(
        quotes=(*_QUOTES, "``"),
        comments=(*_COMMENTS, ("#", "\n")),
        has_backslash_escapes=True,
        has_delimiter_command=True,
    ),
    quote=("`", "`"),
)
MSSQL = SqlDialect(
    "mssql",
    Syntax(quotes=(*_QUOTES, "[]"), nests_comments=True, delimiter="", batch_lines=("GO",)),
    quote=("[", "]"),
)
ORACLE = SqlDialect(
    "oracle",
    Syntax(batch_lines=("/",), has_programs=True, begin_words=frozenset()),
    folds_to_upper=True,
)
EXASOL = SqlDialect(
    "exa", Syntax(batch_lines=("/",), has_programs=True, begin_words=frozenset()), folds_to_upper=True
)

DIALECTS: Mapping[str, SqlDialect] = {
    **{one.name: one for one in (SQLITE, POSTGRES, DUCKDB, MYSQL, MSSQL, ORACLE, EXASOL)},
    "mariadb": MYSQL,
}


def dialect_of(name: str) -> SqlDialect:
    """Return the dialect of a name of SQLAlchemy; an unknown database is taken for standard SQL."""
    return DIALECTS.get(name) or SqlDialect(name)
