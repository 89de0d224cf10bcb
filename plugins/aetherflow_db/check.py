"""The step `db_check`: assertions on data; a report on wrong data is worse than none."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import PathText, StepContext, StepError, step
from aetherflow_db.connection import SqlConnector, read, sql_connector
from aetherflow_db.expectations import Expect, judge
from aetherflow_db.lineage import statement_of
from aetherflow_db.query import Query
from aetherflow_db.sql_source import check_one_source, sql_source

Text = Annotated[str, Meta(min_length=1)]
Params = dict[str, Any] | list[Any] | None


class CheckInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One check.

    Attributes:
        name: what is checked, for the log and the outputs; by default its number.
        sql: a query: one number, or the rows that should not be there.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        expect: what its result must be.
        params: bind parameters of the query.
    """

    expect: Expect
    name: Text | None = None
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    params: Params = None

    def __post_init__(self) -> None:
        check_one_source(self.sql, self.sql_path)


class DbCheckInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `db_check`: several checks, or one.

    Attributes:
        resource: a resource of kind db.
        checks: a list of {name, sql or sql_path, expect, params}.
        name: of a single check, as the next keys.
        sql: a query that returns one number, or the rows that should not be there.
        sql_path: instead of `sql`: a file with it, relative to the folder of the flow file.
        expect: what the result must be: {min, max, equals} for a number, or {no_rows: true}.
        params: bind parameters of the query.
    """

    resource: Text
    checks: Annotated[list[CheckInput], Meta(min_length=1)] | None = None
    name: Text | None = None
    sql: Text | None = None
    sql_path: Annotated[PathText, Meta(min_length=1)] | None = None
    expect: Expect | None = None
    params: Params = None

    def __post_init__(self) -> None:
        single = [
            key for key in ("name", "sql", "sql_path", "expect", "params") if getattr(self, key) is not None
        ]
        if self.checks is not None and single:
            raise ValueError(f"takes checks, or one check with {single[0]}, not both")
        if self.checks is None:
            if self.expect is None:
                raise ValueError("needs checks, or sql and expect")
            check_one_source(self.sql, self.sql_path)

    @property
    def all_checks(self) -> list[CheckInput]:
        """The checks, of which there is at least one."""
        if self.checks is not None:
            return self.checks
        return [CheckInput(self.expect or Expect(), self.name, self.sql, self.sql_path, self.params)]


class CheckOutcome(msgspec.Struct, frozen=True):
    """The result of one check.

    Attributes:
        name: its name.
        ok: whether the data is as expected.
        value: the number that the query gave; for `no_rows` how many rows there are.
        message: the result in words.
    """

    name: str
    ok: bool
    value: int | float | str | None
    message: str


class DbCheckOutput(msgspec.Struct, frozen=True):
    """The outputs of `db_check`.

    Attributes:
        checks: the results, in the order of the checks.
        passed: how many checks there are; all have passed.
    """

    checks: list[CheckOutcome]
    passed: int


@step("db_check")
async def db_check(ctx: StepContext, inputs: DbCheckInput) -> DbCheckOutput:
    """Check data by queries; all checks run, and the step fails if one of them did not pass.

    Raises:
        StepError: a check did not pass, or its query failed; the message has all results (AF920). Or the
            database cannot be reached.
    """
    connector = await sql_connector(ctx, inputs.resource)
    outcomes = []
    for number, check in enumerate(inputs.all_checks, 1):
        outcome = await _outcome(ctx, connector, check, check.name or f"check {number}")
        ctx.log(f"{outcome.name}: {outcome.message}", "info" if outcome.ok else "error")
        outcomes.append(outcome)
    if failed := [one for one in outcomes if not one.ok]:
        raise StepError(
            f"{len(failed)} of {len(outcomes)} checks failed on resource {inputs.resource!r}:"
            + "".join(
                f"\n  {'ok    ' if one.ok else 'FAILED'} {one.name}: {one.message}" for one in outcomes
            ),
            hint="correct the data, or what is expected of it",
            code="AF920",
            detail={"checks": msgspec.to_builtins(outcomes)},
        )
    return DbCheckOutput(outcomes, len(outcomes))


async def _outcome(ctx: StepContext, connector: SqlConnector, check: CheckInput, name: str) -> CheckOutcome:
    """Return the result of one check; a statement that fails is one, too.

    Raises:
        StepError: the database cannot be reached, or the step must stop: no check would have a result.
    """
    try:
        source = await sql_source(ctx, check.sql, check.sql_path)
        query = Query(source.text, check.params, source.source)
        ctx.lineage(statements=[statement_of(connector, source.text)])
        verdict = await read(ctx, connector, query, lambda rows: judge(check.expect, rows))
    except StepError as error:
        if error.kind in {"connection", "cancelled"}:
            raise
        return CheckOutcome(name, ok=False, value=None, message=error.message)
    return CheckOutcome(name, verdict.ok, verdict.value, verdict.message)
