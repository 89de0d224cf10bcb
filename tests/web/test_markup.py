"""Text stays text, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aetherflow.web.markup import Markup, joined, plain, tag, text
from tests.web.page_reader import PageReader


@settings(max_examples=60)
@given(st.text(st.characters(codec=None, exclude_characters="\n\t")))
def test_a_text_is_read_back_as_it_was_with_what_cannot_be_seen_as_escapes(value: str) -> None:
    read = PageReader(tag("p", value, title=value))

    assert read.text("p") == plain(value)
    assert read.elements == ["p"]
    assert read.wrong == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#x27;"),
        ("\x00\x1b[1m", r"\x00\x1b[1m"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("z\u200bw\ufeff", r"z\u200bw\ufeff"),
        ("\udcff", r"\udcff"),
        ("line\n\tnext", "line\n\tnext"),
        ("é…漢", "é…漢"),
    ],
)
def test_a_text_is_escaped(value: str, shown: str) -> None:
    assert text(value) == shown


def test_markup_is_not_escaped_again() -> None:
    assert tag("p", tag("b", "<"), "&") == "<p><b>&lt;</b>&amp;</p>"
    assert joined(("<", Markup("<br/>"))) == "&lt;<br/>"


def test_attributes_are_named_as_in_html_and_left_out_if_they_do_not_apply() -> None:
    shown = tag("rect", class_="a b", data_level="x", hidden=True, open=False, title=None, x=0.5, name="n")

    assert shown == '<rect class="a b" data-level="x" hidden x="0.5" name="n"/>'
