"""Decide which column of a file goes to which column of a table, by their names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from aetherflow import StepError
from aetherflow.data_files import Column
from aetherflow_db.table_columns import TableColumn

ExtraColumns = Literal["error", "ignore"]


class Mapped(msgspec.Struct, frozen=True):
    """A column of the file that is loaded.

    Attributes:
        index: its place in the rows of the file, from 0.
        source: what it is in the file.
        target: the column of the table.
    """

    index: int
    source: Column
    target: TableColumn


def map_columns(
    where: str,
    source: Sequence[Column],
    table: Sequence[TableColumn],
    *,
    renamed: Mapping[str, str],
    extra: ExtraColumns,
) -> list[Mapped]:
    """Return the columns that are loaded, in the order of the file.

    Names are the same without regard to case, unless the table has two that differ only in it.

    Args:
        where: the file and the table, for messages.
        source: the columns of the file.
        table: the columns of the table.
        renamed: {column of the file: column of the table}, where the names differ.
        extra: what a column of the file is that the table does not have.

    Raises:
        StepError: the names do not fit together (AF922).
    """
    if unknown := [name for name in renamed if name not in [one.name for one in source]]:
        raise _misfit(where, f"columns names {unknown[0]!r}, which the file has not", _names(source))
    mapped = []
    for index, column in enumerate(source):
        wanted = renamed.get(column.name, column.name)
        target = _found(wanted, table)
        if target is not None:
            mapped.append(Mapped(index, column, target))
        elif extra == "error" or column.name in renamed:
            raise _misfit(
                where,
                f"the table has no column {wanted!r}",
                f"it has {', '.join(one.name for one in table)}; write extra_columns: ignore, or"
                f" columns: {{{column.name}: NAME}}",
            )
    if twice := [name for name, times in Counter(one.target.name for one in mapped).items() if times > 1]:
        raise _misfit(where, f"the file has the column {twice[0]!r} twice", "rename one of them in columns")
    if not mapped:
        raise _misfit(where, "no column of the file is in the table", _names(source))
    if computed := [one.target.name for one in mapped if one.target.is_computed]:
        raise _misfit(
            where, f"the database computes the column {computed[0]!r} itself", "leave it out of the file"
        )
    given = {one.target.name for one in mapped}
    if missing := [one.name for one in table if one.is_required and one.name not in given]:
        raise _misfit(
            where,
            f"the file has no column {missing[0]!r}, which the table needs: it is NOT NULL without a default",
            "add it to the file, or give it a default in the table",
        )
    return mapped


def _found(wanted: str, table: Sequence[TableColumn]) -> TableColumn | None:
    if exact := [one for one in table if one.name == wanted]:
        return exact[0]
    same = [one for one in table if one.name.casefold() == wanted.casefold()]
    return same[0] if len(same) == 1 else None


def _names(columns: Sequence[Column]) -> str:
    return f"the file has {', '.join(column.name for column in columns) or 'no columns'}"


def _misfit(where: str, why: str, hint: str) -> StepError:
    return StepError(f"cannot load {where}: {why}", hint=hint, code="AF922")
