"""Templates: exact results, and that a rendered value is only ever data."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.language.reference import Lenient, MissingValue, Reference
from aetherflow.language.template import MAX_DEPTH, Template, compile_template
from tests.sizes import examples

SCOPE: dict[str, Any] = {
    "env": {"X": "ex", "EMPTY": "", "N": "5"},
    "n": 7,
    "f": 1.5,
    "yes": True,
    "no": False,
    "zero": 0,
    "nil": None,
    "list": [1, "zwei", None, {"ü": "<&>"}],
    "map": {"a": 1, "b": [True, None]},
    "view": MappingProxyType({"k": MappingProxyType({"v": 1})}),
    "none_left": [],
    "nothing_in": {},
    "text": 'say "hi"',
    "day": date(2026, 1, 2),
    "price": Decimal("1.10"),
    "grün": "green",
    "my-job": {"a-b": "dash", "a-": "end"},
}


def template(value: object) -> Template:
    compiled, problems = compile_template(value)
    assert problems == []
    return compiled


def render(value: object) -> Any:
    return template(value).render(SCOPE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{n}}", 7),
        ("{{ n }}", 7),
        ("{{\tn\n}}", 7),
        ("{{n}}\n", 7),
        ("{{f}}", 1.5),
        ("{{yes}}", True),
        ("{{no}}", False),
        ("{{zero}}", 0),
        ("{{list}}", [1, "zwei", None, {"ü": "<&>"}]),
        ("{{list.1}}", "zwei"),
        ("{{map}}", {"a": 1, "b": [True, None]}),
        ("{{none_left}}", []),
        ("{{nothing_in:default}}", {}),
        ("{{none_left:default}}", []),
        ("{{zero:default}}", 0),
        ("{{no:default}}", False),
        ("{{day}}", date(2026, 1, 2)),
        ("{{grün}}", "green"),
        ("{{my-job.a-b}}", "dash"),
        ("{{my-job.a-}}", "end"),
    ],
)
def test_a_token_alone_keeps_its_type(text: str, value: object) -> None:
    result = render(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("n={{n}}", "n=7"),
        (" {{n}}", " 7"),
        ("{{n}} ", "7 "),
        ("{{n}}\n\n", "7\n\n"),
        ("{{n}}{{n}}", "77"),
        ("{{f}}|{{yes}}|{{no}}|{{zero}}", "1.5|true|false|0"),
        ("={{list}}", '=[1,"zwei",null,{"ü":"<&>"}]'),
        ("={{map}}", '={"a":1,"b":[true,null]}'),
        ("={{view}}", '={"k":{"v":1}}'),
        ("={{none_left}}{{nothing_in}}", "=[]{}"),
        ("={{text}}", '=say "hi"'),
        ("={{day}} {{price}}", "=2026-01-02 1.10"),
        ("{{env.X}}-{{env.Y:why}}", "ex-why"),
        ("a {{env.EMPTY:e}} {{nil:n}} {{nope:m}} b", "a e n m b"),
        ("{{env.EMPTY:}}.", "."),
    ],
)
def test_inside_longer_text_a_value_is_written_as_text(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{{nope:}}", ""),
        ("{{nope:5}}", "5"),
        ("{{nope:true}}", "true"),
        ("{{nope:null}}", "null"),
        ("{{nil:x}}", "x"),
        ("{{env.EMPTY:x}}", "x"),
        ("{{nope:http://h:80/p?a=b|c}}", "http://h:80/p?a=b|c"),
        ("{{nope:f(x) $HOME ${HOME} %d 'q'}}", "f(x) $HOME ${HOME} %d 'q'"),
        ("{{nope: a }}", " a "),
        ("{{nope:a }}", "a "),
        ("{{ nope:a }}", "a"),
        ("{{ nope : a b }}", "a b"),
        ("{{ nope: }}", ""),
        ("{{nope : a}}", " a"),
        ("{{nope:[]}}", "[]"),
        ("{{nope:{}}}", "{}"),
        ('{{nope:{"a": {"b": 1}}}}', '{"a": {"b": 1}}'),
        ("{{nope:a}b}}", "a}b"),
        ("{{nope:two\nlines}}", "two\nlines"),
        ("{{list.9:none}}", "none"),
        ("{{n.x:none}}", "none"),
    ],
)
def test_a_default_is_text_exactly_as_it_stands(text: str, result: str) -> None:
    assert render(text) == result


def test_a_default_in_json_text_ends_where_the_json_does_not() -> None:
    assert render('{"a": {{nope:1}}}') == '{"a": 1}'
    assert render('{"a": {"b": {{nope:1}}}}') == '{"a": {"b": 1}}'
    assert render('{"a": {"b": {{n}}}}') == '{"a": {"b": 7}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "{}",
        "{x}",
        "${X}",
        "${X:-{}}",
        "$X $(pwd) `id` %PATH% %d",
        '{"a": {"b": 1}}',
        '{"a":{"b":{"c":[{}]}}}',
        "}",
        "a } b } c",
        "{ {n} }",
        "{",
        "awk '{print $1}' | xargs -I{} echo {}",
        'printf "{%s}" x',
        "date +{%Y}",
        "${#list[@]} ${x%.txt} ${#y} ${x#} ${y%}",
        "${#x#} ${% x}",
        "{%",
        "{#",
        "a: {b",
    ],
)
def test_single_braces_shell_and_json_are_plain_text(text: str) -> None:
    compiled = template(text)
    assert compiled.is_constant
    assert compiled.references == ()
    assert compiled.render({}) == text


@pytest.mark.parametrize("text", ["${X} {{n}} {}", 'curl -d \'{"a": {"b": "{{n}}"}}\' ${URL}'])
def test_plain_braces_stay_beside_tokens(text: str) -> None:
    assert render(text) == text.replace("{{n}}", "7")


def test_a_dollar_before_a_token_is_plain_text() -> None:
    assert render("${{n}}") == "$7"


def test_a_tree_is_rendered_and_its_constants_stay() -> None:
    tree = {
        "a": ["{{n}}", "x{{n}}", 1, None, True],
        "b": {"c": {"d": "{{env.X}}", "e": []}},
        "f": "plain",
        "g": ["plain"],
    }
    assert render(tree) == {
        "a": [7, "x7", 1, None, True],
        "b": {"c": {"d": "ex", "e": []}},
        "f": "plain",
        "g": ["plain"],
    }
    assert tree["a"] == ["{{n}}", "x{{n}}", 1, None, True]


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "x", [], {}, [1, {"a": ["b"]}], {"a": {"b": [None]}}])
def test_a_constant_renders_to_itself(value: object) -> None:
    compiled = template(value)
    assert compiled.is_constant
    assert compiled.render({}) is value
    assert compiled.render_present({}) is value or compiled.render_present({}) == value


def test_a_template_shows_where_each_reference_stands() -> None:
    compiled = template({"q": ["x", {"deep": "a {{ n }} b {{env.X: d}}"}], "k": "{{yes}}"})
    assert compiled.references == (
        Reference(("n",), None, ("q", 1, "deep"), 5),
        Reference(("env", "X"), " d", ("q", 1, "deep"), 14),
        Reference(("yes",), None, ("k",), 2),
    )
    assert not compiled.is_constant
    assert compiled.raw["k"] == "{{yes}}"


def test_a_template_cannot_be_changed() -> None:
    compiled = template("{{n}}")
    with pytest.raises(AttributeError):
        compiled.raw = "other"  # type: ignore[misc]  # that is the point
    assert not hasattr(compiled, "__dict__")


def test_keys_are_not_rendered() -> None:
    assert render({"{n}": "{{n}}", "$x": 1}) == {"{n}": 7, "$x": 1}


def test_values_nested_a_hundred_deep_render() -> None:
    value: Any = "{{n}}"
    for number in range(100):
        value = [value] if number % 2 else {"k": value}
    result = render(value)
    for number in reversed(range(100)):
        result = result[0] if number % 2 else result["k"]
    assert result == 7


def test_values_nested_too_deep_are_a_problem_and_no_crash() -> None:
    value: Any = "{{n}}"
    for _ in range(5000):
        value = [value]
    _, problems = compile_template(value)
    assert [problem.code for problem in problems] == ["AF401"]
    assert problems[0].hint == f"nest values at most {MAX_DEPTH} levels deep"


def test_one_template_serves_many_scopes() -> None:
    compiled = template(["{{n}}", "<{{n}}>"])
    assert [compiled.render({"n": n}) for n in (1, "a")] == [[1, "<1>"], ["a", "<a>"]]


@pytest.mark.parametrize("text", ["{{nope}}", "a{{nope}}", "{{env.EMPTY}}", "a{{nil}}", "{{nil}}"])
def test_nothing_without_a_default_is_an_error_wherever_it_stands(text: str) -> None:
    for value in (text, [text], {"a": {"b": [text]}}):
        with pytest.raises(MissingValue) as caught:
            render(value)
        assert caught.value.code == "AF410"


def test_the_present_entries_of_a_mapping_are_those_with_all_their_values() -> None:
    compiled = template(
        {"a": "{{n}}", "b": "{{nope}}", "c": ["{{n}}", "{{nil}}"], "d": "x", "e": "{{nope:d}}", "f": None}
    )
    assert compiled.render_present(SCOPE) == {"a": 7, "d": "x", "e": "d", "f": None}
    with pytest.raises(MissingValue):
        compiled.render(SCOPE)


def test_what_is_no_mapping_has_no_present_entries() -> None:
    assert template(["{{n}}"]).render_present(SCOPE) == [7]
    with pytest.raises(MissingValue):
        template(["{{nope}}"]).render_present(SCOPE)
    assert template({}).render_present(SCOPE) == {}


SPECIAL = st.lists(
    st.sampled_from(
        [
            "{{",
            "}}",
            "{{n}}",
            "{{secret:x}}",
            "${",
            "$(",
            "%",
            "%s",
            "{%",
            "%}",
            "{#",
            "'",
            '"',
            "\\",
            "{",
            "}",
        ]
    )
    | st.text(max_size=5),
    min_size=1,
    max_size=5,
).map("".join)


@examples(120)
@given(st.lists(SPECIAL.filter(bool), min_size=10, max_size=10))
def test_a_rendered_value_is_never_evaluated_again(values: list[str]) -> None:
    for value in values:  # ten at a time
        scope = {"v": value, "n": "EVALUATED", "secret": "EVALUATED", "box": {"v": [value]}}
        written = json.dumps({"v": [value]}, ensure_ascii=False, separators=(",", ":"))
        assert ALONE.render(scope) == value
        assert WITHIN.render(scope) == f"<{value}|{value}>"
        assert DEEP.render(scope) == {"k": [value, {"in": [value]}]}
        assert AS_JSON.render(scope) == f"={written}"


ALONE = template("{{v}}")
WITHIN = template("<{{v}}|{{ v : default }}>")
DEEP = template({"k": ["{{v}}", {"in": "{{box.v}}"}]})
AS_JSON = template("={{box}}")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@examples(90)
@given(JSON.filter(lambda value: value is not None and value != ""))
def test_any_json_value_survives_a_token(value: object) -> None:
    assert ALONE.render({"v": value}) is value
    written = template("{{v}} ").render({"v": value})[:-1]
    assert written == value if isinstance(value, str) else json.loads(written) == value


QUIET = st.text(st.characters(exclude_characters="{}"), max_size=5)


@examples(90)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | QUIET,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(QUIET, inner, max_size=4),
    )
)
def test_json_written_into_a_flow_is_plain_text(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    compiled = template(text)
    assert compiled.is_constant
    assert compiled.render({}) == text


def test_in_a_lenient_scope_what_is_missing_is_an_empty_text_and_is_reported() -> None:
    seen: list[str] = []
    scope = Lenient(
        {"env": {"EMPTY": "", "SET": "x"}, "steps": {}}, lambda gap: seen.append(".".join(gap.reference.path))
    )
    template, problems = compile_template(
        {
            "a": "{{env.NONE}}",
            "b": ["<{{env.EMPTY}}>"],
            "c": "{{env.NONE:d}}",
            "d": "{{env.SET}}{{steps.s.x}}",
        }
    )
    assert problems == []
    assert template.render(scope) == {"a": "", "b": ["<>"], "c": "d", "d": "x"}
    assert seen == ["env.NONE", "env.EMPTY", "steps.s.x"]
    with pytest.raises(MissingValue):
        template.render(dict(scope))
