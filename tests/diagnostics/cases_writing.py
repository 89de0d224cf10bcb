"""AF915 to AF928: statements that cannot run, files that do not fit a table, checks that fail."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
from aetherflow_db.check import db_check
from aetherflow_db.execute import db_execute
from aetherflow_db.load import db_load
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError, StepType
from aetherflow.testing import FakeRun
from tests.diagnostics.case import Case, Told

TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, price DECIMAL(8, 2))"
SALES = "id,item,price\n1,pen,1.50\n"


def fails(step: StepType, content: str = "", name: str = "sales.csv", **inputs: Any) -> Told:
    """Return the case of a step on a database with one table, beside a file of this content."""

    async def by(folder: Path) -> str:
        with sqlite3.connect(folder / "shop.sqlite") as database:
            database.execute(TABLE)
        database.close()
        (folder / name).write_bytes(content.encode("latin-1"))
        connector = await Sqlite3Connector.open(
            Resource("shop", "db", "sqlite3", {"path": str(folder / "shop.sqlite")})
        )
        run = FakeRun(folder, connectors={"shop": connector})
        given = {"resource": "shop", **inputs}
        if "sql" not in given and "checks" not in given:
            given["source_path" if step is db_load else "sql_path"] = str(folder / name)
        try:
            await step.run(run.context(), msgspec.convert(given, step.input_type))
        except StepError as error:
            text = f"{error.code}: {error.message}\n    hint: {error.hint}\n"
            return text.replace(str(folder), "/home/ann/work")
        raise AssertionError("nothing failed")

    return Told(by)


def loads(content: str, name: str = "sales.csv", **inputs: Any) -> Told:
    """Return the case of a file that cannot be loaded."""
    return fails(db_load, content, name, **{"table": "orders", **inputs})


CASES: dict[str, Case | Told] = {
    "AF915": fails(db_execute, "UPDATE orders SET item = 'café'", "prices.sql"),
    "AF917": loads(SALES, table="shop..orders"),
    "AF918": fails(db_execute, "UPDATE orders\n  SET item = 'pen;\n", "prices.sql"),
    "AF830": fails(
        db_execute, sql="INSERT INTO orders VALUES (1, 'ink', 1); INSERT INTO orders VALUES (1, 'pen', 2)"
    ),
    "AF919": fails(db_execute, sql="DELETE FROM orders; COMMIT; INSERT INTO orders VALUES (1, 'pen', 2)"),
    "AF920": fails(
        db_check,
        checks=[
            {"name": "orders", "sql": "SELECT count(*) FROM orders", "expect": {"min": 1}},
            {"name": "prices", "sql": "SELECT 7 AS id, -2 AS price", "expect": {"no_rows": True}},
        ],
    ),
    "AF921": loads(SALES, table="order"),
    "AF922": loads("id,article\n1,pen\n"),
    "AF923": loads("id,item,price\n1,pen,1.50\n2,ink,12 EUR\n"),
    "AF924": loads("id,item\n1,pen\n1,ink\n", mode="upsert", key="id"),
    "AF925": loads(SALES, "sales.txt"),
    "AF926": loads("id,item\n1,pen\n", min_rows=100),
}
