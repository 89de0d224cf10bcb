"""Doubles of the driver modules of SQL Server, Oracle and Exasol, whose servers cannot run in the tests.

They record what the connector does with the module, and answer with rows that a test has prepared.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

Table = tuple[list[str], list[tuple[Any, ...]]]
"""The names of columns, and rows."""


@dataclass
class Server:
    """What a database server would remember and answer.

    Attributes:
        answers: the rows for a statement that contains a text.
        errors: the error for a statement that contains a text.
        logins: the arguments of each connection.
        statements: each statement with its parameters.
        events: commits, rollbacks, closings and the like, in order.
        released: set by what ends a statement that hangs; the statement `HANG` waits for it.
    """

    answers: dict[str, Table] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    logins: list[dict[str, Any]] = field(default_factory=list)
    statements: list[tuple[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def run(self, sql: str, params: Any, interrupted: Callable[[], Exception]) -> Table | None:
        """Return the answer to a statement."""
        self.statements.append((sql, params))
        if error := next((error for text, error in self.errors.items() if text in sql), None):
            raise error
        if sql.startswith("KILL"):
            self.released.set()
        if sql == "SELECT HANG":
            assert self.released.wait(60)
            raise interrupted()
        # SQLAlchemy asks a new server about itself, and any text will do.
        usual = (["value"], [("x",)]) if sql.lstrip()[:6].upper() == "SELECT" else None
        return next((table for text, table in self.answers.items() if text in sql), usual)


class Cursor:
    """A DB-API cursor."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.arraysize = 1
        self.prefetchrows = 2
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str, params: Any = None) -> None:
        table = self.connection.server.run(sql, params, self.connection.interrupted)
        self.description = None if table is None else [(name, None, *[None] * 5) for name in table[0]]
        self._rows = [] if table is None else list(table[1])
        self.rowcount = 3 if table is None else len(self._rows)
        self.connection.server.events.append(f"arraysize {self.arraysize}")

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(self.fetchmany(1)), None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetchmany(len(self._rows))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def setinputsizes(self, *_: Any, **__: Any) -> None:
        """Oracle's dialect may call it."""


class Connection:
    """A DB-API connection, with what SQLAlchemy's dialects of SQL Server and Oracle look at."""

    version = "23.4.0.0.0"
    username = "me"
    max_identifier_length = 128
    autocommit_state = False

    def __init__(self, server: Server, error: type[Exception], login: dict[str, Any]) -> None:
        self.server = server
        self.interrupted = lambda: error("interrupted")
        self.inputtypehandler = self.outputtypehandler = None
        self._autocommit = False
        server.logins.append(login)

    def cursor(self) -> Cursor:
        return Cursor(self)

    def commit(self) -> None:
        self.server.events.append("commit")

    def rollback(self) -> None:
        self.server.events.append("rollback")

    def close(self) -> None:
        self.server.events.append("close")

    def cancel(self) -> None:
        self.server.events.append("cancel")
        self.server.released.set()

    def is_healthy(self) -> bool:
        return True

    def ping(self) -> None:
        """It answers."""


class ExaStatement:
    """A statement of pyexasol."""

    def __init__(self, connection: ExaConnection, sql: str) -> None:
        self._connection, self._sql = connection, sql
        self.result_type = "rowCount"
        self.col_names: list[str] = []
        self.col_types: list[dict[str, Any]] = []
        self._rows: list[tuple[Any, ...]] = []

    def run(self, params: Any) -> ExaStatement:
        table = self._connection.server.run(self._sql, params, self._connection.interrupted)
        if table is not None:
            self.result_type, self.col_names, self._rows = "resultSet", table[0], list(table[1])
            self.col_types = [{"type": "VARCHAR", "size": 10}] * len(table[0])
        return self

    def execute_prepared(self, data: Any) -> None:
        self.run(data)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def rowcount(self) -> int:
        return len(self._rows) if self.result_type == "resultSet" else 3

    def close(self) -> None:
        """Nothing is open."""


class ExaConnection(Connection):
    """A connection of pyexasol."""

    is_closed = False

    @property
    def options(self) -> dict[str, Any]:
        return {"verbose_error": False}

    def execute(self, sql: str, params: Any = None) -> ExaStatement:
        return ExaStatement(self, sql).run(params)

    def create_prepared_statement(self, sql: str) -> ExaStatement:
        return ExaStatement(self, sql)

    def set_autocommit(self, value: bool) -> None:  # noqa: FBT001 - as pyexasol has it
        self.server.events.append(f"autocommit {value}")

    def abort_query(self) -> None:
        self.cancel()

    def close(self, disconnect: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - as pyexasol has it
        super().close()


def oracle_error(number: int, text: str) -> Exception:
    """Return an error as oracledb raises it."""
    import oracledb  # noqa: PLC0415 - only tests of Oracle wait for its import

    said = SimpleNamespace(code=number, full_code=f"ORA-{number:05}", message=text, offset=0)
    return oracledb.DatabaseError(said)
