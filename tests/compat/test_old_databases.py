"""Plugins of 0.0.x that use database connectors: the calls that they know, on the connectors that ship."""

from __future__ import annotations

import json

import pytest

from tests.cli.command_line import CommandLine

PLUGIN = """
from aetherflow.core.api import ConnectorError, Step, register_step


@register_step("old_database")
class OldDatabase(Step):
    def run(self):
        with self.ctx.connectors.db("shop") as db:
            if db.driver != "sqlite3":
                db.execute("CREATE TABLE orders (id INTEGER, item TEXT)")
                db.execute("INSERT INTO orders VALUES (:a, 'pen'), (:b, NULL)", {"a": 1, "b": 2})
            else:
                with db.connect() as connection:
                    connection.execute("CREATE TABLE orders (id INTEGER, item TEXT)")
                    connection.execute("INSERT INTO orders VALUES (1, 'pen'), (2, NULL)")
        if db.driver == "sqlalchemy":
            from sqlalchemy import text

            with db.connect() as connection:
                connection.execute(text("INSERT INTO orders VALUES (3, 'ink')"))
            assert db.engine().dialect.name == "sqlite"
        columns, rows, types = db.fetchmany("SELECT item, id FROM orders ORDER BY id", fetch_size=1)
        found = {"columns": columns, "rows": [list(row) for row in rows]}
        found["types"] = [kind.__name__ for kind in types]
        assert db.fetchall("SELECT 1 AS one") == db.read("SELECT 1 AS one", {}) == (["one"], [(1,)])
        try:
            db.read("SELECT * FROM nope")
        except ConnectorError as error:
            found["error"] = error.kind
        db.close()
        return found | {"kind": db.kind, "driver": db.driver, "name": db.name}
"""


@pytest.mark.parametrize(
    ("driver", "config"),
    [
        ("sqlite3", "{path: shop.sqlite}"),
        ("sqlalchemy", "{url: 'sqlite:///shop.sqlite'}"),
        ("duckdb", "{path: shop.duckdb}"),
    ],
)
def test_the_calls_that_plugins_know_work(cli: CommandLine, driver: str, config: str) -> None:
    cli.env["AETHERFLOW_PLUGIN_PATHS"] = str(cli.write("plugins/old_database.py", PLUGIN))
    cli.write(
        "flow.yaml",
        "version: 1\nflow: {id: f}\n"
        f"resources:\n  shop: {{kind: db, driver: {driver}, config: {config}}}\n"
        "jobs:\n  - id: a\n    steps:\n      - {id: s, type: old_database}\n",
    )

    result = cli.run("run", "flow.yaml")

    assert result.code == 0, result
    found = json.loads(cli.query("select outputs from step_state where step_id = 's'")[0][0])
    more = [["ink", 3]] if driver == "sqlalchemy" else []
    assert found == {
        "columns": ["item", "id"],
        "rows": [["pen", 1], [None, 2], *more],
        "types": ["str", "int"],
        "error": "other",
        "kind": "db",
        "driver": driver,
        "name": "shop",
    }
