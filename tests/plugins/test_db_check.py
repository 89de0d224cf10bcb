"""db_check: assertions on data, all results shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aetherflow_db.check import CheckOutcome, DbCheckInput, db_check

from aetherflow import StepError
from tests.plugins.db_run import DATABASES, Open, opener

a_run = opener(DATABASES)
one_run = opener(["sqlite3"])

ORDERS = (
    "CREATE TABLE orders (id INTEGER, item VARCHAR(20), price DECIMAL(8, 2))",
    "INSERT INTO orders VALUES (1, 'pen', 1.50), (2, 'ink', 2.25), (3, NULL, NULL)",
)


@pytest.mark.asyncio
async def test_all_results_are_outputs_when_all_checks_pass(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(*ORDERS)
        (run.folder / "prices.sql").write_text("SELECT id FROM orders WHERE price < :least")
        checks = [
            {"name": "some orders", "sql": "SELECT count(*) FROM orders", "expect": {"min": 1, "max": 3}},
            {"name": "total", "sql": "SELECT sum(price) FROM orders", "expect": {"equals": 3.75}},
            {"name": "prices", "sql_path": "prices.sql", "params": {"least": 1}, "expect": {"no_rows": True}},
            {"sql": "SELECT item FROM orders WHERE id = 1", "expect": {"equals": "pen"}},
            {"sql": "SELECT id FROM orders", "expect": {"no_rows": False}},
        ]
        result = await run.step(db_check, checks=checks)
        assert result.passed == 5
        assert [one.name for one in result.checks] == ["some orders", "total", "prices", "check 4", "check 5"]
        assert [one.message for one in result.checks] == ["3", "3.75", "no rows", "pen", "3 rows"]
        assert result.checks[0] == CheckOutcome("some orders", ok=True, value=3, message="3")


@pytest.mark.asyncio
async def test_every_check_runs_and_every_result_is_in_the_error(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(*ORDERS)
        checks = [
            {"name": "few", "sql": "SELECT count(*) FROM orders", "expect": {"max": 2}},
            {"name": "lost", "sql": "SELECT count(*) FROM nowhere", "expect": {"min": 1}},
            {"name": "items", "sql": "SELECT * FROM orders WHERE item IS NULL", "expect": {"no_rows": True}},
            {"name": "fine", "sql": "SELECT max(id) FROM orders", "expect": {"equals": 3}},
        ]
        with pytest.raises(StepError) as caught:
            await run.step(db_check, checks=checks)
        assert caught.value.code == "AF920"
        message = caught.value.message
        assert "3 of 4 checks failed" in message
        assert "FAILED few: 3, and should be at most 2" in message
        assert "FAILED lost: the statement failed" in message
        assert (
            "FAILED items: 1 row that should not be there:\n           id=3, item=NULL, price=NULL" in message
        )
        assert "ok     fine: 3" in message
        assert [one["ok"] for one in caught.value.detail["checks"]] == [False, False, False, True]


@pytest.mark.parametrize(
    ("sql", "expect", "message"),
    [
        (
            "SELECT max(price) FROM orders WHERE id > 9",
            {"min": 1, "max": 5},
            "NULL, and should be at least 1 and at most 5",
        ),
        ("SELECT id FROM orders", {"min": 1}, "the query returns several rows instead of one number"),
        ("SELECT 1, 2", {"min": 1}, "the query returns 2 columns instead of one number"),
        ("SELECT id FROM orders WHERE id > 9", {"min": 1}, "the query returns no row instead of one number"),
        ("SELECT 'pen'", {"min": 1}, "'pen', which is no number"),
        ("SELECT 5", {"equals": 6}, "5, and should be 6"),
        ("SELECT id FROM orders WHERE id > 9", {"no_rows": False}, "no rows, and there should be some"),
    ],
)
@pytest.mark.asyncio
async def test_a_single_check_in_the_short_form(
    one_run: Open, sql: str, expect: dict[str, Any], message: str
) -> None:
    async with one_run() as run:
        await run.execute(*ORDERS)
        with pytest.raises(StepError) as caught:
            await run.step(db_check, name="rule", sql=sql, expect=expect)
        assert f"FAILED rule: {message}" in caught.value.message


@pytest.mark.asyncio
async def test_many_rows_that_should_not_be_there_are_counted_and_few_are_shown(one_run: Open) -> None:
    async with one_run() as run:
        many = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
        with pytest.raises(StepError) as caught:
            await run.step(db_check, sql=many, expect={"no_rows": True})
        assert "more than 10,000 rows that should not be there" in caught.value.message
        assert caught.value.message.count("x=") == 5


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"sql": "SELECT 1"},
        {"sql": "SELECT 1", "expect": {}},
        {"sql": "SELECT 1", "sql_path": "a.sql", "expect": {"min": 1}},
        {"sql": "SELECT 1", "expect": {"min": 2, "max": 1}},
        {"sql": "SELECT 1", "expect": {"min": 2, "no_rows": True}},
        {"checks": [], "sql": "SELECT 1"},
        {"checks": [{"sql": "SELECT 1", "expect": {"min": 1}}], "name": "x"},
        {"checks": [{"expect": {"min": 1}}]},
    ],
)
def test_inputs_that_are_no_check(inputs: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"resource": "db", **inputs}, DbCheckInput)
