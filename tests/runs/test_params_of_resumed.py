"""The parameters of a resumed run: what it started with, and what must be given again."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.config.params import read_params
from aetherflow.engine.state import RunState
from aetherflow.errors import UsageError
from aetherflow.redaction import Redactor
from aetherflow.runs.stored_params import params_of_resumed
from aetherflow.spec.flow import ParamSpec

SPECS = {
    "day": ParamSpec(type="date", required=True),
    "rows": ParamSpec(type="int", default=3),
    "doc": ParamSpec(type="json", required=False),
    "api_token": ParamSpec(required=False),
    "api_key": ParamSpec(default="none_needed"),
}


def resumed(
    stored: dict[str, Any], given: dict[str, Any] | None = None, secrets: tuple[str, ...] = ()
) -> tuple[dict[str, Any], list[str]]:
    state = RunState(run_id="r", params=stored, secrets=list(secrets))
    given = given or {}
    read = read_params(SPECS, given, require=False)
    return params_of_resumed(SPECS, state, read, given, Redactor())


def test_what_the_run_began_with_holds_and_a_default_fills_what_it_did_not_have() -> None:
    params, kept = resumed({"day": "2026-01-31", "gone": 1})
    filled = {"rows": 3, "doc": None, "api_token": None, "api_key": "none_needed"}
    assert params == {"day": "2026-01-31", **filled}
    assert kept == []


def test_another_value_is_not_taken_and_is_named_the_same_one_is_not() -> None:
    params, kept = resumed({"day": "2026-01-31", "rows": 5}, {"day": "2026-02-01", "rows": "5"})
    assert (params["day"], params["rows"], kept) == ("2026-01-31", 5, ["day"])


def test_a_json_text_is_not_read_a_second_time() -> None:
    assert resumed({"day": "2026-01-31", "doc": "[1]"})[0]["doc"] == "[1]"


@pytest.mark.parametrize("stored", ["***", "db://u:***@host", {"a": ["x", "***"]}])
def test_what_is_stored_with_a_mask_in_it_must_be_given_again(stored: Any) -> None:
    with pytest.raises(UsageError) as caught:
        resumed({"day": "2026-01-31", "doc": stored})
    assert caught.value.code == "AF561"
    assert "'doc' of run r is secret" in caught.value.message


def test_a_secret_that_is_given_again_reaches_the_run() -> None:
    params, kept = resumed({"day": "2026-01-31", "api_token": "***"}, {"api_token": "canary-1"})
    assert (params["api_token"], kept) == ("canary-1", [])
    url = {"doc": {"url": "db://u:canary-2@host"}}
    assert resumed({"day": "2026-01-31", "doc": {"url": "db://u:***@host"}}, url)[0]["doc"] == url["doc"]


def test_a_default_does_not_take_the_place_of_a_secret_that_was_given() -> None:
    stored = {"day": "2026-01-31", "api_key": "***"}
    assert resumed(stored)[0]["api_key"] == "none_needed"  # it began with the default
    with pytest.raises(UsageError, match="'api_key' of run r is secret, hence not stored"):
        resumed(stored, secrets=("api_key",))
    assert resumed(stored, {"api_key": "canary-1"}, ("api_key",))[0]["api_key"] == "canary-1"


def test_what_was_left_out_and_is_required_now_can_be_given() -> None:
    with pytest.raises(UsageError, match="the parameter 'day' is required"):
        resumed({"day": None})
    assert resumed({"day": None}, {"day": "2026-02-01"})[0]["day"] == "2026-02-01"


@pytest.mark.parametrize(
    ("given", "reported"), [({"dya": "x"}, "did you mean 'day'"), ({"rows": "x"}, "whole number")]
)
def test_unknown_and_unfit_parameters_are_refused(given: dict[str, Any], reported: str) -> None:
    with pytest.raises(UsageError, match=reported):
        resumed({"day": "2026-01-31"}, given)


def test_what_the_run_began_with_is_read_as_the_type_that_is_declared_now() -> None:
    assert resumed({"day": "2026-01-31", "rows": "7"})[0]["rows"] == 7
    with pytest.raises(UsageError) as caught:
        resumed({"day": "2026-01-31", "rows": "many"})
    reported = (
        "the parameter 'rows' of run r was 'many' when it started, and must now be a whole number, not 'many'"
    )
    assert (caught.value.code, caught.value.message) == ("AF560", reported)


def test_a_narrower_enum_does_not_stop_a_run_that_began_before_it() -> None:
    specs = {"day": SPECS["day"], "rows": ParamSpec(type="int", enum=[1, 2])}
    state = RunState(run_id="r", params={"day": "2026-01-31", "rows": 3})
    read = read_params(specs, {}, require=False)
    assert params_of_resumed(specs, state, read, {}, Redactor())[0]["rows"] == 3
