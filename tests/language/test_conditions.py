"""Conditions: exact results of the `when` of a job."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.language.comparison import number, truth
from aetherflow.language.condition import Condition, ConditionError, compile_condition
from aetherflow.language.reference import Reference

SCOPE: dict[str, Any] = {
    "env": {
        "TRUE": "TRUE",
        "FALSE": "False",
        "ZERO": "0",
        "NO": "No",
        "EMPTY": "",
        "FIVE": "5",
        "NAME": "ops",
    },
    "params": {"day": "2026-01-02", "limit": 10, "ratio": 0.5, "tags": ["a", "5", 7, True], "off": False},
    "jobs": {
        "probe": {
            "status": "SUCCESS",
            "outputs": {
                "count": 3,
                "text_count": "3\n",
                "has_data": True,
                "no_data": False,
                "one": 1,
                "files": ["x.csv", "y.csv"],
                "none": [],
                "info": {"key": 1, "2": 2},
                "nil": None,
                "status": "done",
                "long": 12345678901234567890,
                "word": "don't",
            },
        },
        "my-job": {"status": "SKIPPED", "outputs": {"a-b": 1}},
        "a.b": {"status": "FAILED", "outputs": {"n": 2}},
        "a": {"status": "BLOCKED", "outputs": {"n": 1}},
    },
}


def condition(text: str) -> Condition:
    compiled, problems = compile_condition(text)
    assert problems == []
    assert compiled is not None
    return compiled


def holds(text: str) -> bool:
    result = condition(text.replace("P.", "jobs.probe.outputs.")).evaluate(SCOPE)
    assert type(result) is bool
    return result


TRUE = [
    "jobs.probe.outputs.has_data == true",
    "jobs.probe.outputs.has_data==true",
    "P.has_data",
    "P.has_data != false",
    "P.no_data == false",
    "P.no_data == FALSE",
    "not P.no_data",
    "not not P.has_data",
    "jobs.probe.status == 'SUCCESS'",
    'jobs.probe.status == "SUCCESS"',
    "jobs.my-job.status == 'SKIPPED'",
    "jobs.my-job.outputs.a-b == 1",
    "jobs.a.b.status == 'FAILED' and jobs.a.status == 'BLOCKED'",
    "jobs.a.b.outputs.n == 2 and jobs.a.outputs.n == 1",
    "jobs.probe.outputs.status == 'done'",
    "P.count > 2 and P.count >= 3 and P.count < 4 and P.count <= 3",
    "P.count == 3.0",
    "P.count == 3e0",
    "P.count > -1",
    "P.count > -.5",
    "P.count < +4.",
    "2 < P.count",
    "1 < P.count < 5",
    "1 < P.count < 5 > 4 != 3",
    "P.long == 12345678901234567890",
    "P.long != 12345678901234567891",
    "P.text_count == 3",
    "P.text_count > 2",
    "3 == P.text_count",
    "10 > P.text_count",
    "env.FIVE == 5",
    "env.FIVE < 10",
    "env.FIVE == '5'",
    "env.FIVE != '5.0'",
    "env.FIVE == 5.0",
    "env.FIVE < '10'",
    "env.FIVE > '10 apples' or env.NAME > '10'",
    "params.limit > env.FIVE",
    "params.ratio < 1",
    "params.day < '2026-02-01'",
    "params.day >= '2026-01-02'",
    "env.TRUE == true",
    "env.FALSE == false",
    "true == env.TRUE",
    "env.TRUE != false",
    "env.ZERO == false",
    "P.one == true",
    "P.count != true",
    "env.NAME != true and env.NAME != false",
    "P.nil == null",
    "P.never == null",
    "P.never == None",
    "P.never == NULL",
    "jobs.nothing.outputs.x == null",
    "params.nothing == null",
    "env.NOTHING == null",
    "P.count != null",
    "P.never != 3",
    "null == null",
    "P.never != ''",
    "'a' in params.tags",
    "5 in params.tags",
    "'7' in params.tags",
    "true in params.tags",
    "'z' not in params.tags",
    "not 'z' in params.tags",
    "P.count in [1, 2, 3]",
    "P.text_count in [1, 2, 3]",
    "jobs.probe.status in ['SUCCESS', 'SKIPPED']",
    'jobs.probe.status not in ["FAILED"]',
    "P.never in [null]",
    "P.count not in []",
    "'x.csv' in P.files",
    "'key' in P.info",
    "2 in P.info",
    "'csv' not in P.info",
    "'op' in env.NAME",
    "env.NAME in 'devops'",
    "'' in env.NAME",
    "P.files and not P.none",
    "P.info",
    "P.word == 'don\\'t'",
    'P.word == "don\'t"',
    "'\\\\' == \"\\\\\"",
    "'C:\\temp' == 'C:\\\\temp'",
    '\'a"b\' == "a\\"b"',
    "' and ' != ' or '",
    "'{{x}}' != ''",
    "TRUE AND NOT FALSE OR Null",
    "true or P.count > 'x'",
    "not (false and P.count > 'x')",
    "false or not false and true",
    "(P.count) == ((3))",
    "(P.count == 3) == true",
    "(1 == 2) == (3 == 4)",
    "\tP.count\n==\r\n3 ",
    "P.count==3 and(true)or(false)",
    "true",
    "1",
    "'yes'",
    "-1",
    "0.1",
    "",
    "   \n",
]

FALSE = [
    "jobs.probe.outputs.has_data == false",
    "not P.has_data",
    "P.never",
    "P.nil",
    "P.none",
    "env.FALSE",
    "env.ZERO",
    "env.NO",
    "env.EMPTY",
    "env.NOTHING",
    "params.off",
    "false",
    "null",
    "0",
    "0.0",
    "''",
    "'no'",
    "'FALSE'",
    "P.count == '3 apples'",
    "P.count == 'three'",
    "P.count == P.text_count and false",
    "env.NAME == 0",
    "env.NAME == true",
    "P.count == true",
    "P.never == false",
    "P.never == 0",
    "P.never == ''",
    "P.files == 'x.csv'",
    "P.files == true",
    "P.info == 1",
    "env.FIVE > 5",
    "5 < P.count < 10",
    "1 < P.count < 2",
    "'A' in params.tags",
    "'z' in params.tags",
    "P.never in [1, 'a']",
    "1 in P.none",
    "1 in []",
    "'1' not in [1]",
    "env.NAME == 'OPS'",
    "jobs.probe.status == 'success'",
    "true and false",
    "false or false",
    "not true or false",
    "not (true or false)",
    "false and P.count > 'x'",
    "P.never != null and P.never > 3",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_condition_holds(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize("text", FALSE)
def test_a_condition_does_not_hold(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "P.never > 3",
            "jobs.probe.outputs.never is null (the job did not output it) and cannot be compared with >",
        ),
        (
            "3 <= P.never",
            "jobs.probe.outputs.never is null (the job did not output it) and cannot be compared with <=",
        ),
        ("P.nil < P.count", "jobs.probe.outputs.nil is null and cannot be compared with <"),
        (
            "env.NOTHING >= 'x'",
            "env.NOTHING is null (the variable is not set) and cannot be compared with >=",
        ),
        (
            "jobs.gone.status < 'x'",
            "jobs.gone.status is null (the job did not output it) and cannot be compared with <",
        ),
        ("null < 1", "null is null and cannot be compared with <"),
        (
            "'a' in P.never",
            "jobs.probe.outputs.never is null (the job did not output it) and cannot be compared with in",
        ),
        (
            "P.nil not in P.never",
            "jobs.probe.outputs.never is null (the job did not output it) and cannot be compared with not in",
        ),
        (
            "P.never in env.NAME",
            "jobs.probe.outputs.never is null (the job did not output it) and cannot be compared with in",
        ),
        ("env.NAME > 3", "env.NAME (a text) and 3 (a number) cannot be compared with >"),
        ("3 > env.NAME", "3 (a number) and env.NAME (a text) cannot be compared with >"),
        (
            "P.files < 'a'",
            "jobs.probe.outputs.files (a list) and 'a' (a text) cannot be compared with <",
        ),
        (
            "P.info > 'a'",
            "jobs.probe.outputs.info (a mapping) and 'a' (a text) cannot be compared with >",
        ),
        (
            "P.has_data > 0",
            "jobs.probe.outputs.has_data (a truth value) and 0 (a number) cannot be compared with >",
        ),
        ("5 in env.NAME", "5 (a number) and env.NAME (a text) cannot be compared with in"),
        (
            "'a' in P.count",
            "'a' (a text) and jobs.probe.outputs.count (a number) cannot be compared with in",
        ),
        (
            "(1 == 1) < 2",
            "the part in parentheses (a truth value) and 2 (a number) cannot be compared with <",
        ),
    ],
)
def test_what_cannot_be_compared_is_reported_by_name_and_kind(text: str, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        holds(text)
    assert (caught.value.code, caught.value.message) == ("AF420", message)


def test_the_error_about_null_says_how_to_test_for_it() -> None:
    with pytest.raises(ConditionError) as caught:
        holds("P.never > 3")
    assert caught.value.hint == "test it first: jobs.probe.outputs.never != null and ..."


def test_no_value_of_the_environment_is_reported() -> None:
    with pytest.raises(ConditionError) as caught:
        condition("env.KEY > 3").evaluate({"env": {"KEY": "hunter2"}})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_condition_shows_its_text_and_where_its_references_stand() -> None:
    text = " jobs.my-job.status == 'x' and not (env.A in [params.x])"
    assert compile_condition(text)[0] is None
    text = " jobs.my-job.status == 'x' and not (env.A in params.x)"
    compiled = condition(text)
    assert compiled.text == text
    assert compiled.references == (
        Reference(("jobs", "my-job", "status"), None, (), 1),
        Reference(("env", "A"), None, (), 36),
        Reference(("params", "x"), None, (), 45),
    )


def test_one_condition_serves_many_scopes() -> None:
    compiled = condition("params.n > 2")
    assert [compiled.evaluate({"params": {"n": n}}) for n in (1, 3, "4")] == [False, True, True]


def test_a_long_chain_of_conditions_is_no_deep_one() -> None:
    assert condition(" and ".join(["1 < 2"] * 700)).evaluate({})
    assert not condition(" or ".join(["false"] * 1000)).evaluate({})
    assert condition(" < ".join(map(str, range(1000)))).evaluate({})


def test_fifty_levels_are_allowed() -> None:
    assert condition("(" * 50 + "true" + ")" * 50).evaluate({})
    assert condition("not " * 50 + "true").evaluate({})
    assert condition(" and ".join(["(true)"] * 100)).evaluate({})
    assert condition(" and ".join(["not false"] * 100)).evaluate({})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5),
        (" 5\n", 5),
        ("-5", -5),
        ("+5", 5),
        ("05", 5),
        ("5.", 5.0),
        (".5", 0.5),
        ("5e2", 500.0),
        ("1e999", float("inf")),
        (7, 7),
        (0.5, 0.5),
        (True, None),
        (None, None),
        ([1], None),
        ("", None),
        (" ", None),
        ("5 6", None),
        ("1_000", None),
        ("1,5", None),
        ("0x10", None),
        ("inf", None),
        ("nan", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", None),
        ("0" * 399 + "7", 7),
        ("0" * 400 + "7", None),
    ],
)
def test_what_looks_like_a_number(value: object, expected: object) -> None:
    found = number(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", ["true", "yes", "1", "x", " ", "00", "null", 1, 0.1, [0], {"a": 0}, True])
def test_what_is_true(value: object) -> None:
    assert truth(value) is True


@pytest.mark.parametrize(
    "value", ["false", "FALSE", "False", "0", "", "no", "NO", "No", 0, 0.0, [], {}, False, None]
)
def test_what_is_false(value: object) -> None:
    assert truth(value) is False
