"""What is wrong with a template: all of it at once, each with its place, and never an exception."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aetherflow.language.reference import MAX_PARTS, TextDiagnostic
from aetherflow.language.scan import MAX_PROBLEMS, UNSUPPORTED
from aetherflow.language.template import compile_template
from tests.sizes import examples


def problems_of(value: object) -> list[TextDiagnostic]:
    return compile_template(value)[1]


def test_the_sentence_is_the_one_users_know() -> None:
    assert UNSUPPORTED == "Unsupported templating syntax. Use {{VAR}} or {{VAR:DEFAULT}}"


NAMES_ONLY = "only names joined by dots may be between the braces"
NOT_CLOSED = "it is not closed"
IN_DEFAULT = "it is not closed, or another token is in its default"
STATEMENT = "statements and comments are not supported"
STRAY = "these braces close nothing"


@pytest.mark.parametrize(
    ("text", "offset", "reason"),
    [
        ("{{}}", 0, NAMES_ONLY),
        ("{{ }}", 0, NAMES_ONLY),
        ("{{:x}}", 0, NAMES_ONLY),
        ("x {{ a | upper }}", 2, NAMES_ONLY),
        ("{{a|upper}}", 0, NAMES_ONLY),
        ("{{ f(x) }}", 0, NAMES_ONLY),
        ("{{f()}}", 0, NAMES_ONLY),
        ("{{a[0]}}", 0, NAMES_ONLY),
        ("{{a + b}}", 0, NAMES_ONLY),
        ("{{a b}}", 0, NAMES_ONLY),
        ("{{a..b}}", 0, NAMES_ONLY),
        ("{{.a}}", 0, NAMES_ONLY),
        ("{{a.}}", 0, NAMES_ONLY),
        ("{{a.-b}}", 0, NAMES_ONLY),
        ("{{-a}}", 0, NAMES_ONLY),
        ("{{1}}", 0, NAMES_ONLY),
        ("{{1.a}}", 0, NAMES_ONLY),
        ("{{'a}}", 0, NAMES_ONLY),
        ("{{'a' 'b'}}", 0, NAMES_ONLY),
        ("{{'a}} and {{b:'c'}}", 0, NAMES_ONLY),
        ("{{a?:b}}", 0, NAMES_ONLY),
        ("{{#if x}}", 0, NAMES_ONLY),
        ("{{{a}}}", 0, NAMES_ONLY),
        ("{{ {a} }}", 0, NAMES_ONLY),
        ("{{a", 0, NOT_CLOSED),
        ("{{a}", 0, NOT_CLOSED),
        ("{{", 0, NOT_CLOSED),
        ("{{a} }", 0, NOT_CLOSED),
        ("{{a:b", 0, IN_DEFAULT),
        ("{{a:b}", 0, IN_DEFAULT),
        ("{{a:{b}}", 0, IN_DEFAULT),
        ("{{a:{{b}}}}", 0, IN_DEFAULT),
        ("a}}", 1, STRAY),
        ("}}", 0, STRAY),
        ("{a}}", 3, STRAY),
        ("{{a}}}}", 5, STRAY),
        ("{% if x %}", 0, STATEMENT),
        ("a {% if x", 2, STATEMENT),
        ("{%if x%}", 0, STATEMENT),
        ("{%- if x -%}", 0, STATEMENT),
        ("{# c #}", 0, STATEMENT),
        ("{#c#}", 0, STATEMENT),
        ("{%%}", 0, STATEMENT),
    ],
)
def test_other_syntax_is_refused_at_its_place(text: str, offset: int, reason: str) -> None:
    found = problems_of(text)[0]
    assert (found.code, found.message, found.where) == ("AF401", UNSUPPORTED, ())
    assert found.offset == offset
    assert f": {reason}; " in found.hint
    assert repr(text[offset : offset + 40]) in found.hint


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ("{{a|b}} {{ok}} {{c(d)}}", [0, 15]),
        ("{{a {{b|c}} {% x %}", [0, 4, 12]),
        ("{{a:{{b}}}}", [0]),
        ("{{ok}} {{", [7]),
        ("{{a}}}} {{", [5, 8]),
    ],
)
def test_all_problems_of_a_text_are_reported_once_each(text: str, offsets: list[int]) -> None:
    assert [problem.offset for problem in problems_of(text)] == offsets


def test_all_problems_of_a_tree_are_reported_at_their_places() -> None:
    found = problems_of({"a": ["{{x|y}}", {"b": "ok {{ok}}", "c": "z {{"}], "{{k}}": {"d": "{% x %}"}})
    assert [(p.code, p.where, p.offset) for p in found] == [
        ("AF401", ("a", 0), 0),
        ("AF401", ("a", 1, "c"), 2),
        ("AF402", ("{{k}}",), 0),
        ("AF401", ("{{k}}", "d"), 0),
    ]
    assert found[2].message == "a key cannot be a template: '{{k}}'"
    assert found[2].hint == "write the key as it is; only values are templates"


def test_good_references_are_kept_beside_problems_so_that_they_are_checked_too() -> None:
    compiled, problems = compile_template(["{{a.b}} {{a|b}}", "{{c.d}}"])
    assert len(problems) == 1
    assert [reference.path for reference in compiled.references] == [("a", "b"), ("c", "d")]


def test_a_path_of_too_many_parts_is_refused() -> None:
    assert problems_of("{{" + ".".join(["a"] * MAX_PARTS) + "}}") == []
    found = problems_of("{{" + ".".join(["a"] * (MAX_PARTS + 1)) + "}}")
    assert f"a path has at most {MAX_PARTS} parts" in found[0].hint


def test_a_text_full_of_problems_reports_the_first_ones() -> None:
    assert len(problems_of("{{!}} " * 1000)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 200_000,
        "{%a" * 200_000,
        "{" * 400_000,
        "}" * 400_000,
        "{{a:" * 100_000,
        "{{a:{" * 100_000,
        "{{" + "a." * 200_000,
        "{{a:" + "{}" * 200_000,
        "{{" + " " * 400_000,
        "{%" + "a" * 400_000,
        "{{a " + "}" * 400_000,
        "{{a}}" * 80_000,
        "{{'" * 100_000,
        "{{a - 1d" * 50_000,
        "{{a" + " - 1d" * 80_000,
        "{{a | format: %" + "Y" * 400_000,
    ],
    ids=lambda text: text[:6],
)
def test_hostile_text_costs_a_straight_line(text: str) -> None:
    begin = time.process_time()
    compile_template(text)
    assert time.process_time() - begin < 5


TEXT = st.lists(
    st.sampled_from([*"{}%#:.|-$ ab0\n", "{{", "}}", "{{a}}", "{{a:", "{%", "%}", "é"]) | st.characters(),
    max_size=30,
).map("".join)


@examples(240)
@given(TEXT)
@example("{{a:\x00}}")
@example("\ud800{{")
def test_no_text_makes_an_exception_and_every_problem_points_into_it(text: str) -> None:
    compiled, problems = compile_template(text)
    for problem in problems:
        assert 0 <= problem.offset < len(text)
        assert problem.hint
    for reference in compiled.references:
        path = ".".join(reference.path)
        assert text[reference.offset : reference.offset + len(path)] == path
    if not problems:
        assert ("{{" in text) == bool(compiled.references)
        compiled.render(everything())


def everything() -> Any:
    """A scope in which every path of the generated texts has a value, whatever it is called."""

    class Everything(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            return True

        def __missing__(self, key: str) -> Any:
            return "value"

    return Everything()


@examples(90)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=15,
    )
)
def test_no_tree_makes_an_exception_and_every_place_leads_to_its_text(tree: Any) -> None:
    compiled, problems = compile_template(tree)
    places = [reference.where for reference in compiled.references]
    places += [problem.where for problem in problems if problem.code != "AF402"]
    for where in places:
        node = tree
        for part in where:
            node = node[part]
        assert isinstance(node, str)
