"""Numbers that JSON does not have never become null: they are an error with a path."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.json_values import plain_json


class Row(msgspec.Struct):
    """A row of a step."""

    mean: float
    note: str | None = None


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"x": math.nan}, "the output x is nan, which JSON does not have"),
        ({"a": [1, {"b": math.inf}]}, "the output a.1.b is inf, which JSON does not have"),
        ({"a": (None, -math.inf)}, "the output a.1 is -inf, which JSON does not have"),
        ({"rows": [Row(1.0), Row(math.nan)]}, "the output rows.1.mean is nan, which JSON does not have"),
    ],
)
def test_a_number_that_json_does_not_have_is_an_error(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(StepError) as caught:
        plain_json(outputs)
    assert (caught.value.code, caught.value.message) == ("AF717", message)


@pytest.mark.parametrize(
    ("outputs", "plain"),
    [
        ({"x": None, "y": 1e308}, {"x": None, "y": 1e308}),
        ({"x": "null", "n": Decimal("NaN")}, {"x": "null", "n": "NaN"}),
        ({"rows": [Row(1.5)]}, {"rows": [{"mean": 1.5, "note": None}]}),
        ({"i": 2**200}, {"i": 2**200}),
    ],
)
def test_other_values_are_as_before(outputs: dict[str, Any], plain: dict[str, Any]) -> None:
    assert plain_json(outputs) == plain
