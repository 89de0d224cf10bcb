"""Show, set and delete high-water marks for the commands. Works inside a transaction of the caller."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import msgspec

from aetherflow.cli_hints import state_option
from aetherflow.errors import HeldByAnother, StepError, UsageError
from aetherflow.events.marks import MARK_TYPES, Mark, MarkType
from aetherflow.store.marks import MarkMoved, MarkRow, list_marks, moves_of, read_mark, set_mark
from aetherflow.store.run_rows import running_runs

MOVES_SHOWN = 10
"""How many uses of a mark are shown, the newest first."""


class MarkHistory(msgspec.Struct, frozen=True):
    """A mark, and how the newest runs that are still stored have used it."""

    mark: MarkRow
    moves: list[MarkMoved]


class MarkChange(msgspec.Struct, frozen=True):
    """A mark that a person has set or deleted: what it was, and what it is; None: there is none."""

    flow_id: str
    name: str
    was: Mark | None
    now: Mark | None


def mark_history(raw: sqlite3.Connection, path: Path, name: str, flow_id: str) -> MarkHistory:
    """Return a mark with the runs that used it.

    Raises:
        UsageError: there is no such mark, or several flows have one of this name.
    """
    found = _the_mark(raw, path, name, flow_id)
    return MarkHistory(found, moves_of(raw, found.flow_id, name, MOVES_SHOWN))


def change_mark(
    raw: sqlite3.Connection,
    path: Path,
    name: str,
    flow_id: str,
    written: tuple[str, str] | None,
    *,
    force: bool,
    person: str,
    now: datetime,
) -> MarkChange:
    """Set a mark to a value and a type as they are written, or delete it (None).

    Without a type the mark keeps its own.

    Raises:
        UsageError: the mark is unknown and incomplete, or the value is not of its type.
        HeldByAnother: a run of the flow is being executed, and `force` is false.
    """
    known = None
    if not flow_id or written is None:
        known = _the_mark(raw, path, name, flow_id)
    flow_id = flow_id or (known.flow_id if known else "")
    was = read_mark(raw, flow_id, name).mark
    mark = None if written is None else _mark(name, flow_id, *written, was)
    if not force:
        _refuse_running(raw, path, name, flow_id, now)
    set_mark(raw, flow_id, name, mark, person, now)
    return MarkChange(flow_id, name, was, mark)


def _the_mark(raw: sqlite3.Connection, path: Path, name: str, flow_id: str) -> MarkRow:
    found = list_marks(raw, flow_id=flow_id, name=name)
    if len(found) == 1:
        return found[0]
    if found:
        flows = ", ".join(row.flow_id for row in found)
        raise UsageError(f"several flows have a mark {name!r}: {flows}", hint="say which one: --flow FLOW")
    of_flow = f" of the flow {flow_id!r}" if flow_id else ""
    raise UsageError(
        f"there is no mark {name!r}{of_flow} in {path}",
        hint=f"aetherflow state list {state_option(path)} shows what there is; a new mark needs --flow "
        "and --type: aetherflow state set NAME VALUE --flow FLOW --type TYPE",
    )


def _mark(name: str, flow_id: str, text: str, type_: str, was: Mark | None) -> Mark:
    chosen = next((one for one in MARK_TYPES if one == type_), None if was is None or type_ else was.type)
    types = ", ".join(MARK_TYPES)
    if chosen is None and type_:
        raise UsageError(f"--type {type_}: there is no such type of mark", hint=f"one of {types}")
    if chosen is None:
        raise UsageError(
            f"the flow {flow_id!r} has no mark {name!r} yet, so the type of its value is unknown",
            hint=f"give --type: one of {types}",
        )
    return read_written(chosen, text)


def read_written(type_: MarkType, text: str) -> Mark:
    """Return the mark with a value as a person writes it.

    Raises:
        UsageError: it is no value of this type.
    """
    try:
        return Mark.read(type_, text)
    except StepError as error:
        raise UsageError(error.message, hint=error.hint) from None


def _refuse_running(raw: sqlite3.Connection, path: Path, name: str, flow_id: str, now: datetime) -> None:
    running = running_runs(raw, flow_id, now)
    if running:
        raise HeldByAnother(
            f"run {running[0]} of the flow {flow_id} is being executed; it may have read the mark {name!r}",
            hint="wait until it has ended: aetherflow runs list --status RUNNING "
            f"{state_option(path)}; with --force the mark is set, and the run does not move it any more",
            code="AF997",
        )
