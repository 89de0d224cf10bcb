"""Template files for steps: the rules of flows, and messages with the line of the file."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow import AetherFlowError, render_template


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("{{a}} of {{b.c}}", {"a": 1, "b": {"c": "x"}}, "1 of x"),
        ("{{a}}", {"a": [1, {"b": True}]}, '[1,{"b":true}]'),
        ("{{a}}", {"a": 7}, "7"),
        ("{{a:none}}, {{ b : - }}", {}, "none, -"),
        ("{{a}}", {"a": "{{b}}", "b": 1}, "{{b}}"),
        ("{{day - 1d | format: %d.%m.%Y}}", {"day": "2026-03-01"}, "28.02.2026"),
        ("p { color: red } {{`{{x}}`}}", {}, "p { color: red } {{x}}"),
        ("plain\n", {}, "plain\n"),
    ],
)
def test_a_text_is_rendered_by_the_rules_of_flows(text: str, values: dict[str, Any], rendered: str) -> None:
    assert render_template(text, values, file="mail.txt") == rendered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n  {{b}}", r"^mail\.txt:3:5: \{\{b\}\} has no value: 'b' is not known here, only a"),
        ("x {{a.b", r"^mail\.txt:1:3: Unsupported templating syntax"),
        ("{{a - 1d}}", r"^mail\.txt: .*\{\{a - 1d\}\}"),
    ],
)
def test_a_mistake_is_reported_with_its_place_and_never_retried(text: str, message: str) -> None:
    with pytest.raises(AetherFlowError, match=message) as caught:
        render_template(text, {"a": "no date"}, file="mail.txt")

    assert caught.value.info().is_final
