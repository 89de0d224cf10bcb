"""Say in one way for all databases which constraint of a table a statement would break. Imports no driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

ConstraintKind = Literal["unique", "not null", "foreign key", "check"]


class Constraint(msgspec.Struct, frozen=True):
    """A constraint of a table, as far as the driver names it.

    Attributes:
        kind: what it demands.
        table: its table; empty: not known.
        columns: the columns that it is about, as the database writes them; empty: not known.
        name: what it is called; empty: not known.
    """

    kind: ConstraintKind
    table: str = ""
    columns: str = ""
    name: str = ""

    @property
    def said(self) -> str:
        """What is wrong, in words."""
        where = f" of table {self.table}" if self.table else ""
        column = f"the column {self.columns}" if self.columns else "a column"
        same = f" in {self.columns}" if self.columns else ""
        named = f" (constraint {self.name})" if self.name else ""
        match self.kind:
            case "unique":
                return f"another row{where} has the same key{same}{named}"
            case "not null":
                return f"{column}{where} needs a value and got none"
            case "foreign key":
                return f"a row{where} would refer{same} to a row that does not exist{named}"
            case "check":
                return f"a row{where} is not what the table allows{same}{named}"


_KIND_OF_STATE: Mapping[str, ConstraintKind] = {
    "23505": "unique",
    "23P01": "unique",
    "23502": "not null",
    "23503": "foreign key",
    "23514": "check",
}
"""By the states of PostgreSQL."""

_NAME = r"""[`"'\[]?(?P<name>[^`"'\]()]+?)[`"'\]]?"""
_SPELLINGS: tuple[tuple[ConstraintKind, str], ...] = (
    # SQLite
    ("unique", r"UNIQUE constraint failed: (?:index '(?P<name>[^']+)'|(?P<dotted>.+))$"),
    ("not null", r"NOT NULL constraint failed: (?P<dotted>.+)$"),  # DuckDB, too
    ("foreign key", r"FOREIGN KEY constraint failed$"),
    ("check", r"CHECK constraint failed: (?P<name>.+)$"),
    # MySQL and MariaDB
    ("unique", rf"Duplicate entry '.*' for key {_NAME}(?: \(error|$)"),
    ("not null", r"Column '(?P<columns>[^']+)' cannot be null"),
    ("not null", r"Field '(?P<columns>[^']+)' doesn't have a default value"),
    (
        "foreign key",
        (
            r"foreign key constraint fails \(`[^`]*`\.`(?P<table>[^`]*)`, CONSTRAINT `(?P<name>[^`]*)` "
            r"FOREIGN KEY \((?P<columns>[^)]*)\)"
        ),
    ),
    ("check", r"CONSTRAINT `(?P<name>[^`]*)` failed for `[^`]*`\.`(?P<table>[^`]*)`"),
    ("check", r"Check constraint '(?P<name>[^']*)' is violated"),
    # DuckDB
    ("unique", r"Duplicate key \"(?P<columns>[^:\"]+):.*\" violates (?:primary key|unique) constraint"),
    ("foreign key", r"Violates foreign key constraint because key \"(?P<columns>[^:\"]+):"),
    ("check", r"CHECK constraint failed on table (?P<table>\S+) with expression (?P<name>.+)$"),
    # SQL Server
    (
        "unique",
        rf"Violation of [A-Z ]+ constraint {_NAME}\. Cannot insert duplicate key in .*'(?P<table>[^']+)'",
    ),
    (
        "unique",
        r"Cannot insert duplicate key row in object '(?P<table>[^']+)' with unique index '(?P<name>[^']+)'",
    ),
    ("not null", r"Cannot insert the value NULL into column '(?P<columns>[^']+)', table '(?P<table>[^']+)'"),
    (
        "foreign key",
        (
            r"conflicted with the (?:FOREIGN KEY|REFERENCE)[A-Z ]* constraint \"(?P<name>[^\"]+)\"\..* table "
            r"\"(?P<table>[^\"]+)\"(?:, column '(?P<columns>[^']+)')?"
        ),
    ),
    (
        "check",
        (
            r"conflicted with the CHECK constraint \"(?P<name>[^\"]+)\"\..* table \"(?P<table>[^\"]+)\""
            r"(?:, column '(?P<columns>[^']+)')?"
        ),
    ),
    # Oracle
    ("unique", r"ORA-00001: unique constraint \((?P<name>[^)]+)\) violated(?: on table (?P<table>\S+))?"),
    ("not null", r"ORA-014(?:00|07): cannot (?:insert|update) (?:NULL into )?\((?P<dotted>[^)]+)\)"),
    ("foreign key", r"ORA-0229[12]: integrity constraint \((?P<name>[^)]+)\) violated"),
    ("check", r"ORA-02290: check constraint \((?P<name>[^)]+)\) violated"),
    # Exasol
    ("unique", r"constraint violation - primary key \((?P<name>\S+)(?: on table (?P<table>[^)]+))?\)"),
    ("foreign key", r"constraint violation - foreign key \((?P<name>\S+)(?: on table (?P<table>[^)]+))?\)"),
    (
        "not null",
        r"constraint violation - not null \(.*?column (?P<columns>\S+?)(?: in table (?P<table>[^)]+))?\)",
    ),
)
_PATTERNS = [(kind, re.compile(pattern, re.MULTILINE)) for kind, pattern in _SPELLINGS]
_QUOTES = re.compile(r"[`\"\[\]]")


def broken_constraint(error: Any, said: str) -> Constraint | None:
    """Return the constraint that an error is about; None: it is about something else.

    Args:
        error: what the driver raised.
        said: its message.
    """
    diag = getattr(error, "diag", None)
    if diag is not None:
        kind = _KIND_OF_STATE.get(getattr(diag, "sqlstate", None) or "")
        if kind is None:
            return None
        key = re.match(r"Key \((.+?)\)=", diag.message_detail or "")
        columns = diag.column_name or (key[1] if key else "")
        return Constraint(kind, diag.table_name or "", columns, diag.constraint_name or "")
    for kind, pattern in _PATTERNS:
        if (found := pattern.search(said)) is not None:
            return _named(kind, found.groupdict())
    return None


def _named(kind: ConstraintKind, groups: Mapping[str, str | None]) -> Constraint:
    given = {key: _QUOTES.sub("", text) for key, text in groups.items() if text}
    if dotted := given.pop("dotted", ""):  # table.column, or several of them
        parts = [one.rpartition(".") for one in dotted.split(", ")]
        given["table"] = parts[0][0].rpartition(".")[2]
        given["columns"] = ", ".join(part[2] for part in parts)
    return Constraint(kind, **given)
