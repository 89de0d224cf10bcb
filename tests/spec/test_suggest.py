"""The words of diagnostics: suggestions and values in short."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.spec.suggest import nearest, quoted, shortened, shown

JOB = ("id", "steps", "description", "depends_on", "when", "for_each", "timeout_seconds", "retry")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("depend_on", "depends_on"),
        ("dependsOn", "depends_on"),
        ("depends-on", "depends_on"),
        ("Steps", "steps"),
        ("timeout", "timeout_seconds"),
        ("foreach", "for_each"),
        ("needs", "depends_on"),
        ("if", "when"),
        ("name", "id"),
        ("with", ""),
        ("zzz", ""),
        ("", ""),
        ("x" * 2**20, ""),
    ],
)
def test_the_nearest_known_word_is_found_or_none(word: str, found: str) -> None:
    assert nearest(word, JOB) == found


@pytest.mark.parametrize(("word", "found"), [("every", "interval_seconds"), ("flow", "flow_yaml")])
def test_a_word_of_other_tools_comes_before_a_similar_key(word: str, found: str) -> None:
    assert nearest(word, ("id", "cron", "interval_seconds", "flow_yaml", "flow_job")) == found


def test_a_suggestion_is_spelled_as_it_is_known() -> None:
    assert nearest("PARAM", ("Params", "env")) == "Params"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        (5, "the number 5"),
        (1.5, "the number 1.5"),
        ("a\nb", "the text 'a\\nb'"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
def test_a_value_is_named_for_a_person(value: Any, words: str) -> None:
    assert shown(value) == words


def test_a_long_text_is_shown_by_its_beginning() -> None:
    assert shortened("x" * 60) == "x" * 60
    assert quoted("x" * 2**20) == f"'{'x' * 57}...'"


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert quoted("\x1b[31m") == "'\\x1b[31m'"
