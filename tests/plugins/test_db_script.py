"""How scripts are divided, parameters found and places of errors read; no database is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aetherflow_db.column_types import typed_column
from aetherflow_db.error_position import error_position
from aetherflow_db.named_parameters import named_binds, used_params
from aetherflow_db.query import Query
from aetherflow_db.script import UnclosedError, place, statements
from aetherflow_db.sql_dialects import DUCKDB, MSSQL, MYSQL, ORACLE, POSTGRES, SQLITE, SqlDialect
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.data_files import Column

TRIGGER = (
    "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN UPDATE b SET c = CASE WHEN 1 THEN 2 END; SELECT 1; END"
)
SCRIPTS: list[tuple[SqlDialect, str, list[str]]] = [
    (SQLITE, "a 'x;''y' ; -- c;\n b /* ; */ ;;", ["a 'x;''y'", "b /* ; */"]),
    (SQLITE, 'a [x;y]; b `;`; c ";"', ["a [x;y]", "b `;`", 'c ";"']),
    (
        SQLITE,
        f"{TRIGGER}; x",
        [
            TRIGGER,
            "x",
        ],
    ),
    (
        POSTGRES,
        "a $$;$$; b $t$ $$;$$ $t$; c E'\\';'; d '\\'; e",
        ["a $$;$$", "b $t$ $$;$$ $t$", "c E'\\';'", "d '\\'", "e"],
    ),
    (POSTGRES, "a /* /* ; */ ; */; b DATE'1'; c", ["a /* /* ; */ ; */", "b DATE'1'", "c"]),
    (
        POSTGRES,
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; x",
        ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "x"],
    ),
    (DUCKDB, "FROM a; SELECT $$;$$", ["FROM a", "SELECT $$;$$"]),
    (
        MYSQL,
        "DELIMITER //\nCREATE PROCEDURE p() BEGIN a; b; END//\ndelimiter ;\nc '\\';' # ;\n; d",
        ["CREATE PROCEDURE p() BEGIN a; b; END", "c '\\';' # ;", "d"],
    ),
    (MSSQL, "a; b\nGO\nc 'GO'\n  go  \nd", ["a; b", "c 'GO'", "d"]),
    (
        ORACLE,
        "INSERT INTO a VALUES (1);\nBEGIN\n  b;\n  c;\nEND;\n/\nSELECT 4 / 2 FROM d;\n",
        ["INSERT INTO a VALUES (1)", "BEGIN\n  b;\n  c;\nEND;", "SELECT 4 / 2 FROM d"],
    ),
]


@pytest.mark.parametrize(("dialect", "script", "expected"), SCRIPTS)
def test_a_script_is_divided_as_its_database_does(
    dialect: SqlDialect, script: str, expected: list[str]
) -> None:
    found = statements(script, dialect.syntax)
    assert [one.text for one in found] == expected
    assert all(script.startswith(one.text, one.offset) for one in found)


@pytest.mark.parametrize(
    ("dialect", "script", "what", "line_and_column"),
    [
        (SQLITE, "a;\n b 'c", "'", (2, 4)),
        (POSTGRES, "a $x$ $$", "$x$", (1, 3)),
        (POSTGRES, "/* /* */", "/*", (1, 1)),
        (SQLITE, "CREATE TRIGGER t AFTER INSERT ON a\nBEGIN b;", "BEGIN", (2, 1)),
    ],
)
def test_what_is_not_closed_is_named(
    dialect: SqlDialect, script: str, what: str, line_and_column: tuple[int, int]
) -> None:
    with pytest.raises(UnclosedError) as caught:
        statements(script, dialect.syntax)
    assert (caught.value.what, place(script, caught.value.offset)) == (what, line_and_column)


@given(
    st.lists(
        st.sampled_from(["a", "';'", "--;\n", "/*;*/", '";"', " ", "\n", ";", "$$;$$", "e'\\''"]), max_size=30
    )
)
def test_nothing_of_a_script_is_lost(parts: list[str]) -> None:
    script = " ".join(parts)
    found = statements(script, POSTGRES.syntax)
    at = 0
    for one in found:
        between = script[at : one.offset]
        assert not between.replace("--;", "").replace("/*;*/", "").strip("; \n")
        at = one.offset + len(one.text)
    assert not script[at:].replace("--;", "").replace("/*;*/", "").strip("; \n")


def test_parameters_are_not_in_quotes_comments_and_casts() -> None:
    sql = "SELECT :a, ':b', \":c\", x::int, -- :d\n /* :e */ $$ :f $$, '10:30:00', :a_1"
    assert [found[1] for found in named_binds(sql, POSTGRES.syntax)] == ["a", "a_1"]
    assert used_params(sql, POSTGRES.syntax, {"a": 1, "b": 2}) == {"a": 1}


SAID: list[tuple[Any, str, Any, tuple[int, int | None] | None]] = [
    (SimpleNamespace(diag=SimpleNamespace(statement_position="10")), "SELECT\n  FORM", None, (2, 3)),
    (
        SimpleNamespace(diag=SimpleNamespace(statement_position="18")),
        "SELECT :abc,\n  FORM",
        {"abc": 1},
        (2, None),
    ),
    (ValueError("oops\n\nLINE 2:   FORM t\n          ^"), "SELECT 1,\n  FORM t", None, (2, 3)),
    (ValueError("(1064, \"... near 'FORM' at line 2\")"), "SELECT\nFORM", None, (2, 1)),
    (ValueError('near "FORM": syntax error'), "SELECT FORM x", None, (1, 8)),
    (ValueError('near "x": syntax error'), "x x", None, None),
    (ValueError("at line 9"), "SELECT 1", None, None),
    (ValueError("no such table: x"), "SELECT 1 FROM x", None, (1, 15)),
]


@pytest.mark.parametrize(("error", "sql", "params", "expected"), SAID)
def test_the_place_of_an_error_is_what_the_driver_says(
    error: Any, sql: str, params: Any, expected: tuple[int, int | None] | None
) -> None:
    found = error_position(error, Query(sql, params))
    assert (found and (found.line, found.column)) == expected


@pytest.mark.parametrize(
    ("declared", "column"),
    [
        ("VARCHAR(20)", Column("x", "string")),
        ("numeric(8, 2)", Column("x", "decimal", 8, 2)),
        ("NUMBER(5)", Column("x", "decimal", 5, 0)),
        ("NUMBER", Column("x", "decimal")),
        ("timestamp(3) with time zone", Column("x", "datetime", is_zoned=True)),
        ("timestamp without time zone", Column("x", "datetime")),
        ("bigint(20) unsigned", Column("x", "int")),
        ("double precision", Column("x", "float")),
        ("integer[]", Column("x")),
        ("geometry", Column("x")),
        ("", Column("x")),
    ],
)
def test_declared_types(declared: str, column: Column) -> None:
    assert typed_column("x", declared) == column


def test_a_date_of_oracle_has_a_time() -> None:
    assert typed_column("x", "DATE", has_date_times=True).kind == "datetime"
