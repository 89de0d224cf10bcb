"""Declarations of parameters: types, limits and patterns; what contradicts itself is found before any run."""

from __future__ import annotations

import re
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.config.param_declarations import wrong_declarations
from aetherflow.config.param_pattern import MAX_PATTERN, matches, pattern_problem
from aetherflow.config.param_values import Reading, UnfitValue, convert
from aetherflow.spec.flow import ParamSpec
from tests.sizes import examples

READING = Reading(date(2026, 3, 31), Path("/given"), Path("/flows"))


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        (ParamSpec(type="duration"), 90, 90),
        (ParamSpec(type="duration"), "90", 90),
        (ParamSpec(type="duration"), "90s", 90),
        (ParamSpec(type="duration"), "5m", 300),
        (ParamSpec(type="duration"), "2h", 7200),
        (ParamSpec(type="duration"), "1h30m", 5400),
        (ParamSpec(type="duration"), 0.5, 0.5),
        (ParamSpec(type="list"), "a,b", ["a", "b"]),
        (ParamSpec(type="list"), " a , b ,", ["a", "b"]),
        (ParamSpec(type="list"), "", []),
        (ParamSpec(type="list"), "one", ["one"]),
        (ParamSpec(type="list"), '["a, b", "c"]', ["a, b", "c"]),
        (ParamSpec(type="list"), ["3.10", 7, True], ["3.10", "7", "true"]),
        (ParamSpec(type="path"), "in/x.csv", "/given/in/x.csv"),
        (ParamSpec(type="path"), "/abs/x.csv", "/abs/x.csv"),
        (ParamSpec(type="date"), "today", "2026-03-31"),
        (ParamSpec(type="date"), "yesterday", "2026-03-30"),
        (ParamSpec(type="date"), "tomorrow", "2026-04-01"),
        (ParamSpec(type="date"), "today-1d", "2026-03-30"),
        (ParamSpec(type="date"), "today - 1mo", "2026-02-28"),
        (ParamSpec(type="date"), "today/mo-1d", "2026-02-28"),
        (ParamSpec(type="date"), "yesterday + 1w", "2026-04-06"),
        (ParamSpec(type="date", max="today"), "2026-03-31", "2026-03-31"),
        (ParamSpec(type="int", min=1, max=5), "5", 5),
        (ParamSpec(type="string", pattern="[a-z]{2}[0-9]+", min=3), "ab1", "ab1"),
        (ParamSpec(type="list", pattern="[a-z]", enum=["a", "b"], min=1), "b,a", ["b", "a"]),
        (ParamSpec(type="duration", enum=["5m", "1h"]), "300", 300),
        (ParamSpec(type="date", enum=["today", "yesterday"]), "2026-03-30", "2026-03-30"),
    ],
)
def test_a_value_is_read_as_its_type(spec: ParamSpec, value: Any, expected: object) -> None:
    assert list(wrong_declarations("p", spec)) == []
    assert convert(spec, value, READING) == expected
    assert convert(spec, expected, READING) == expected  # as a resume reads what was stored


@pytest.mark.parametrize(
    ("spec", "value", "said"),
    [
        (ParamSpec(type="duration"), "5 minutes", "a duration: seconds (90), or a number with a unit"),
        (ParamSpec(type="duration"), -1, "a duration: "),
        (ParamSpec(type="duration"), True, "a duration: "),
        (ParamSpec(type="duration"), "9999999h", "a duration of at most 3650d"),
        (ParamSpec(type="duration", max="1h"), "2h", "at most 1h, not '2h'"),
        (ParamSpec(type="int", min=1), "0", "at least 1, not '0'"),
        (ParamSpec(type="float", max=1.5), "2", "at most 1.5, not '2'"),
        (ParamSpec(type="date", min="2026-01-01"), "2025-12-31", "at least 2026-01-01, not '2025-12-31'"),
        (ParamSpec(type="date", max="today"), "tomorrow", "at most 2026-03-31, not 'tomorrow'"),
        (ParamSpec(type="date"), "today-1h", "a date: "),
        (ParamSpec(type="date"), "today-99999y", "a date: "),
        (ParamSpec(type="date"), "todayish", "a date such as 2026-01-31, or today-1d, not 'todayish'"),
        (ParamSpec(type="datetime", min="2026-01-01T00:00:00Z"), "2026-01-01 00:00", "a time with an offset"),
        (ParamSpec(min=3), "ab", "at least 3 characters, not 'ab'"),
        (ParamSpec(max=1), "ab", "at most 1 character, not 'ab'"),
        (ParamSpec(type="list", min=1), "", "at least 1 item, not ''"),
        (ParamSpec(type="list"), {"a": 1}, "a list such as a,b"),
        (ParamSpec(type="list"), [["a"]], "a list such as a,b"),
        (ParamSpec(type="list"), "[1", "JSON ("),
        (ParamSpec(type="list", enum=["a"]), "a,c", "a list of a, not 'c'"),
        (ParamSpec(pattern="[a-z]+"), "ab1", "text that is [a-z]+ from its beginning to its end, not 'ab1'"),
        (
            ParamSpec(type="list"),
            ["1.10", None],
            'a list of texts, and item 2 is null: put it in quotes, "~" or "null", or remove it',
        ),
        (ParamSpec(pattern="a*"), "a" * 1001, "at most 1000 characters, as it has a pattern"),
        (ParamSpec(type="path"), "", "a path, not ''"),
        (ParamSpec(type="path"), "$DATA/x", "a path (the path '$DATA/x' holds $DATA"),
    ],
)
def test_a_value_that_the_declaration_forbids_is_refused(spec: ParamSpec, value: Any, said: str) -> None:
    with pytest.raises(UnfitValue) as caught:
        convert(spec, value, READING)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("spec", "where", "code"),
    [
        (ParamSpec(type="int", default="many"), ("default",), "AF560"),
        (ParamSpec(type="int", enum=[1, 2], default=3), ("default",), "AF560"),
        (ParamSpec(pattern="[a-z]+", default="A"), ("default",), "AF560"),
        (ParamSpec(type="int", min=5, default=1), ("default",), "AF560"),
        (ParamSpec(type="date", max="2026-01-01", default="2026-01-02"), ("default",), "AF560"),
        (ParamSpec(type="duration", default="soon"), ("default",), "AF560"),
        (ParamSpec(type="int", enum=[1, "two"]), ("enum", 1), "AF563"),
        (ParamSpec(type="date", enum=["2026-02-30"]), ("enum", 0), "AF563"),
        (ParamSpec(type="int", enum=[1, 9], max=5), ("enum", 1), "AF563"),
        (ParamSpec(type="list", enum=["a", "B"], pattern="[a-z]"), ("enum", 1), "AF563"),
        (ParamSpec(type="enum"), ("type",), "AF563"),
        (ParamSpec(type="int", min=5, max=1), ("min",), "AF563"),
        (ParamSpec(type="int", min="low"), ("min",), "AF563"),
        (ParamSpec(type="date", max="soon"), ("max",), "AF563"),
        (ParamSpec(type="list", min=-1), ("min",), "AF563"),
        (ParamSpec(type="bool", min=1), ("min",), "AF563"),
        (ParamSpec(type="json", max=1), ("max",), "AF563"),
        (ParamSpec(type="datetime", min="2026-01-01", max="2026-01-01T00:00:00Z"), ("max",), "AF563"),
        (ParamSpec(pattern="["), ("pattern",), "AF563"),
        (ParamSpec(pattern="a" * (MAX_PATTERN + 1)), ("pattern",), "AF563"),
        (ParamSpec(pattern=r"(a)\1"), ("pattern",), "AF563"),
        (ParamSpec(pattern="(?=a)b"), ("pattern",), "AF563"),
        (ParamSpec(pattern="(?i)a"), ("pattern",), "AF563"),
        (ParamSpec(type="int", pattern="[0-9]"), ("pattern",), "AF563"),
    ],
)
def test_what_contradicts_itself_is_found_with_its_place(
    spec: ParamSpec, where: tuple[str | int, ...], code: str
) -> None:
    [found] = wrong_declarations("p", spec)
    assert (found.where, found.code) == (where, code)
    assert "'p'" in found.message
    assert found.hint


def test_a_value_for_a_pattern_that_cannot_be_read_is_refused() -> None:
    """`validate` reads the defaults of a flow that has errors, too."""
    with pytest.raises(UnfitValue, match="pattern is no regular expression"):
        convert(ParamSpec(pattern="(", default="x"), "x")


def test_everything_wrong_with_a_declaration_is_reported_at_once() -> None:
    spec = ParamSpec(type="int", enum=["x"], min=3, max=1, pattern="[", default="y")
    found = [(one.where[0], one.code) for one in wrong_declarations("p", spec)]
    assert found == [("pattern", "AF563"), ("min", "AF563"), ("enum", "AF563"), ("default", "AF560")]


def test_a_secret_default_is_not_shown() -> None:
    [found] = wrong_declarations("api_token", ParamSpec(type="int", default="canary-1"))
    assert "canary" not in found.message


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("[a-z]{2}[0-9]+", ["ab1", "ab12", "ab", "abc1", "AB1", ""]),
        ("(foo|bar)(,(foo|bar))*", ["foo", "foo,bar", "foo,", "foobar"]),
        (r"\d{4}-\d\d", ["2026-01", "2026-1", "12026-01"]),
        (r"[^/\s]+\.(csv|tsv)", ["a.csv", "a.b.tsv", "a/b.csv", ".csv", "a.xls"]),
        (r"^a?b*?c{0,2}$", ["", "a", "abbcc", "ccc", "ac\n"]),
        (r"\w+\b.*", ["a b", "-a", "ab"]),
        (".*", ["", "anything", "two\nlines"]),
        ("(a|ab)(c|bcd)(d*)", ["abcd", "acd", "abcdd", "ab"]),
        ("[A-ZÄÖÜ]+", ["ÄB", "ä"]),
        ("(?:x{2}){2,3}", ["xxxx", "xxxxxx", "xxx", "xxxxxxxx"]),
        ("(a*)*b", ["b", "aaab", "a"]),
    ],
)
def test_a_pattern_matches_what_pythons_fullmatch_matches(pattern: str, texts: list[str]) -> None:
    assert pattern_problem(pattern) == ""
    for text in texts:
        expected = re.fullmatch(pattern, text) is not None
        assert matches(pattern, text) is expected, text


PARTS = st.tuples(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "(a|b)", "(|a)", "^", "$", r"\b", "x?"]),
    st.sampled_from(["", "*", "+", "?", "{1,2}", "{2}", "*?"]),
)


@examples(180)
@given(st.lists(PARTS, min_size=1, max_size=5), st.text("abx1 \n-", max_size=6))
def test_any_pattern_matches_what_pythons_fullmatch_matches(parts: list[tuple[str, str]], text: str) -> None:
    pattern = "".join(part for pair in parts for part in pair)
    if pattern_problem(pattern) == "":
        assert matches(pattern, text) is (re.fullmatch(pattern, text) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a|a)*b",
        "(a*)*b",
        "(a|aa)+b",
        "(.*)*x",
        "((a?){100}){100}b",
        "(a*a*a*a*a*)*b",
        "(a{0,999}){999}b",
    ],
)
def test_no_pattern_takes_forever(pattern: str) -> None:
    begin = time.process_time()
    matches(pattern, "a" * 1000)
    assert time.process_time() - begin < 20
