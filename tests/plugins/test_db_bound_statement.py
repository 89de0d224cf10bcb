"""How `:name` parameters are spelled for a driver, and what only looks like one."""

from __future__ import annotations

import pytest
from aetherflow_db.bound_statement import ParamStyle, UnboundParameterError, bound

PARAMS = {"a": 1, "b": "x", "unused": None}


@pytest.mark.parametrize(
    ("style", "sql", "values"),
    [
        ("qmark", "SELECT ?, ?, ?", [1, "x", 1]),
        ("numeric", "SELECT :1, :2, :3", [1, "x", 1]),
        ("format", "SELECT %s, %s, %s", [1, "x", 1]),
        ("named", "SELECT :a, :b, :a", {"a": 1, "b": "x"}),
        ("pyformat", "SELECT %(a)s, %(b)s, %(a)s", {"a": 1, "b": "x"}),
        ("dollar", "SELECT $a, $b, $a", {"a": 1, "b": "x"}),
    ],
)
def test_each_style_gets_the_values_that_the_statement_names(
    style: ParamStyle, sql: str, values: object
) -> None:
    assert bound("SELECT :a, :b, :a", PARAMS, style) == (sql, values)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ':a', 'it''s :a', \"col:a\", `:a`",
        "SELECT 1 -- :a\n, 2 /* :a\n :b */",
        "SELECT n::date, '12:30', x[1:2], a:b FROM t",
        "SELECT $$ :a $$, $tag$ :a $$ :b $tag$",
        "SELECT '{\"k\": :a}'",
    ],
)
def test_what_only_looks_like_a_parameter_stays(sql: str) -> None:
    assert bound(sql, PARAMS, "qmark") == (sql, [])


def test_mysql_has_backslashes_in_texts_and_one_comment_more() -> None:
    assert bound(r"SELECT 'it\'s :a', :b # :a", PARAMS, "qmark", is_mysql=True) == (
        r"SELECT 'it\'s :a', ? # :a",
        ["x"],
    )


def test_a_percent_is_doubled_where_the_driver_would_read_it() -> None:
    assert bound("SELECT 5 % 2, '100%', :a", PARAMS, "pyformat")[0] == "SELECT 5 %% 2, '100%%', %(a)s"


def test_a_colon_behind_a_backslash_is_a_colon() -> None:
    assert bound(r"SELECT j\:b, :a", PARAMS, "qmark") == ("SELECT j:b, ?", [1])


def test_a_statement_may_have_duckdb_s_own_spelling() -> None:
    assert bound("SELECT $a, :b", PARAMS, "dollar") == ("SELECT $a, $b", {"a": 1, "b": "x"})


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(UnboundParameterError, match="day"):
        bound("SELECT :day", PARAMS, "qmark")
