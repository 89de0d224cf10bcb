"""Plain data becomes Structs, or everything that is wrong with it is reported, each with its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from aetherflow.spec.decode import decode
from aetherflow.spec.document import parse_document
from aetherflow.spec.spelling import IS_DURATION


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    called = "a retry"

    attempts: Annotated[int, Meta(ge=1, le=9)] = 1
    seconds: Annotated[float, Meta(gt=0, lt=100, extra=IS_DURATION)] = 1
    jitter: bool = True


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    called = "a job"

    id: Annotated[str, Meta(pattern="^[a-z]+$", max_length=5, description="small letters")]
    steps: Annotated[list[str], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["x"])
    when: str | bool | None = None
    retry: Retry | None = None
    env: dict[str, str] = {}
    mode: Literal["always", "never", "on_success"] = "never"
    any: Any = None
    code: Annotated[str, Meta(pattern="^[0-9]+$")] = "0"


class Top(msgspec.Struct, frozen=True):
    """Struct that keeps no one from adding keys, and that has no name for messages."""

    version: Literal[1]
    jobs: list[Job] = []


def diagnostics(text: str, wanted: Any = Job) -> str:
    value, found = decode(parse_document(text, "f"), wanted)
    assert value is None
    return "\n".join(map(str, found))


def test_what_fits_is_returned_without_findings() -> None:
    text = "id: a\nsteps: [x]\nwhen: true\nretry: {seconds: 5}\nenv: {A: b}\nany: {k: [1]}\n"
    value, found = decode(parse_document(text, "f"), Job)
    assert found == []
    assert value == Job(
        id="a", steps=["x"], when=True, retry=Retry(seconds=5.0), env={"A": "b"}, any={"k": [1]}
    )
    assert value is not None
    assert value.retry is not None
    assert isinstance(value.retry.seconds, float)


def test_a_part_of_the_document_can_be_decoded() -> None:
    document = parse_document(
        "jobs:\n  - {id: a, retry: {attempts: 3}}\n  - {id: b, retry: {attempts: x}}\n", "f"
    )
    assert decode(document, Retry, ("jobs", 0, "retry")) == (Retry(attempts=3), [])
    value, found = decode(document, Retry, ("jobs", 1, "retry"))
    assert value is None
    assert str(found[0]).startswith(
        "f:3:21: error[AF110]: 'attempts': expected a whole number, got the text 'x'"
    )


WRONG: dict[str, tuple[str, str]] = {
    "a misspelled key": (
        "id: a\nstep: [x]\n",
        "f:2:1: error[AF111]: unknown key 'step' in a job\n    hint: did you mean 'steps'?",
    ),
    "an unknown key": (
        "id: a\nzzz: 1\n",
        (
            "f:2:1: error[AF111]: unknown key 'zzz' in a job\n"
            "    hint: known keys: id, steps, when, retry, env, mode, any, code"
        ),
    ),
    "an unknown key below": (
        "id: a\nretry: {attempt: 1}\n",
        "f:2:9: error[AF111]: unknown key 'attempt' in a retry\n    hint: did you mean 'attempts'?",
    ),
    "a key that is near to one that is there": (
        "id: a\nids: b\n",
        (
            "f:2:1: error[AF111]: unknown key 'ids' in a job\n"
            "    hint: known keys: id, steps, when, retry, env, mode, any, code"
        ),
    ),
    "a missing key": (
        "steps: [x]\n",
        "f:1:1: error[AF112]: missing key 'id' in a job\n    hint: add 'id: ...'",
    ),
    "a missing key that is misspelled is reported once": (
        "idd: a\n",
        "f:1:1: error[AF111]: unknown key 'idd' in a job\n    hint: did you mean 'id'?",
    ),
    "nothing for a text": (
        "id:\n",
        (
            "f:1:1: error[AF110]: 'id': expected text, got nothing\n"
            "    hint: write a value after the colon, or remove the key"
        ),
    ),
    "a mapping for a text": (
        "id: {a: b}\n",
        "f:1:1: error[AF115]: 'id': expected text, got a mapping\n    hint: write \"{a: b}\"",
    ),
    "a text for a list": (
        "id: a\nsteps: x\n",
        "f:2:1: error[AF110]: 'steps': expected a list, got the text 'x'\n    hint: write it as a list: [x]",
    ),
    "several words for a list": (
        "id: a\nsteps: mail -s 'on call' ops\n",
        (
            "f:2:1: error[AF110]: 'steps': expected a list, got the text \"mail -s 'on call' ops\"\n"
            '    hint: write it as a list: ["mail", "-s", "on call", "ops"]'
        ),
    ),
    "a mapping for a list": (
        "id: a\nsteps: {x: 1}\n",
        (
            "f:2:1: error[AF110]: 'steps': expected a list, got a mapping\n"
            "    hint: this is a list, also with one item: write '- ' before its first key, '- x: ...'"
        ),
    ),
    "an item of the wrong kind": (
        "id: a\nsteps:\n  - x\n  - Accept: 007\n",
        (
            "f:4:5: error[AF115]: item 2 of 'steps': expected text, got a mapping\n"
            '    hint: write "Accept: 007"'
        ),
    ),
    "a list for a mapping": (
        "id: a\nenv: [x]\n",
        "f:2:1: error[AF110]: 'env': expected a mapping, got a list\n    hint: write 'key: value' lines",
    ),
    "a number for a mapping with known keys": (
        "id: a\nretry: 3\n",
        (
            "f:2:1: error[AF110]: 'retry': expected a mapping, got the number 3\n"
            "    hint: known keys: attempts, seconds, jitter"
        ),
    ),
    "a text for a number": (
        "id: a\nretry: {attempts: '3'}\n",
        (
            "f:2:9: error[AF110]: 'attempts': expected a whole number, got the text '3'\n"
            "    hint: write the number, without quotes"
        ),
    ),
    "a number with a unit": (
        "id: a\nretry: {attempts: 5m}\n",
        (
            "f:2:9: error[AF110]: 'attempts': expected a whole number, got the text '5m'\n"
            "    hint: write a number such as 300, without a unit"
        ),
    ),
    "a duration of an unknown unit": (
        "id: a\nretry: {seconds: 5min}\n",
        (
            "f:2:9: error[AF116]: 'seconds': '5min' is no duration\n"
            "    hint: write seconds (90), or a number with a unit: 90s, 5m, 2h, 1d, 1h30m"
        ),
    ),
    "a duration out of range": (
        "id: a\nretry: {seconds: 2m}\n",
        (
            "f:2:9: error[AF113]: 'seconds': the number 120.0 is out of range\n"
            "    hint: write a number that is less than 100"
        ),
    ),
    "a template for a number": (
        'id: a\nretry: {seconds: "{{env.S}}"}\n',
        (
            "f:2:9: error[AF116]: 'seconds': '{{env.S}}' is no duration\n"
            "    hint: a template is not resolved here: write the value itself"
        ),
    ),
    "a fraction for a whole number": (
        "id: a\nretry: {attempts: 1.5}\n",
        "f:2:9: error[AF110]: 'attempts': expected a whole number, got the number 1.5",
    ),
    "a truth for a number": (
        "id: a\nretry: {seconds: true}\n",
        "f:2:9: error[AF110]: 'seconds': expected a number, got true",
    ),
    "a word for a truth": (
        "id: a\nretry: {jitter: no}\n",
        (
            "f:2:9: error[AF110]: 'jitter': expected true or false, got the text 'no'\n"
            "    hint: write true or false, without quotes"
        ),
    ),
    "none of two kinds": (
        "id: a\nwhen: [5]\n",
        "f:2:1: error[AF110]: 'when': expected text or true or false, got a list",
    ),
    "a wrong word": (
        "id: a\nmode: on_sucess\n",
        (
            "f:2:1: error[AF113]: 'mode': the text 'on_sucess' is not allowed\n"
            "    hint: did you mean 'on_success'? allowed: always, never, on_success"
        ),
    ),
    "another kind for a word": (
        "id: a\nmode: true\n",
        "f:2:1: error[AF110]: 'mode': expected one of always, never, on_success, got true",
    ),
    "too small": (
        "id: a\nretry: {attempts: 0}\n",
        (
            "f:2:9: error[AF113]: 'attempts': the number 0 is out of range\n"
            "    hint: write a number that is at least 1"
        ),
    ),
    "too large": (
        "id: a\nretry: {attempts: 10}\n",
        (
            "f:2:9: error[AF113]: 'attempts': the number 10 is out of range\n"
            "    hint: write a number that is at most 9"
        ),
    ),
    "not above zero": (
        "id: a\nretry: {seconds: 0}\n",
        (
            "f:2:9: error[AF113]: 'seconds': the number 0 is out of range\n"
            "    hint: write a number that is more than 0"
        ),
    ),
    "infinite": (
        "id: a\nretry: {seconds: .inf}\n",
        (
            "f:2:9: error[AF113]: 'seconds': the number inf is out of range\n"
            "    hint: write a number that is less than 100"
        ),
    ),
    "not a number": (
        "id: a\nretry: {seconds: .nan}\n",
        (
            "f:2:9: error[AF113]: 'seconds': the number nan is out of range\n"
            "    hint: write a number that is more than 0"
        ),
    ),
    "a pattern with a description": (
        "id: A-b\n",
        "f:1:1: error[AF113]: 'id': 'A-b' is not allowed\n    hint: write small letters",
    ),
    "a pattern without a description": (
        "id: a\ncode: x\n",
        "f:2:1: error[AF113]: 'code': 'x' is not allowed\n    hint: write a text that matches ^[0-9]+$",
    ),
    "a text that is too long": (
        "id: abcdefg\n",
        "f:1:1: error[AF113]: 'id': may have at most 5 characters, has 7\n    hint: shorten it",
    ),
    "an empty list": (
        "id: a\nsteps: []\n",
        "f:2:1: error[AF113]: 'steps': needs at least 1 item, has 0\n    hint: add 1 item",
    ),
    "a list at the top": (
        "- id: a\n",
        (
            "f:1:1: error[AF110]: the file: expected a mapping, got a list\n"
            "    hint: known keys: id, steps, when, retry, env, mode, any, code"
        ),
    ),
    "a text of a megabyte where a number is needed": (
        f"id: a\nretry: {{attempts: {'x' * 2**20}}}\n",
        (
            f"f:2:9: error[AF110]: 'attempts': expected a whole number, got the text '{'x' * 57}...'\n"
            "    hint: write a number such as 300, without a unit"
        ),
    ),
    "everything at once, in the order of the file": (
        "steps: []\nretry:\n  jitter: 1\n  attempts: 0\nmode: x\nenv: {A: 1, B: b, C: }\nfoo: 1\n",
        (
            "f:1:1: error[AF112]: missing key 'id' in a job\n    hint: add 'id: ...'\n"
            "f:1:1: error[AF113]: 'steps': needs at least 1 item, has 0\n    hint: add 1 item\n"
            "f:3:3: error[AF110]: 'jitter': expected true or false, got the number 1\n"
            "    hint: write true or false, without quotes\n"
            "f:4:3: error[AF113]: 'attempts': the number 0 is out of range\n"
            "    hint: write a number that is at least 1\n"
            "f:5:1: error[AF113]: 'mode': the text 'x' is not allowed\n"
            "    hint: allowed: always, never, on_success\n"
            "f:6:19: error[AF110]: 'C': expected text, got nothing\n"
            "    hint: write a value after the colon, or remove the key\n"
            "f:7:1: error[AF111]: unknown key 'foo' in a job\n"
            "    hint: known keys: id, steps, when, retry, env, mode, any, code"
        ),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_reported_in_words_with_its_place(case: str) -> None:
    text, expected = WRONG[case]
    assert diagnostics(text) == expected


def test_one_allowed_value_is_named_in_message_and_hint() -> None:
    assert diagnostics("version: 2\n", Top) == (
        "f:1:1: error[AF113]: 'version': expected 1, got the number 2\n    hint: write 1"
    )
    assert diagnostics("version: '1'\n", Top) == (
        "f:1:1: error[AF110]: 'version': expected 1, got the text '1'\n"
        "    hint: write the number, without quotes"
    )
    assert diagnostics("jobs: []\n", Top) == (
        "f:1:1: error[AF112]: missing key 'version' in this mapping\n    hint: add 'version: 1'"
    )


def test_a_struct_that_allows_other_keys_is_not_asked_about_them() -> None:
    assert diagnostics("version: 1\nfoo: 1\njobs: [{id: 1}]\n", Top) == (
        "f:3:9: error[AF113]: 'id': '1' is not allowed\n    hint: write small letters"
    )


def test_a_wrong_value_behind_an_alias_is_reported_where_it_is_written() -> None:
    text = "version: 1\njobs:\n  - {id: a, retry: &r {attempts: 0}}\n  - {id: b, retry: *r}\n"
    _, found = decode(parse_document(text, "f"), Top)
    assert [(d.line, d.column) for d in found] == [(3, 24), (3, 24)]


def test_a_type_that_has_no_words_here_is_reported_in_those_of_msgspec() -> None:
    class Odd(msgspec.Struct):
        pair: tuple[int, int]

    assert diagnostics("pair: [1, x]\n", Odd) == "f:1:11: error[AF110]: Expected `int`, got `str`"


def test_a_slip_in_each_of_very_many_jobs_is_reported_for_each() -> None:
    text = "version: 1\njobs:\n" + "".join("  - {id: a, mod: never}\n" for _ in range(2000))
    _, found = decode(parse_document(text, "f"), Top)
    assert [d.line for d in found] == list(range(3, 2003))
    assert {d.hint for d in found} == {"did you mean 'mode'?"}
