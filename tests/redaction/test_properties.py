"""Properties of masking: no spelling of a secret is left, masking again changes nothing, all else stays."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from aetherflow.redaction import MASK, SHORTEST, Redactor
from aetherflow.redaction.spellings import spellings
from tests.sizes import examples

WORD = st.text("abcXYZ0189+/=-_ \"'\\\n;&?:é", min_size=SHORTEST, max_size=30).filter(
    lambda text: bool(text.strip())
)
TEXT = st.text("abcd 0123=:/?&\n\"'-", max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@examples(90)
@given(WORD, TEXT, TEXT, st.integers(0, 99))
def test_no_spelling_of_a_secret_survives(secret: str, before: str, after: str, number: int) -> None:
    redactor = Redactor([secret])
    found = sorted(spelling for spelling in spellings(secret) if len(spelling) >= SHORTEST)
    spelling = found[number % len(found)]
    text = f"{before}{spelling}{after}"
    assert spelling not in redactor.text(text).replace(MASK, "\0")
    assert spelling.encode() not in redactor.bytes(text.encode()).replace(MASK.encode(), b"\0")
    value = redactor.value({"list": [{text: text}], "raw": text.encode()})
    assert spelling not in str(value["list"]).replace(MASK, "\0")
    assert spelling.encode() not in value["raw"].replace(MASK.encode(), b"\0")


@examples(90)
@given(st.lists(WORD, max_size=3), TEXT, JSON)
def test_masking_again_changes_nothing(secrets: list[str], text: str, tree: Any) -> None:
    redactor = Redactor(secrets)
    shown = redactor.text(" ".join([text, *secrets, text]))
    assert redactor.text(shown) == shown
    assert redactor.bytes(redactor.bytes(text.encode())) == redactor.bytes(text.encode())
    masked = redactor.value(tree)
    assert redactor.value(masked) == masked


@examples(90)
@given(st.text(), JSON)
def test_what_holds_no_secret_stays_as_it_is(text: str, tree: Any) -> None:
    redactor = Redactor(["canary-that-nobody-says"])
    plain = text.replace("=", "").replace(":", "")
    assume("bearer" not in plain.lower())
    assert redactor.text(plain) == plain
    assert redactor.bytes(plain.encode("utf-8", "surrogatepass")) == plain.encode("utf-8", "surrogatepass")
    assert redactor.value(tree) == tree


@examples(60)
@given(st.integers(10**5, 10**18), JSON)
def test_a_secret_number_is_in_no_json_that_is_stored(number: int, tree: Any) -> None:
    redactor = Redactor()
    redactor.add_named({"card_pin": number})
    stored = json.dumps(redactor.value({"a": [tree, number, float(number), {str(number): f"is {number}"}]}))
    assert str(number) not in stored
