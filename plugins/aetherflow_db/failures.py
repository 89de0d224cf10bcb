"""Explain the errors of databases to the person on call: what happened, and what to do.

AF740 the statement failed, AF741 the database cannot be reached, AF742 the statement writes or gives no rows,
AF743 the resource is not a database, AF744 two columns have the same name, AF745 the URL, dialect or driver
is unusable, AF830 a row breaks a constraint.
"""

from __future__ import annotations

import re
import sqlite3

from aetherflow import FinalError, StepError
from aetherflow_db.bound_statement import first_param
from aetherflow_db.constraints import broken_constraint
from aetherflow_db.error_position import Position, error_position
from aetherflow_db.query import Query

SHOWN_MESSAGE = 300
"""How many characters of a driver's message are shown; some drivers quote whole values."""

SHOWN_LINE = 200
"""How long a line of a statement may be to be shown with a mark below it."""

_LINK = "(Background on this error at:"  # SQLAlchemy ends its own messages with it
_UNBOUND = re.compile(r"binding parameter :(\w+)")
_UNREADABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_PERM}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def first_line(error: BaseException) -> str:
    """Return the driver's message, without the statement, values and links that follow on further lines."""
    match () if isinstance(error, OSError) else error.args:
        case (int() as number, str() as text):  # as MySQL's drivers raise it
            said = f"{text} (error {number})"
        case (int() as number, bytes() as raw) | ((int() as number, bytes() as raw),):  # as pymssql does
            said = f"{raw.decode(errors='replace')} (error {number})"
        case _:
            said = str(error)
    lines = said.partition(_LINK)[0].strip().splitlines()
    return lines[0].strip()[:SHOWN_MESSAGE] if lines else type(error).__name__


def statement_failed(
    resource: str, query: Query, error: BaseException, *, only_reads: bool = True
) -> StepError:
    """Return the error for a statement that the database rejected; SQLite's codes distinguish some causes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _UNREADABLE:
        return connection_failed(resource, "its SQLite file", error)
    if code == sqlite3.SQLITE_READONLY:
        return (writes if only_reads else write_refused)(resource, query, first_line(error))
    if code in _LOCKED:
        return waited(resource, query, error)
    if (said := _UNBOUND.search(str(error))) and query.params:
        return unbound(resource, query, said[1])
    name = None if query.params else first_param(query.sql)
    where, marked = _place(query, error_position(error, query))
    said_first = first_line(error)
    if (constraint := broken_constraint(error, said_first)) is not None:
        return FinalError(
            f"the statement failed on resource {resource!r}: {constraint.said}: {said_first}{where}"
            + (marked or _statement(query)),
            hint="look at the rows that the statement writes, and at the table's constraints",
            code="AF830",
            detail=_detail(resource, query) | {"constraint": constraint.kind},
        )
    return StepError(
        f"the statement failed on resource {resource!r}: {said_first}{where}" + (marked or _statement(query)),
        hint=f"if :{name} is a parameter, give its value: params: {{{name}: ...}}"
        if name
        else "try the statement with its params on that database",
        code="AF740",
        detail=_detail(resource, query),
    )


def first_statement_failed(resource: str, statement: str, error: BaseException) -> StepError:
    """Return the error for a statement of the options that each connection begins with."""
    return statement_failed(resource, Query(statement, source="options"), error)


def connection_failed(resource: str, where: str, error: BaseException) -> StepError:
    """Return the error for a database that cannot be reached or read; `where` must not contain a password."""
    return StepError(
        f"resource {resource!r}: cannot use {where}: {first_line(error)}",
        hint="check the resource's config and options, its permissions, and that the database answers",
        kind="connection",
        code="AF741",
        detail={"resource": resource, "where": where},
    )


def no_rows(resource: str, query: Query) -> StepError:
    """Return the error for a statement that returns no rows, such as INSERT; it was not committed."""
    return StepError(
        f"the statement on resource {resource!r} returns no rows{_statement(query)}",
        hint="this step only reads: give a statement that returns rows, such as SELECT",
        code="AF742",
        detail=_detail(resource, query),
    )


def writes(resource: str, query: Query, why: str) -> StepError:
    """Return the error for a statement that changes data in a step that only reads; it was not run."""
    return StepError(
        f"the statement on resource {resource!r} writes, and this step only reads: {why}{_statement(query)}",
        hint="give a statement that only returns rows, such as SELECT; db_execute runs others",
        code="AF742",
        detail=_detail(resource, query),
    )


def write_refused(resource: str, query: Query, why: str) -> StepError:
    """Return the error for a statement that may write, where the database lets nobody write."""
    return StepError(
        f"resource {resource!r} does not let the statement write: {why}{_statement(query)}",
        hint="is options.read_only set? else use an account, or a server, that may write",
        code="AF742",
        detail=_detail(resource, query),
    )


def waited(resource: str, query: Query, error: BaseException) -> StepError:
    """Return the error for a statement that waited too long, for a lock or for its own end."""
    return StepError(
        f"the statement on resource {resource!r} waited too long: {first_line(error)}{_statement(query)}",
        hint="another process may hold a lock: wait longer (SQLite: timeout_seconds), or let the step retry",
        kind="timeout",
        code="AF740",
        detail=_detail(resource, query),
    )


def collided(resource: str, query: Query, error: BaseException) -> StepError:
    """Return the error for a transaction that the database ended in favour of another one."""
    return StepError(
        f"the transaction on resource {resource!r} met another one: {first_line(error)}{_statement(query)}",
        hint="nothing of it was done; let the step retry: retry: {max_attempts: 3}",
        kind="connection",
        code="AF938",
        detail=_detail(resource, query),
    )


def connection_lost(resource: str, where: str, error: BaseException) -> StepError:
    """Return the error for a connection that ended during a statement; `where` has no password."""
    return StepError(
        f"resource {resource!r}: the connection to {where} was lost: {first_line(error)}",
        hint="see the server's log for why; let the step retry, if this happens now and then",
        kind="connection",
        code="AF741",
        detail={"resource": resource, "where": where},
    )


def unbound(resource: str, query: Query, name: str) -> StepError:
    """Return the error for a parameter without a value; the statement was not run."""
    return StepError(
        f"the statement on resource {resource!r} has the parameter :{name}, and params have no value for it"
        + _statement(query),
        hint=f"add it: params: {{{name}: ...}}; a colon that begins no parameter is written \\:",
        code="AF740",
        detail=_detail(resource, query),
    )


def _statement(query: Query) -> str:
    """Return the statement on separate lines, to follow the message."""
    if not query.sql.strip():
        return ""  # it has not come to a statement
    return "\nstatement:\n" + "\n".join(f"  {line}" for line in query.shown.splitlines())


def _place(query: Query, position: Position | None) -> tuple[str, str]:
    """Return the place of an error, for the message, and the line with a mark below it."""
    source = f"{query.source}, " if query.source else ""
    if position is None:
        return (f" ({source}statement at line {query.line})" if source or query.line > 1 else ""), ""
    line = query.sql.split("\n")[position.line - 1].rstrip()
    first = query.column - 1 if position.line == 1 else 0
    column = "" if position.column is None else f", column {first + position.column}"
    where = f" ({source}line {query.line + position.line - 1}{column})"
    if position.column is None or len(line) > SHOWN_LINE:
        return where, ""
    mark = "".join("\t" if char == "\t" else " " for char in line[: position.column - 1])
    return where, f"\n  {line}\n  {mark}^"


def _detail(resource: str, query: Query) -> dict[str, str]:
    return {"resource": resource, "sql": query.shown}
