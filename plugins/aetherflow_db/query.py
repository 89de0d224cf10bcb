"""What is asked of a database, what comes back, and how a running statement is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

SHOWN_SQL = 500
"""How many characters of a statement an error's detail carries."""

Row = Sequence[Any]


class Query(msgspec.Struct, frozen=True):
    """A statement and its bind parameters, which never become part of its text.

    Attributes:
        sql: the statement, as the flow gives it.
        params: named parameters, or a list of positional ones where the driver knows them.
    """

    sql: str
    params: dict[str, Any] | list[Any] | None = None

    @property
    def shown(self) -> str:
        """The statement, shortened for an error's detail."""
        sql = self.sql.strip()
        return sql if len(sql) <= SHOWN_SQL else f"{sql[: SHOWN_SQL - 3]}..."


class Rows(msgspec.Struct, frozen=True):
    """The answer to a query: the names of its columns, and its rows in batches of bounded size."""

    columns: tuple[str, ...]
    batches: Iterator[Sequence[Row]]


class StopSwitch:
    """Lets one thread interrupt the statement that another one waits for.

    An interrupt that comes before the statement runs has no effect in most drivers, so whoever presses
    goes on pressing until the waiting thread has ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupt: Callable[[], object] | None = None

    @contextmanager
    def armed(self, interrupt: Callable[[], object] | None) -> Iterator[None]:
        """Make `press` call `interrupt` in the block; leave it before the connection is closed.

        The lock is what makes this safe: drivers may crash when a connection is interrupted while it closes.
        """
        with self._lock:
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def press(self) -> None:
        """Interrupt the statement that runs now, if one runs and its driver can be interrupted."""
        with self._lock:
            if self._interrupt is not None:
                self._interrupt()
