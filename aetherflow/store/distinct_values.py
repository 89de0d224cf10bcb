"""Read the distinct values of a column with one step of an index for each: DISTINCT reads every row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def distinct_values(
    raw: sqlite3.Connection, table: str, column: str, where: str = "true", values: Sequence[str] = ()
) -> list[str]:
    """Return the distinct values of a column in the rows where a condition holds, in order.

    An index must begin with the columns of the condition, and have this one next. The condition numbers its
    values (`?1`), since it is written twice.
    """
    least = f"SELECT min({column}) FROM {table} WHERE {where}"  # noqa: S608 - the callers give constants
    rows = raw.execute(
        f"WITH RECURSIVE found (last) AS ({least} UNION ALL "  # noqa: S608 - as above
        f"SELECT ({least} AND {column} > last) FROM found WHERE last IS NOT NULL) "
        "SELECT last FROM found WHERE last IS NOT NULL",
        values,
    )
    return [value for (value,) in rows]
