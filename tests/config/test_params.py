"""Run parameters: what is given, what is declared, and every way in which the two do not fit."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.config.param_values import convert
from aetherflow.config.params import ParamsError, read_params, require_params
from aetherflow.errors import UsageError
from aetherflow.spec.flow import ParamSpec, ParamType


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "text", "text"),
        ("string", "", ""),
        ("string", 5, "5"),
        ("string", 1.5, "1.5"),
        ("string", True, "true"),
        ("string", {"a": [1]}, '{"a":[1]}'),
        ("int", "42", 42),
        ("int", "-7", -7),
        ("int", 42, 42),
        ("float", "1.5", 1.5),
        ("float", "1e3", 1000.0),
        ("float", 2, 2.0),
        ("float", "0x1F", 31.0),
        ("int", "0x1F", 31),
        ("int", "+5", 5),
        ("json", "007", 7),
        ("json", "True", True),
        ("bool", "true", True),
        ("bool", "Yes", True),
        ("bool", "1", True),
        ("bool", "FALSE", False),
        ("bool", "no", False),
        ("bool", 0, False),
        ("bool", True, True),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "20260131", "2026-01-31"),
        ("date", date(2026, 1, 31), "2026-01-31"),
        ("datetime", "2026-01-31T22:00:00+01:00", "2026-01-31T22:00:00+01:00"),
        ("datetime", "2026-01-31 22:00", "2026-01-31T22:00:00"),
        ("datetime", "2026-01-31T22:00:00Z", "2026-01-31T22:00:00+00:00"),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", "[]", []),
        ("json", [1, 2], [1, 2]),
        ("enum", "anything", "anything"),
    ],
)
def test_a_value_becomes_the_declared_type(kind: ParamType, value: object, expected: object) -> None:
    converted = convert(ParamSpec(type=kind), value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "needed"),
    [
        ("int", "4.5", "a whole number, not '4.5'"),
        ("int", "", "a whole number, not ''"),
        ("int", True, "a whole number, not True"),
        ("int", 4.0, "a whole number, not 4.0"),
        ("float", "much", "a number, not 'much'"),
        ("float", "nan", "a number, not 'nan'"),
        ("float", "1e999", "a number, not '1e999'"),
        ("float", float("-inf"), "a number, not -inf"),
        ("float", False, "a number, not False"),
        ("bool", "maybe", "true or false, not 'maybe'"),
        ("bool", 2, "true or false, not 2"),
        ("date", "31.01.2026", "a date such as 2026-01-31, or today-1d, not '31.01.2026'"),
        ("date", "2026-02-30", "a date such as 2026-01-31, or today-1d, not '2026-02-30'"),
        ("datetime", "noon", "a time such as 2026-01-31T22:00:00+01:00, not 'noon'"),
        ("json", "{a: 1}", "JSON (JSON is malformed: object keys must be strings (byte 1))"),
    ],
)
def test_a_value_that_does_not_fit_says_what_is_needed(kind: ParamType, value: object, needed: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_params({"p": ParamSpec(type=kind)}, {"p": value})
    assert caught.value.message == f"the parameter 'p' must be {needed}"
    assert (caught.value.code, caught.value.exit_code) == ("AF560", 2)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        (ParamSpec(type="enum", enum=["full", "delta"]), "delta", "delta"),
        (ParamSpec(type="enum", enum=[1, 2, 3]), "2", 2),
        (ParamSpec(type="enum", enum=[1, 2, 3]), 2, 2),
        (ParamSpec(type="enum", enum=[True, False]), "true", True),
        (ParamSpec(type="string", enum=[1, 2]), "1", "1"),
        (ParamSpec(type="int", enum=[10, 20]), "10", 10),
        (ParamSpec(type="int", enum=["0x10", "007"]), "7", 7),
        (ParamSpec(type="enum", enum=["1.10", "1.20"]), "1.10", "1.10"),
        (ParamSpec(type="date", enum=["2026-01-31"]), "20260131", "2026-01-31"),
    ],
)
def test_one_of_the_listed_values_may_be_given_as_text(
    spec: ParamSpec, value: object, expected: object
) -> None:
    converted = convert(spec, value)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("spec", "value", "needed"),
    [
        (ParamSpec(type="enum", enum=["full", "delta"]), "half", "one of full, delta, not 'half'"),
        (ParamSpec(type="enum", enum=[1, True]), "2", "one of 1, true, not '2'"),
        (ParamSpec(type="int", enum=[10, 20]), "15", "one of 10, 20, not '15'"),
    ],
)
def test_a_value_that_is_not_listed_is_refused_with_the_list(
    spec: ParamSpec, value: object, needed: str
) -> None:
    with pytest.raises(ValueError, match="one of") as caught:
        convert(spec, value)
    assert str(caught.value) == needed


DAY = ParamSpec(type="date", default="2026-01-01")


@pytest.mark.parametrize(
    ("spec", "given_params", "expected"),
    [
        (DAY, {"p": "20260202"}, "2026-02-02"),
        (DAY, {}, "2026-01-01"),
        (DAY, {"p": None}, "2026-01-01"),
        (ParamSpec(required=False), {}, None),
        (ParamSpec(required=False), {"p": None}, None),
        (ParamSpec(default=None), {}, None),
        (ParamSpec(type="enum", enum=["a"], default=None), {"p": None}, None),
        (ParamSpec(type="int", default="5"), {}, 5),
        (ParamSpec(type="int", default=0), {}, 0),
        (ParamSpec(type="bool", default=False, required=True), {}, False),
        (ParamSpec(required=True), {"p": ""}, ""),
    ],
)
def test_a_parameter_is_what_was_given_else_its_default_else_null(
    spec: ParamSpec, given_params: dict[str, Any], expected: object
) -> None:
    assert read_params({"p": spec}, given_params) == {"p": expected}


@pytest.mark.parametrize("given_params", [{}, {"p": None}])
@pytest.mark.parametrize(
    ("spec", "about", "option"),
    [
        (ParamSpec(type="int", required=True), "int", "p=1"),
        (ParamSpec(type="int", required=True, default=None), "int", "p=1"),
        (ParamSpec(type="int"), "int", "p=1"),
        (ParamSpec(type="int", min=20), "int", "p=20"),
        (ParamSpec(type="date", description="The day."), "date", "p=today"),
        (ParamSpec(type="enum", enum=["two words", "b"]), "enum, one of two words, b", "p='two words'"),
        (ParamSpec(), "string", "p=VALUE"),
        (ParamSpec(type="list"), "list", "p=a,b"),
        (ParamSpec(type="json"), "json", "p='{}'"),
    ],
)
def test_a_required_parameter_without_a_value_is_reported_with_how_to_give_it(
    given_params: dict[str, Any], spec: ParamSpec, about: str, option: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        read_params({"p": spec}, given_params)
    described = f": {spec.description}" if spec.description else ""
    assert caught.value.message == f"the parameter 'p' is required ({about}){described}"
    assert caught.value.hint == f"add to the command: --param {option}"
    assert caught.value.exit_code == 2
    assert read_params({"p": spec}, given_params, require=False) == {"p": None}


def test_all_missing_parameters_are_named_with_one_text_to_add() -> None:
    specs = {
        "day": ParamSpec(type="date"),
        "api_token": ParamSpec(enum=["hidden"]),
        "mode": ParamSpec(default="a"),
    }
    with pytest.raises(ParamsError) as caught:
        read_params(specs, {})
    assert caught.value.hint == "add to the command: --param day=today --param api_token=VALUE"
    with pytest.raises(ParamsError) as again:
        require_params(specs, {"day": None, "api_token": None, "mode": "a"})
    assert (again.value.message, again.value.hint) == (caught.value.message, caught.value.hint)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (["day", "mode"], "the flow has no parameter 'dya': did you mean 'day'?"),
        (["x", "y"], "the flow has no parameter 'dya': it has x, y"),
        ([], "the flow has no parameter 'dya': it declares none"),
    ],
)
def test_an_unknown_parameter_is_refused_with_what_there_is(declared: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_params({name: ParamSpec(required=False) for name in declared}, {"dya": 1})
    assert caught.value.message == said


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    specs = {
        "n": ParamSpec(type="int"),
        "day": ParamSpec(type="date", required=True),
        "d": ParamSpec(default=1),
    }
    with pytest.raises(UsageError) as caught:
        read_params(specs, {"n": "x", "zzz": 1})
    assert caught.value.message.split("; ") == [
        "the flow has no parameter 'zzz': it has n, day, d",
        "the parameter 'n' must be a whole number, not 'x'",
        "the parameter 'day' is required (date)",
    ]


def test_a_default_that_does_not_fit_is_refused_too() -> None:
    with pytest.raises(UsageError, match="the parameter 'p' must be a whole number, not 'many'"):
        read_params({"p": ParamSpec(type="int", default="many")}, {})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(kind=st.sampled_from(get_args(ParamType)), value=json_values)
def test_what_is_accepted_is_the_same_after_it_was_stored_and_when_it_is_read_again(
    kind: ParamType, value: object
) -> None:
    specs = {"p": ParamSpec(type=kind, required=False)}
    try:
        values = read_params(specs, {"p": value})
    except UsageError as error:
        assert error.message.startswith("the parameter 'p' must be ")  # noqa: PT017 - refusing is fine, how is checked
        return
    assert msgspec.json.decode(msgspec.json.encode(values)) == values
    if kind not in ("string", "json", "enum"):
        assert read_params(specs, values) == values


@pytest.mark.parametrize(
    ("kind", "value"), [("string", "a\udcffb"), ("json", {"k": ["\udcff"]}), ("enum", "\udcff")]
)
def test_what_is_no_text_in_utf_8_is_refused_for_it_would_come_back_as_another(
    kind: ParamType, value: object
) -> None:
    with pytest.raises(UsageError, match="the parameter 'p' must be text in UTF-8, not") as caught:
        read_params({"p": ParamSpec(type=kind)}, {"p": value})
    assert caught.value.message.isascii()


def test_a_value_under_the_name_of_a_secret_is_not_shown() -> None:
    specs = {
        "api_token": ParamSpec(type="int"),
        "db_password": ParamSpec(type="json"),
        "day": ParamSpec(type="int"),
    }
    with pytest.raises(UsageError) as raised:
        read_params(specs, {"api_token": "canary-1", "db_password": "{canary-2", "day": "shown"})
    assert "canary" not in raised.value.message
    assert "'api_token' must be a whole number; " in raised.value.message
    assert "'day' must be a whole number, not 'shown'" in raised.value.message
