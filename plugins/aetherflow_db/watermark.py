"""Read only the rows above a high-water mark, and find the next mark among them.

The mark is the highest value of a column in the rows that were written. It goes to the database as a bind
parameter: `:watermark` in the statement, else the statement is put into a query that compares the column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from aetherflow import Duration, Mark, StepContext, StepError
from aetherflow.data_files import ArrowRows, Row, Rows
from aetherflow_db.named_parameters import named_binds
from aetherflow_db.query import Query
from aetherflow_db.script import UnclosedError, statements
from aetherflow_db.sql_dialects import SqlDialect

PARAM = "watermark"
"""The bind parameter that gets the mark."""

_ALIAS = "aetherflow_rows"
_DAY = timedelta(days=1)


class WatermarkInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where to read.

    Attributes:
        column: a column of the result that only grows: a time of change, an id.
        name: of the mark; default JOB.STEP. A mapped job needs one with its item.
        initial: where the first run starts; default: all rows that have a value in the column.
        type: what `initial` is: int, decimal, float, text, date, datetime, binary; default: as it is written.
        inclusive: also read the rows whose value is the mark itself.
        overlap: also read what is at most this far below the mark: a duration, or of numbers a number.
    """

    column: Annotated[str, Meta(min_length=1)]
    name: str | None = None
    initial: int | float | str | None = None
    type: Literal["int", "decimal", "float", "text", "date", "datetime", "binary"] | None = None
    inclusive: bool = False
    overlap: Annotated[Duration, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        """Check that `initial` is of its type.

        Raises:
            ValueError: it is not.
        """
        if self.type is not None and self.initial is not None:
            try:
                Mark.read(self.type, str(self.initial))
            except StepError as error:
                raise ValueError(f"initial: {error.message}; {error.hint}") from None


class WatermarkOutput(msgspec.Struct, frozen=True):
    """What was read.

    Attributes:
        name: of the mark.
        before: the mark before, as text; null: there was none.
        after: the mark now; null: there is none yet, as there were no rows.
    """

    name: str
    before: str | None
    after: str | None


class Watermark:
    """The mark that one attempt reads above, and the one that it finds.

    Attributes:
        name: of the mark.
        before: the stored mark; None: there is none yet.
        lower: what the column is compared with; None: nothing.
    """

    def __init__(self, options: WatermarkInput, name: str, before: Mark | None) -> None:
        self._options = options
        self._highest: Any = None
        self.name = name
        self.before = before
        self.lower = _lower(options, before)

    @property
    def moved(self) -> dict[str, Mark]:
        """The mark to store, by name; nothing if it is the one before, or if there is none yet."""
        after = self.after
        return {} if after is None or after == self.before else {self.name: after}

    @property
    def output(self) -> WatermarkOutput:
        """The marks as outputs."""
        before, after = (None if mark is None else str(mark) for mark in (self.before, self.after))
        return WatermarkOutput(self.name, before, after)

    @property
    def after(self) -> Mark | None:
        """The mark after all rows were written; the one before if there were none above it."""
        if self._highest is None:
            return self.before
        found = Mark.of(self._highest)
        if self._reads_again and self.before is not None and self.before.is_above(found):
            return self.before
        return found

    @property
    def _reads_again(self) -> bool:
        return self._options.inclusive or self._options.overlap is not None

    def bounded(self, query: Query, dialect: SqlDialect) -> Query:
        """Return the query of the rows above the mark.

        Raises:
            StepError: the statement names the mark and there is none (AF994), or `params` do not go with it
                (AF998).
        """
        names_mark = any(bind[1] == PARAM for bind in named_binds(query.sql, dialect.syntax))
        if names_mark and self.lower is None:
            raise StepError(
                f"the statement has :{PARAM}, and the mark {self.name!r} is not set yet",
                hint="say where the first run starts: watermark: {initial: ...}",
                code="AF994",
            )
        if not names_mark:  # what it is put into begins with a line of its own
            query = replace(query, sql=self._wrapped(query.sql, dialect), line=query.line - 1)
        if self.lower is None:
            return query
        if names_mark or not isinstance(query.params, list):
            return replace(query, params={**_named(query), PARAM: self.lower})
        return replace(
            query, sql=query.sql.removesuffix(f":{PARAM}") + "?", params=[*query.params, self.lower]
        )

    def _wrapped(self, sql: str, dialect: SqlDialect) -> str:
        column = f"{_ALIAS}.{dialect.quoted(self._options.column)}"
        operator = ">=" if self._reads_again and self.before is not None else ">"
        condition = "IS NOT NULL" if self.lower is None else f"{operator} :{PARAM}"
        bare = _bare(sql, dialect)
        return f"SELECT * FROM (\n{bare}\n) {_ALIAS} WHERE {column} {condition}"

    def watch(self, rows: Rows | ArrowRows) -> Rows | ArrowRows:
        """Return the rows; the highest value of the column is noted as they pass.

        Raises:
            StepError: the result has no such column, or several (AF993).
        """
        number = self._number(rows.names)
        if isinstance(rows, Rows):
            return Rows(rows.columns, self._passing(rows.batches, number))
        return ArrowRows(rows.columns, self._passing_arrow(rows.batches, number))

    def _number(self, names: Sequence[str]) -> int:
        """Return which column of the result is the one of the mark; case matters if two differ by it only."""
        wanted = self._options.column
        found = [number for number, name in enumerate(names) if name == wanted] or [
            number for number, name in enumerate(names) if name.casefold() == wanted.casefold()
        ]
        if len(found) == 1:
            return found[0]
        many = "several columns" if found else "no column"
        raise StepError(
            f"the result has {many} {wanted!r}, the column of the watermark",
            hint=f"its columns are {', '.join(names)}",
            code="AF993",
        )

    def _passing(self, batches: Iterator[Sequence[Row]], number: int) -> Iterator[Sequence[Row]]:
        for batch in batches:
            self._note([row[number] for row in batch if row[number] is not None])
            yield batch

    def _passing_arrow(self, batches: Iterator[Any], number: int) -> Iterator[Any]:
        import pyarrow as pa  # noqa: PLC0415 - only where a driver gives record batches
        from pyarrow import compute  # noqa: PLC0415 - as above

        for batch in batches:
            highest = compute.max(batch.column(number))
            if pa.types.is_timestamp(highest.type):  # a mark has no nanoseconds
                highest = highest.cast(pa.timestamp("us", highest.type.tz), safe=False)
            value = highest.as_py()
            self._note([] if value is None else [value])
            yield batch

    def _note(self, values: list[Any]) -> None:
        if self._highest is not None:
            values.append(self._highest)
        try:
            if values and isinstance(values[-1], float):  # NaN is no value to start from
                values = [value for value in values if not math.isnan(value)]
            if values:
                self._highest = max(values)
        except (TypeError, InvalidOperation) as error:
            raise _not_comparable(self._options.column, error) from None


async def open_watermark(ctx: StepContext, options: WatermarkInput) -> Watermark:
    """Return the watermark of an attempt, with the stored mark.

    Raises:
        StepError: an instance of a mapped job has a mark without a name (AF996); or another step of the run
            uses the mark; or `initial` or `overlap` is not of its type.
    """
    if not options.name and "[" in ctx.job_id:
        raise StepError(
            f"the watermark of {ctx.job_id}.{ctx.step_id} has no name, but each item needs a mark of its own",
            hint="name it by the item: watermark: {name: 'orders-{{item}}'}",
            code="AF996",
        )
    name = options.name or f"{ctx.job_id}.{ctx.step_id}"
    watermark = Watermark(options, name, await ctx.mark(name))
    if watermark.lower is not None:
        sign = "from" if watermark.before is not None and (options.inclusive or options.overlap) else "above"
        lower = watermark.lower.hex() if isinstance(watermark.lower, bytes) else watermark.lower
        ctx.log(f"reads {options.column} {sign} {lower if lower != '' else repr(lower)}, mark {name}")
    return watermark


def _lower(options: WatermarkInput, before: Mark | None) -> Any:
    if before is None:
        if options.initial is None or options.type is None:
            return options.initial
        return Mark.read(options.type, str(options.initial)).value
    if options.overlap is None:
        return before.value
    try:
        return _below(before.value, options.overlap)
    except (OverflowError, TypeError):
        raise StepError(
            f"overlap {options.overlap:g} cannot be subtracted from the mark {before} ({before.type})",
            hint="write it in the statement, such as: WHERE changed_at > datetime(:watermark, '-5 minutes')",
            code="AF995",
        ) from None


def _below(value: Any, overlap: float) -> Any:
    match value:
        case int():
            return value - math.ceil(overlap)
        case float():
            return value - overlap
        case Decimal():
            return value - Decimal(str(overlap))
        case datetime():
            return value - timedelta(seconds=overlap)
        case date():
            return value - _DAY * math.ceil(overlap / _DAY.total_seconds())
        case _:
            raise TypeError


def _named(query: Query) -> dict[str, Any]:
    """Return the parameters of a query by name.

    Raises:
        StepError: they have no names, or one is named as the mark is.
    """
    params = query.params or {}
    if isinstance(params, dict) and PARAM not in params:
        return params
    why = f"`params` has a {PARAM!r} of its own" if isinstance(params, dict) else "`params` is a list"
    raise StepError(
        f"the mark cannot be bound: {why}",
        hint=f"give params by name, and none that is named {PARAM}",
        code="AF998",
    )


def _bare(sql: str, dialect: SqlDialect) -> str:
    """Return a statement without the semicolon at its end."""
    try:
        found = statements(sql, dialect.syntax)
    except UnclosedError:
        return sql  # the database says it better
    return found[0].text.rstrip().rstrip(";") if len(found) == 1 else sql


def _not_comparable(column: str, error: Exception) -> StepError:
    return StepError(
        f"the values of the column {column!r} of the watermark cannot be compared: {error}",
        hint="cast the column in the statement, so that all its values have one type",
        code="AF992",
    )
