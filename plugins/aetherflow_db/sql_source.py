"""The inputs `sql` and `sql_path`: a statement in the flow, or in a file beside it."""

from __future__ import annotations

from aetherflow import StepContext, StepError
from aetherflow_db.query import SqlText


def check_one_source(sql: str | None, sql_path: str | None) -> None:
    """Check that exactly one of the two is given; called when the inputs are made.

    Raises:
        ValueError: both or none of them are given.
    """
    if (sql is None) == (sql_path is None):
        raise ValueError(
            "needs one of sql and sql_path" if sql is None else "takes sql or sql_path, not both"
        )


async def sql_source(ctx: StepContext, sql: str | None, sql_path: str | None) -> SqlText:
    """Return the SQL of a step, with the name of its file; a relative path begins at the flow's folder.

    Raises:
        StepError: the file cannot be read, or is no UTF-8 text (AF915).
    """
    if sql_path is None:
        return SqlText(sql or "")
    return await ctx.run_sync(_read, ctx, sql_path)


def _read(ctx: StepContext, sql_path: str) -> SqlText:
    path = ctx.path(str(ctx.flow_place.folder / sql_path))
    try:
        return SqlText(path.read_text(encoding="utf-8-sig"), sql_path)
    except UnicodeDecodeError as error:
        raise StepError(
            f"the SQL file {path} is no UTF-8 text: its byte {error.start:,} is no character",
            hint="save it in UTF-8",
            code="AF915",
        ) from error
    except OSError as error:
        raise StepError(
            f"cannot read the SQL file {path}: {error.strerror or error}",
            hint="a relative sql_path begins at the folder of the flow file",
            code="AF915",
        ) from error
