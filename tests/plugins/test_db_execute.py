"""db_execute: statements and scripts in one transaction, on every database that can run here."""

from __future__ import annotations

from typing import Any

import pytest
from aetherflow_db.execute import DbExecuteOutput, db_execute

from aetherflow import StepError
from tests.plugins.db_run import Open, opener

a_run = opener()
one_run = opener(["sqlite3"])
postgres_run = opener(["postgres"])

TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item VARCHAR(40), price DECIMAL(8, 2))"
SCRIPT = """\
-- a header; with a semicolon
INSERT INTO orders (id, item) VALUES (1, 'pen; it''s'), (2, :item);

UPDATE orders SET price = :price WHERE id > 0; /* nothing; here */
DELETE FROM orders WHERE id = 2;
"""


@pytest.mark.asyncio
async def test_a_statement_says_how_many_rows_it_changed(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        insert = "INSERT INTO orders (id, item) VALUES (1, :item), (2, :item)"
        assert await run.step(
            db_execute, "a", sql=insert, params={"item": "a ':x' % \\ b"}
        ) == DbExecuteOutput(2, 1)
        assert await run.step(db_execute, "b", sql="UPDATE orders SET item = 'it: %'") == DbExecuteOutput(
            2, 1
        )
        assert await run.step(db_execute, "c", sql="SELECT * FROM orders") == DbExecuteOutput(0, 1)
        assert await run.rows("SELECT id, item FROM orders ORDER BY id") == [(1, "it: %"), (2, "it: %")]


@pytest.mark.asyncio
async def test_a_script_is_one_transaction_from_a_file_beside_the_flow(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        (run.folder / "sql").mkdir()
        (run.folder / "sql" / "load.sql").write_text(SCRIPT, encoding="utf-8")
        params = {"item": "o'clock :price", "price": 2}
        result = await run.step(db_execute, sql_path="sql/load.sql", params=params)
        assert result == DbExecuteOutput(5, 3)
        assert [row[1] for row in await run.rows("SELECT id, item FROM orders")] == ["pen; it's"]


@pytest.mark.asyncio
async def test_a_script_that_fails_changes_nothing_and_names_file_line_and_column(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        bad = "INSERT INTO orders (id) VALUES (1);\n\nUPDATE orders\n  SETT price = 1 WHERE id = 1;\n"
        (run.folder / "bad.sql").write_text(bad)
        with pytest.raises(StepError) as caught:
            await run.step(db_execute, sql_path="bad.sql")
        assert caught.value.code == "AF740"
        assert "bad.sql, line " in caught.value.message
        assert "SETT" in caught.value.message
        assert await run.rows("SELECT * FROM orders") == []


@pytest.mark.asyncio
async def test_a_table_that_does_not_exist_is_named_with_its_statement(a_run: Open) -> None:
    async with a_run() as run:
        with pytest.raises(StepError, match="nowhere") as caught:
            await run.step(db_execute, sql="SELECT 1;\nDELETE FROM nowhere")
        assert "line 2" in caught.value.message


@pytest.mark.asyncio
async def test_postgres_gives_the_column_and_the_line_is_shown_with_a_mark(postgres_run: Open) -> None:
    async with postgres_run() as run:
        with pytest.raises(StepError) as caught:
            await run.step(db_execute, sql="SELECT 1;  SELECT 2 FORM t x")
        assert "(line 1, column 26)" in caught.value.message
        assert caught.value.message.endswith("\n  SELECT 2 FORM t x\n                ^")
        with pytest.raises(StepError) as caught:
            await run.step(db_execute, sql="SELECT :a,\n %% FORM", params={"a": 1})
        assert "(line 2)" in caught.value.message


@pytest.mark.asyncio
async def test_a_transaction_round_the_whole_script_is_that_of_the_step(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        script = "BEGIN; INSERT INTO orders (id) VALUES (1); INSERT INTO orders (id) VALUES (2); COMMIT;"
        assert await run.step(db_execute, sql=script) == DbExecuteOutput(2, 2)
        assert len(await run.rows("SELECT * FROM orders")) == 2


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"sql": "SELECT 1; COMMIT; SELECT 2"}, "AF919"),
        ({"sql": " -- nothing\n;;"}, "AF918"),
        ({"sql": "SELECT 'open"}, "AF918"),
        ({"sql": "SELECT ?; SELECT ?", "params": [1]}, "AF918"),
        ({"sql_path": "nowhere.sql"}, "AF915"),
        ({"sql_path": "latin.sql"}, "AF915"),
    ],
)
@pytest.mark.asyncio
async def test_scripts_that_cannot_run(one_run: Open, inputs: dict[str, Any], code: str) -> None:
    async with one_run() as run:
        (run.folder / "latin.sql").write_bytes("SELECT 'ä'".encode("latin-1"))
        with pytest.raises(StepError) as caught:
            await run.step(db_execute, **inputs)
        assert caught.value.code == code


@pytest.mark.asyncio
async def test_without_a_transaction_each_statement_is_durable(a_run: Open) -> None:
    async with a_run() as run:
        await run.execute(TABLE)
        with pytest.raises(StepError):
            await run.step(db_execute, sql="INSERT INTO orders (id) VALUES (1); oops", transaction=False)
        assert len(await run.rows("SELECT * FROM orders")) == 1


@pytest.mark.asyncio
async def test_what_cannot_be_in_a_transaction_runs_without_one(one_run: Open) -> None:
    async with one_run() as run:
        assert await run.step(db_execute, sql="VACUUM", transaction=False) == DbExecuteOutput(0, 1)


@pytest.mark.asyncio
async def test_sqlite_takes_a_list_of_params_and_a_trigger_is_one_statement(one_run: Open) -> None:
    async with one_run() as run:
        trigger = "CREATE TRIGGER seen AFTER INSERT ON orders BEGIN UPDATE orders SET price = 1; END"
        assert await run.step(db_execute, "a", sql=f"{TABLE}; {trigger};") == DbExecuteOutput(0, 2)
        insert = "INSERT INTO orders (id, item) VALUES (?, ?) RETURNING id"
        assert await run.step(db_execute, "b", sql=insert, params=[1, "pen"]) == DbExecuteOutput(1, 1)
        assert await run.rows("SELECT price FROM orders") == [(1,)]
