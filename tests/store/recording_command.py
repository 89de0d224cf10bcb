"""The real command, but every statement that it gives to SQLite is written to a file, a line each.

Production code knows nothing of this: `sqlite3.connect` is wrapped from outside. Arguments: FILE, then those
of `aetherflow`.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aetherflow.__main__ import main


def record_into(file: Path) -> None:
    """Write the statements of this process to the end of a file, with the values of the first execution."""
    connect = sqlite3.connect
    seen: set[str] = set()

    def record(sql: str, values: object) -> None:
        if sql not in seen:
            seen.add(sql)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(f"{(sql, values)!r}\n")

    class Recording(sqlite3.Connection):
        def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
            record(sql, values)
            return super().execute(sql, values)

        def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
            every = list(rows)
            if every:
                record(sql, every[0])
            return super().executemany(sql, every)

    def recording(*given: Any, **named: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*given, **named | {"factory": Recording})
        return made

    sqlite3.connect = recording  # type: ignore[assignment]  # a function in the place of a function


if __name__ == "__main__":
    record_into(Path(sys.argv.pop(1)))
    main()
