"""What programs write, and what the step reads of it: named values, lines, JSON."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.steps.named_values import Parse, Source, object_or_named_values, parsed


def source(text: str) -> Source:
    return Source(text, "$AETHERFLOW_OUTPUT", "AF714", lambda shown: shown.replace("hunter2", "***"))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("\n  \n", {}),
        ("count=3\n", {"count": "3"}),
        ("count=3", {"count": "3"}),
        ("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}),
        ("a=", {"a": ""}),
        ("a= b ", {"a": " b "}),
        ("url=https://x/?a=b<<c", {"url": "https://x/?a=b<<c"}),
        ("a=1\na=2\n", {"a": "2"}),
        ("text<<END\none\n\ntwo=2\nEND\nb=3\n", {"text": "one\n\ntwo=2", "b": "3"}),
        ("text<<EOF=1\nx\nEOF=1\n", {"text": "x"}),
        ("empty<<END\nEND\n", {"empty": ""}),
        ("größe=5\nwith-dash=6\n_x=7", {"größe": "5", "with-dash": "6", "_x": "7"}),
        ('{"files": ["a", "b"], "n": 1.5, "none": null}', {"files": ["a", "b"], "n": 1.5, "none": None}),
        ('\n  {"a": {"b": 1}}\n', {"a": {"b": 1}}),
        ("{}", {}),
        ('list=["a"]', {"list": '["a"]'}),
    ],
)
def test_what_a_program_writes_to_its_output_file(text: str, values: dict[str, Any]) -> None:
    assert object_or_named_values(source(text)) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=1\nno sign\n", "$AETHERFLOW_OUTPUT, line 2: 'no sign': it has no ="),
        ("a =1", "$AETHERFLOW_OUTPUT, line 1: 'a =1': 'a ' is no name"),
        ("=1", "$AETHERFLOW_OUTPUT, line 1: '=1': '' is no name"),
        ("1st=1", "$AETHERFLOW_OUTPUT, line 1: '1st=1': '1st' is no name"),
        ("a.b=1", "$AETHERFLOW_OUTPUT, line 1: 'a.b=1': 'a.b' is no name"),
        ("\n\nexport a=1", "$AETHERFLOW_OUTPUT, line 3: 'export a=1': 'export a' is no name"),
        ("a<<\nx", "$AETHERFLOW_OUTPUT, line 1: 'a<<': no word ends the block"),
        ("b=1\na<<END\nx\nEND \n", "$AETHERFLOW_OUTPUT, line 2: 'a<<END': no line 'END' ends the block"),
        ("login hunter2", "$AETHERFLOW_OUTPUT, line 1: 'login ***': it has no ="),
        ("x" * 500, f"$AETHERFLOW_OUTPUT, line 1: '{'x' * 57}...': it has no ="),
        (
            '{"a": 1,\n "b": }',
            "$AETHERFLOW_OUTPUT, line 2: ' \"b\": }': it is no JSON: Expecting value at column 7",
        ),
        ('{"a": 1,\n "b c": 2}', "$AETHERFLOW_OUTPUT, line 2: 'b c': it is no name"),
        ('{"a": 1,\n "b": NaN}', "$AETHERFLOW_OUTPUT, line 2: NaN is no JSON"),
        ('{"a": -Infinity}', "$AETHERFLOW_OUTPUT, line 1: -Infinity is no JSON"),
        ("{a: 1}", "$AETHERFLOW_OUTPUT, line 1: '{a: 1}': it is no JSON: "),
        (
            '{"a": 1} b=2',
            "$AETHERFLOW_OUTPUT, line 1: '{\"a\": 1} b=2': it is no JSON: Extra data at column 10",
        ),
        ('{"a": ' * 100_000, "$AETHERFLOW_OUTPUT, line 1: its JSON cannot be read: "),
    ],
)
def test_a_line_that_says_nothing_is_named(text: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        object_or_named_values(source(text))
    assert caught.value.code == "AF714"
    assert caught.value.message.startswith(message)
    assert "hunter2" not in caught.value.message


def test_many_blocks_are_read_in_time_that_grows_with_their_number() -> None:
    assert object_or_named_values(source("a<<E\nx\nE\n" * 100_000)) == {"a": "x"}


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        ("lines", "", []),
        ("lines", "a.csv\nb c.csv\n\n \nd", ["a.csv", "b c.csv", "d"]),
        ("lines", "a\r\n b\r\n", ["a", " b"]),
        ("lines", "a\x0bb\u2028c", ["a\x0bb\u2028c"]),
        ("json", "[1, null]", [1, None]),
        ("json", "3", 3),
        ("json", '"text"', "text"),
        ("kv", "a=1\nb=2", {"a": "1", "b": "2"}),
        ("kv", "", {}),
    ],
)
def test_what_parse_makes_of_a_text(parse: Parse, text: str, value: Any) -> None:
    assert parsed(source(text), parse) == value


@pytest.mark.parametrize("text", ["", " \n", "[1, 2", "[1] [2]", "[NaN]"])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(StepError):
        parsed(source(text), "json")
