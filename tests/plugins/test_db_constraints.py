"""A statement that would break a constraint of a table: one plain message on every database, not retried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aetherflow_db.constraints import Constraint, broken_constraint
from aetherflow_db.duckdb_connector import DuckDbConnector
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError
from tests.plugins.database_servers import mariadb_database, postgres_database

TABLES = (
    "CREATE TABLE parents (id int PRIMARY KEY)",
    (
        "CREATE TABLE t (id int PRIMARY KEY, name varchar(9) NOT NULL, n int, p int, "
        "CONSTRAINT small CHECK (n < 9), CONSTRAINT of_p FOREIGN KEY (p) REFERENCES parents (id))"
    ),
    "INSERT INTO t VALUES (1, 'a', 1, NULL)",
)
BREAKS = {
    "unique": "INSERT INTO t VALUES (1, 'b', 1, NULL)",
    "not null": "INSERT INTO t VALUES (2, NULL, 1, NULL)",
    "foreign key": "INSERT INTO t VALUES (2, 'b', 1, 77)",
    "check": "INSERT INTO t VALUES (2, 'b', 10, NULL)",
}
SAID = {
    "sqlite3": {
        "unique": "another row of table t has the same key in id",
        "not null": "the column name of table t needs a value and got none",
        "foreign key": "a row would refer to a row that does not exist",
        "check": "a row is not what the table allows (constraint small)",
    },
    "duckdb": {
        "unique": "another row has the same key in id",
        "not null": "the column name of table t needs a value and got none",
        "foreign key": "a row would refer in id to a row that does not exist",
        "check": "a row of table t is not what the table allows (constraint CHECK((n < 9)))",
    },
    "postgres": {
        "unique": "another row of table t has the same key in id (constraint t_pkey)",
        "not null": "the column name of table t needs a value and got none",
        "foreign key": "a row of table t would refer in p to a row that does not exist (constraint of_p)",
        "check": "a row of table t is not what the table allows (constraint small)",
    },
    "mysql": {
        "unique": "another row has the same key (constraint PRIMARY)",
        "not null": "the column name needs a value and got none",
        "foreign key": "a row of table t would refer in p to a row that does not exist (constraint of_p)",
        "check": "a row of table t is not what the table allows (constraint small)",
    },
}


@pytest_asyncio.fixture(params=SAID)
async def connector(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A connector of each database that can run here, with the tables."""
    match request.param:
        case "sqlite3":
            options = {"init_sql": "PRAGMA foreign_keys = on"}
            resource = Resource("shop", "db", "sqlite3", {"path": str(tmp_path / "shop.sqlite")}, options)
            opened = await Sqlite3Connector.open(resource)
            yield _with_tables(opened)
            await opened.aclose()
        case "duckdb":
            opened_duck = await DuckDbConnector.open(Resource("shop", "db", "duckdb", {}, {}))
            yield _with_tables(opened_duck)
            await opened_duck.aclose()
        case "postgres":
            async with postgres_database(request.getfixturevalue("postgres_server")).opened() as server:
                yield _with_tables(server)
        case _:
            async with mariadb_database(request.getfixturevalue("mariadb_server")).opened() as server:
                yield _with_tables(server)


def _with_tables(connector: Any) -> Any:
    for sql in TABLES:
        connector.execute(sql)
    return connector


@pytest.mark.asyncio
async def test_each_kind_of_constraint_is_named_in_the_same_way(connector: Any) -> None:
    for kind, sql in BREAKS.items():
        with pytest.raises(StepError, match="the statement failed on resource") as caught:
            connector.execute(sql)
        info = caught.value.info()
        assert (info.code, info.kind, info.is_final) == ("AF830", "other", True), kind
        assert info.detail["constraint"] == kind
        assert f": {SAID[connector.driver][kind]}: " in info.message


@pytest.mark.parametrize(
    ("said", "constraint"),
    [
        (
            ("Violation of PRIMARY KEY constraint 'PK_t'. Cannot insert duplicate key in object 'dbo.t'."),
            Constraint("unique", "dbo.t", "", "PK_t"),
        ),
        (
            "Cannot insert duplicate key row in object 'dbo.t' with unique index 'ix'. (error 2601)",
            Constraint("unique", "dbo.t", "", "ix"),
        ),
        (
            "Cannot insert the value NULL into column 'name', table 'shop.dbo.t'; no nulls.",
            Constraint("not null", "shop.dbo.t", "name"),
        ),
        (
            (
                'The INSERT conflicted with the FOREIGN KEY constraint "of_p". The conflict occurred '
                'in database "shop", table "dbo.parents", column \'id\'.'
            ),
            Constraint("foreign key", "dbo.parents", "id", "of_p"),
        ),
        (
            (
                'The UPDATE statement conflicted with the CHECK constraint "small". The conflict occurred in '
                'database "shop", table "dbo.t", column \'n\'.'
            ),
            Constraint("check", "dbo.t", "n", "small"),
        ),
        ("ORA-00001: unique constraint (SALES.PK_T) violated", Constraint("unique", name="SALES.PK_T")),
        (
            'ORA-01400: cannot insert NULL into ("SALES"."T"."NAME")',
            Constraint("not null", "T", "NAME"),
        ),
        ('ORA-01407: cannot update ("SALES"."T"."NAME") to NULL', Constraint("not null", "T", "NAME")),
        (
            "ORA-02291: integrity constraint (SALES.OF_P) violated - parent key not found",
            Constraint("foreign key", name="SALES.OF_P"),
        ),
        ("ORA-02290: check constraint (SALES.SMALL) violated", Constraint("check", name="SALES.SMALL")),
        (
            "constraint violation - primary key (PK_T on table T)",
            Constraint("unique", "T", "", "PK_T"),
        ),
        ("Duplicate entry '1' for key 't.PRIMARY' (error 1062)", Constraint("unique", name="t.PRIMARY")),
        ("Check constraint 'small' is violated. (error 3819)", Constraint("check", name="small")),
        ('near "UNIQUE": syntax error', None),
        ("no such column: constraint", None),
    ],
)
def test_the_messages_of_other_databases(said: str, constraint: Constraint | None) -> None:
    assert broken_constraint(Exception(said), said) == constraint
