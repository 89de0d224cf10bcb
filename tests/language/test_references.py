"""Looking up paths, and what is said when nothing is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.language.reference import MissingValue, NoValue, look_up, reader
from aetherflow.language.template import compile_template
from aetherflow.spec.suggest import did_you_mean

SCOPE: dict[str, Any] = {
    "env": {"HOME": "/home/ops", "DB_PASSWORD": "hunter2-hunter2", "EMPTY": ""},
    "params": {"day": "2026-01-01", "nothing": None, "none_in_it": {}},
    "jobs": {
        "probe": {
            "status": "SUCCESS",
            "outputs": {
                "count": 3,
                "has_data": True,
                "files": [{"path": "a.csv"}, {"path": "b.csv"}],
                "bare": [],
            },
        },
        "a": {"status": "FAILED", "outputs": {}},
        "a.b": {"status": "SUCCESS", "outputs": {"x.y": 1, "x": {"z": 2}}},
        "load-2": {"status": "SKIPPED", "outputs": {"0": "zero"}},
    },
    "run_id": "0123456789ab",
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("run_id", "0123456789ab"),
        ("params.day", "2026-01-01"),
        ("jobs.probe.outputs.count", 3),
        ("jobs.probe.outputs.files.1.path", "b.csv"),
        ("jobs.probe.outputs.files.0", {"path": "a.csv"}),
        ("jobs.load-2.status", "SKIPPED"),
        ("jobs.load-2.outputs.0", "zero"),
        ("jobs.a.status", "FAILED"),
        ("jobs.a.b.status", "SUCCESS"),
        ("jobs.a.b.outputs.x.y", 1),
        ("jobs.a.b.outputs.x.z", 2),
        ("params.nothing", None),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: object) -> None:
    assert look_up(SCOPE, tuple(path.split("."))) == value


def test_the_longest_key_that_exists_wins_over_a_shorter_one_with_the_same_rest() -> None:
    scope = {"jobs": {"a": {"b": {"status": "inner"}}, "a.b": {"status": "outer"}}}
    assert look_up(scope, ("jobs", "a", "b", "status")) == "outer"


def test_a_root_is_never_joined_with_what_follows() -> None:
    with pytest.raises(NoValue):
        look_up({"env.HOME": "joined"}, ("env", "HOME"))


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("nowhere", 0),
        ("env.NOWHERE", 1),
        ("jobs.probe.outputs.cnt", 3),
        ("jobs.probe.outputs.count.digits", 4),
        ("jobs.probe.outputs.files.2", 4),
        ("jobs.probe.outputs.files.first", 4),
        ("jobs.probe.outputs.files.-1", 4),
        ("jobs.probe.outputs.files." + "9" * 5000, 4),
        ("jobs.probe.outputs.files.\N{SUPERSCRIPT TWO}", 4),
        ("jobs.probe.outputs.files.\N{ARABIC-INDIC DIGIT ONE}", 4),
        ("params.nothing.more", 2),
        ("run_id.0", 1),
    ],
)
def test_a_path_that_leads_nowhere_signals_how_far_it_went(path: str, reached: int) -> None:
    with pytest.raises(NoValue) as caught:
        look_up(SCOPE, tuple(path.split(".")))
    assert caught.value.reached == reached


class Squares(Mapping[str, Any]):
    """A view as the engine has them: a mapping that is no dict."""

    def __getitem__(self, key: str) -> Any:
        if not key.isdecimal():
            raise KeyError(key)
        return int(key) ** 2

    def __iter__(self) -> Iterator[str]:
        return iter(("1", "2"))

    def __len__(self) -> int:
        return 2


def test_any_mapping_and_any_tuple_can_be_read() -> None:
    scope = MappingProxyType({"s": Squares(), "t": ("a", "b")})
    assert look_up(scope, ("s", "12")) == 144
    assert look_up(scope, ("t", "1")) == "b"
    with pytest.raises(NoValue):
        look_up(scope, ("s", "x"))


def test_a_text_is_not_read_by_number_and_no_attribute_is_ever_read() -> None:
    for path in (("run_id", "0"), ("run_id", "upper"), ("jobs", "__class__"), ("jobs", "probe", "keys")):
        with pytest.raises(NoValue):
            look_up(SCOPE, path)


@given(st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=6), st.integers())
def test_what_is_stored_under_a_path_is_found_there(path: list[str], value: int) -> None:
    scope: Any = value
    for part in reversed(path):
        scope = {part: scope}
    assert reader(tuple(path))(scope) == value


def error_of(text: str, scope: Mapping[str, Any] = SCOPE) -> MissingValue:
    template, problems = compile_template(text)
    assert problems == []
    with pytest.raises(MissingValue) as caught:
        template.render(scope)
    return caught.value


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            "jobs.probe.outputs.cnt",
            "jobs.probe.outputs has count, has_data, files, bare; did you mean 'count'?",
        ),
        ("jobs.prob.outputs.count", "jobs has probe, a, a.b, load-2; did you mean 'probe'?"),
        ("jobs.a.outputs.x", "jobs.a.outputs is empty"),
        ("jobs.probe.outputs.files.2", "jobs.probe.outputs.files is a list of 2, numbered from 0"),
        ("jobs.probe.outputs.bare.0", "jobs.probe.outputs.bare is an empty list"),
        ("jobs.probe.outputs.count.x", "jobs.probe.outputs.count is a number and has no parts"),
        ("jobs.probe.outputs.has_data.x", "jobs.probe.outputs.has_data is a truth value and has no parts"),
        ("params.nothing", "it is null"),
        ("params.nothing.x", "params.nothing is null and has no parts"),
        ("params.day.x", "params.day is a text and has no parts"),
        ("env.EMPTY", "it is an empty text"),
        ("env.HOEM", "no environment variable 'HOEM' is set; did you mean 'HOME'?"),
        ("env.QQQ", "no environment variable 'QQQ' is set"),
        ("runid", "'runid' is not known here, only env, params, jobs, run_id; did you mean 'run_id'?"),
    ],
)
def test_a_missing_value_is_reported_with_what_is_there(path: str, reason: str) -> None:
    error = error_of(f"{{{{{path}}}}}")
    assert error.code == "AF410"
    assert error.message == f"{{{{{path}}}}} has no value: {reason}"
    assert error.hint.endswith(f"give a default: {{{{{path}:DEFAULT}}}}")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("env.QQQ", "set the variable before the run, or give a default: {{env.QQQ:DEFAULT}}"),
        ("env.API_TOKEN", "set the variable before the run"),
        ("params.nothing", "give a default: {{params.nothing:DEFAULT}}"),
        ("jobs.prob.x", "correct the path, or give a default: {{jobs.prob.x:DEFAULT}}"),
    ],
)
def test_a_variable_is_to_be_set_and_a_secret_gets_no_default(path: str, hint: str) -> None:
    assert error_of(f"{{{{{path}}}}}").hint == hint


def test_the_error_carries_the_reference_and_is_data_too() -> None:
    error = error_of("x{{ jobs.nope }}")
    assert error.reference.path == ("jobs", "nope")
    assert error.reference.offset == 4
    assert error.info().code == "AF410"


def test_nothing_is_known_in_an_empty_scope() -> None:
    assert error_of("{{x}}", {}).message == "{{x}} has no value: nothing is known here"


def test_no_value_and_no_list_of_the_environment_is_reported() -> None:
    for text in ("{{env.DB_PASSWORT}}", "{{env.DB_PASSWORD.x}}", "{{env.ZZZ}}"):
        message = error_of(text).message
        assert "hunter2" not in message
        assert "/home/ops" not in message
        assert "EMPTY" not in message


def test_a_long_list_of_names_is_cut() -> None:
    scope = {"params": {f"p{n}": n for n in range(100)}}
    message = error_of("{{params.wrong}}", scope).message
    assert "p0, p1, " in message
    assert "p19 and 80 more" in message
    assert "p20" not in message


def test_the_nearest_name_is_suggested_only_when_it_is_near() -> None:
    assert did_you_mean("cuont", ["count", "files"]) == "did you mean 'count'?"
    assert did_you_mean("zzz", ["count", "files"]) == ""
    assert did_you_mean("x", []) == ""
