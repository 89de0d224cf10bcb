"""The search: all secrets in one pass, and no automaton of all of them for each that is added."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aetherflow.redaction import MASK, Redactor
from aetherflow.redaction import search as search_module
from aetherflow.redaction.search import Search, merged


def test_spellings_that_were_added_at_different_times_are_all_found() -> None:
    search = Search()
    for number in range(100):
        search = search.extended([f"secret-{number:03}"])
    text = " ".join(f"secret-{number:03}" for number in range(101)).encode()
    assert len(search.spans(text)) == 100


def test_where_secrets_of_different_times_overlap_the_whole_is_found() -> None:
    search = Search().extended([f"filler-{number}" for number in range(50)] + ["abcd"]).extended(["cdefgh"])
    assert search.spans(b"-abcdefgh-") == [(1, 9)]
    assert merged([(5, 8), (1, 3), (2, 4), (4, 5)]) == [(1, 4), (4, 5), (5, 8)]


def test_adding_secrets_one_by_one_between_lines_builds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    real = search_module._Automaton

    class Counted(real):  # type: ignore[misc, valid-type]  # the class is a name of the module here
        def __init__(self, patterns: frozenset[bytes]) -> None:
            built.append(len(patterns))
            super().__init__(patterns)

    monkeypatch.setattr(search_module, "_Automaton", Counted)
    redactor = Redactor([f"secret-number-{number:04}" for number in range(500)])
    redactor.text("x")
    assert len(built) == 1, "built once, at the first use"
    first = built.pop()
    for number in range(500, 600):
        redactor.add(f"secret-number-{number:04}")
        assert redactor.text(f"<secret-number-{number:04}>") == f"<{MASK}>"
    assert sum(size > first for size in built) <= 2, "the large automaton is rarely built again"
    built.clear()
    redactor.add("secret-number-0000")
    redactor.add_named({"password": "secret-number-0001"})
    redactor.text("x")
    assert built == [], "what is known already changes nothing"


def test_the_library_is_imported_only_when_a_secret_is_known() -> None:
    script = (
        "import sys; from aetherflow.redaction import Redactor; r = Redactor(); r.text('https://u:pw@h'); "
        "assert 'ahocorasick_rs' not in sys.modules; r.add('secret-1'); r.text('x'); "
        "assert 'ahocorasick_rs' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
