"""Make the queries of a script: each with its parameters and its place, for errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aetherflow import StepError
from aetherflow_db.named_parameters import used_params
from aetherflow_db.query import Query, SqlText
from aetherflow_db.script import Statement, UnclosedError, place, statements
from aetherflow_db.sql_dialects import SqlDialect, Syntax

_ENDS = frozenset({"COMMIT", "ROLLBACK", "END", "ABORT"})


def script_queries(
    sql: SqlText,
    params: Mapping[str, Any] | Sequence[Any] | None,
    dialect: SqlDialect,
    *,
    is_in_transaction: bool,
) -> list[Query]:
    """Return the statements of a script as queries.

    Args:
        sql: the script.
        params: those that a statement names are bound to it; a list is for a script of one statement.
        dialect: how the script is divided.
        is_in_transaction: the script may begin and end no transaction, but for one that is round all of it.

    Raises:
        StepError: the script cannot be divided, is empty (AF918), or ends the transaction (AF919).
    """
    try:
        found = statements(sql.text, dialect.syntax)
    except UnclosedError as error:
        line, column = place(sql.text, error.offset)
        raise StepError(
            f"the script{_of(sql)} has a {error.what} at line {line}, column {column} that is never closed",
            hint="close it; in a text, write a quote twice",
            code="AF918",
        ) from None
    if is_in_transaction:
        found = _without_transaction(sql, found, dialect.syntax)
    if not found:
        raise StepError(
            f"the script{_of(sql)} has no statement", hint="check the sql or the file", code="AF918"
        )
    if not isinstance(params, list) or not params:
        named = params if isinstance(params, Mapping) else {}
        return [_query(sql, one, used_params(one.text, dialect.syntax, named)) for one in found]
    if len(found) > 1:
        raise StepError(
            f"params are a list, and the script{_of(sql)} has {len(found)} statements",
            hint="name them: params: {name: value} and :name",
            code="AF918",
        )
    return [_query(sql, found[0], params)]


def _query(sql: SqlText, statement: Statement, params: dict[str, Any] | list[Any]) -> Query:
    line, column = place(sql.text, statement.offset)
    return Query(statement.text, params or None, sql.source, line, column)


def _of(sql: SqlText) -> str:
    return f" {sql.source}" if sql.source else ""


def _without_transaction(sql: SqlText, found: list[Statement], syntax: Syntax) -> list[Statement]:
    """Return the statements without a BEGIN and a COMMIT round them, since the step is one transaction.

    Raises:
        StepError: another statement begins or ends a transaction (AF919).
    """
    control = [one for one in found if _controls(one, syntax)]
    is_round_all = (
        [one.words[0] in syntax.begin_words for one in control] == [True, False]
        and control[1] is found[-1]
        and control[1].words[0] in {"COMMIT", "END"}
    )
    if is_round_all:
        return [one for one in found if one not in control]
    if control:
        line, _ = place(sql.text, control[0].offset)
        raise StepError(
            f"the script{_of(sql)} begins or ends a transaction itself, at line {line}: {control[0].text}",
            hint="leave it out, as the step is one transaction; or write transaction: false",
            code="AF919",
        )
    return found


def _controls(statement: Statement, syntax: Syntax) -> bool:
    """Whether a statement begins or ends a transaction; ROLLBACK TO a savepoint does not."""
    words = statement.words
    if not words:
        return False
    if words[0] in syntax.begin_words:
        return words[:1] != ("START",) or words[:2] == ("START", "TRANSACTION")
    return words[0] in _ENDS and "TO" not in words
