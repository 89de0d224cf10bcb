"""Names of tables as flows write them: `orders`, `sales.orders`, `sales."odd.name"`. Pure."""

from __future__ import annotations

import re

from aetherflow import StepError
from aetherflow_db.sql_dialects import SqlDialect

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def name_parts(table: str) -> tuple[str, ...]:
    """Return the parts of a table's name: schema and table, or the table alone.

    Raises:
        StepError: it is no such name (AF917).
    """
    parts, at = [], 0
    while found := _PART.match(table, at):
        parts.append(found[1].replace('""', '"') if found[1] else found[2].strip())
        at = found.end()
        if at == len(table):
            return tuple(parts)
        if table[at] != ".":
            break
        at += 1
    raise StepError(
        f"the table {table!r} is no name of a table",
        hint='write table or schema.table; a part with a dot in double quotes: sales."odd.name"',
        code="AF917",
    )


def quoted_table(dialect: SqlDialect, table: str) -> str:
    """Return the name of a table as the database takes it.

    Raises:
        StepError: it is no such name (AF917).
    """
    return ".".join(dialect.quoted(part) for part in name_parts(table))
